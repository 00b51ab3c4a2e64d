"""Addresses of arrays, and the scratch memory of the threads."""

import numpy as np


def address(x):
    """Address of an array's first element, as an int (Numba then works with int64; a uint64 would turn sums into floats)."""
    return x.__array_interface__["data"][0]


class Scratch:
    """Memory that kernels use inside one call: grown when a larger size is asked for, then kept; aligned to cache lines."""

    def __init__(self):
        self.buffers = {}

    def address(self, name, size):
        """Address of at least `size` bytes under `name`, at a multiple of 64."""
        buffer = self.buffers.get(name)
        if buffer is None or buffer.nbytes < size + 64:
            buffer = self.buffers[name] = np.zeros(size + 64, np.uint8)
        start = address(buffer)
        return start + -start % 64


scratch = Scratch()
