"""One side of the gallery in a process of its own: python -m toylm.bench.worker_gallery, driven by toylm.bench.gallery.

The first line names the side; then a line a request: {"case": ...} prepares a kernel, {"repeat": n} times n calls of it;
the side "roofs" answers {"copy": bytes, "repeat": n} and {"peak": true, "repeat": n}.
"""

import json
import sys
import time

RESTORE_EVERY = 8  # calls: a gradient that is multiplied in place for longer ends in denormal numbers, which are slow
WARM_BELOW = 0.02  # seconds


def table_of(side):
    """name of the case -> function that prepares it, for one side."""
    if side == "toylm":
        from .side_toylm import PREPARE
    elif side == "numpy":
        from .side_numpy import PREPARE
    elif side == "torch":
        from .side_torch import PREPARE
    else:
        from .side_naive import compiled_loops, prepare_with, python_loops

        return prepare_with({"python": python_loops, "njit": compiled_loops}[side]())
    return PREPARE


class Timer:
    """Times the prepared case, putting back every few calls, outside the measured time, what the operation overwrites."""

    def __init__(self, kernel, sizes, prepare):
        self.x = kernel.make(sizes)
        self.saved = [(getattr(self.x, name), getattr(self.x, name).copy()) for name in kernel.restored]
        self.call = prepare(self.x)
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
            call, start = self.call, time.perf_counter()
            for _ in range(count):
                call()
            total += time.perf_counter() - start
            left -= count
            self.left -= count
        return total


def set_threads(side, threads):
    """The side's own thread setting."""
    if side == "torch":
        import torch

        torch.set_num_threads(threads)
    else:
        from ..threads import set_threads

        set_threads(threads)


def serve():
    """Answer requests until stdin ends."""
    task = json.loads(sys.stdin.readline())
    side = task["side"]
    set_threads(side, task["threads"])
    if side == "roofs":
        from .machine import Roofs

        roofs = Roofs()
    else:
        from .cases import KERNELS

        prepare = table_of(side)
    _reply()
    timer = None
    for line in sys.stdin:
        request = json.loads(line)
        if "copy" in request:
            _reply(seconds=roofs.copy_seconds(request["copy"], request["repeat"]))
        elif "peak" in request:
            _reply(flops=roofs.peak_flops(request["repeat"]))
        elif "case" in request:
            timer = None  # frees the memory of the case before
            case = request["case"]
            timer = Timer(KERNELS[case["kernel"]], case["sizes"], prepare[case["kernel"]])
            _reply(seconds=timer.seconds(1))
        else:
            _reply(seconds=timer.seconds(request["repeat"]))


def _reply(**fields):
    sys.stdout.write(json.dumps({"answer": 1, **fields}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
