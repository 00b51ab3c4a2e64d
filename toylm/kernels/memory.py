"""Addresses of arrays, and the scratch memory of the threads."""

import ctypes

import numpy as np


def address(x):
    """Address of an array's first element, as an int (Numba then works with int64; a uint64 would turn sums into floats)."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(x))  # a third of the time of what follows
    except (BufferError, TypeError, ValueError):  # not contiguous, read-only, empty
        return x.__array_interface__["data"][0]


class Scratch:
    """Memory that kernels use inside one call: grown when a larger size is asked for, then kept; aligned to cache lines."""

    def __init__(self):
        self.buffers = {}  # name -> (the buffer, the aligned address in it, bytes from there)

    def address(self, name, size):
        """Address of at least `size` bytes under `name`, at a multiple of 64."""
        found = self.buffers.get(name)
        if found is None or found[2] < size:
            buffer = np.zeros(size + 64, np.uint8)
            start = address(buffer)
            found = self.buffers[name] = buffer, start + -start % 64, size
        return found[1]


scratch = Scratch()
