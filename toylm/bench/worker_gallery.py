"""One side of the gallery in a process of its own: python -m toylm.bench.worker_gallery, driven by toylm.bench.gallery.

The first line names the side; then a line a request: {"kernel": name, "sizes": ...} prepares a kernel, {"repeat": n} times n
calls of it; the side "roofs" answers {"copy": bytes, "repeat": n} and {"peak": true, "repeat": n}.
"""

import importlib
import json
import sys
import time

from ..threads import set_threads
from .cases import KERNELS
from .sides import reply

# side -> its module, which only its own process imports: one library's threads shall not meet another's
MODULES = {"python": "naive", "njit": "naive", "roofs": "machine"}

RESTORE_EVERY = 8  # calls: a gradient that is multiplied in place for longer ends in denormal numbers, which are slow
WARM_BELOW = 0.02  # seconds


def prepare_of(side, module):
    """The function of a side that prepares a kernel: (name, inputs) -> a call."""
    if side == "python":
        return module.prepare_with(lambda loop: loop)
    if side == "njit":
        return module.prepare_with(importlib.import_module("numba").njit)
    return module.prepare


class Timer:
    """Times a kernel, putting back every few calls, outside the measured time, what the operation overwrites."""

    def __init__(self, kernel, sizes, prepare):
        x = kernel.make(sizes)
        self.saved = [(getattr(x, name), getattr(x, name).copy()) for name in kernel.restored]
        self.call = prepare(kernel.name, x)
        self.call()  # compiles, makes workspaces
        self.left = RESTORE_EVERY - 1  # calls before the next restoring
        self.last = 0.0

    def seconds(self, repeat):
        """Mean seconds of `repeat` calls, after one that is not counted where a call is short: the caches are then this
        side's again, and its threads awake.
        """
        if self.last < WARM_BELOW:
            self._run(1)
        self.last = self._run(repeat) / repeat
        return self.last

    def _run(self, repeat):
        total, left = 0.0, repeat
        while left:
            if self.saved and self.left == 0:
                for array, saved in self.saved:
                    array[...] = saved
                self.left = RESTORE_EVERY
            count = min(left, self.left) if self.saved else left
            start = time.perf_counter()
            for _ in range(count):
                self.call()
            total += time.perf_counter() - start
            left -= count
            self.left -= count
        return total


def serve():
    """Answer requests until stdin ends."""
    task = json.loads(sys.stdin.readline())
    side = task["side"]
    if side == "torch":
        importlib.import_module("torch").set_num_threads(task["threads"])
    else:
        set_threads(task["threads"])
    module = importlib.import_module(f"toylm.bench.{MODULES.get(side, f'side_{side}')}")
    if side == "roofs":
        roofs = module.Roofs()
    else:
        prepare = prepare_of(side, module)
    reply()
    timer = None
    for line in sys.stdin:
        request = json.loads(line)
        if "copy" in request:
            reply(seconds=roofs.copy_seconds(request["copy"], request["repeat"]))
        elif "peak" in request:
            reply(flops=roofs.peak_flops(request["repeat"]))
        elif "kernel" in request:
            timer = None  # frees the memory of the case before
            timer = Timer(KERNELS[request["kernel"]], request["sizes"], prepare)
            reply(seconds=timer.seconds(1))
        else:
            reply(seconds=timer.seconds(request["repeat"]))


if __name__ == "__main__":
    serve()
