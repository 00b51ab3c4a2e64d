"""What runs beside a measurement (sides.Neighbour): a busy loop or a second toylm, at work while it is told so."""

import json
import os
import sys
import threading

from . import worker_toylm
from .sides import reply


def listen(working):
    """Set or clear the event `working` as the parent asks; end the process with stdin."""
    for line in sys.stdin:
        if json.loads(line)["work"]:
            working.set()
        else:
            working.clear()
        reply()
    os._exit(0)


def serve():
    """Work while `listen` says so."""
    task = json.loads(sys.stdin.readline())
    step = worker_toylm.prepare(task) if task["neighbour"] == "self" else lambda: None
    step()
    reply()
    working = threading.Event()
    threading.Thread(target=listen, args=(working,), daemon=True).start()
    while True:
        working.wait()
        step()


if __name__ == "__main__":
    serve()
