"""Addresses of arrays, and the scratch memory of the threads."""

import ctypes
import threading

import numpy as np


def address(x):
    """Address of an array's first element, as an int (Numba then works with int64; a uint64 would turn sums into floats)."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(x))  # a third of the time of what follows
    except (BufferError, TypeError, ValueError):  # not contiguous, read-only, empty
        return x.__array_interface__["data"][0]


class _Buffers(threading.local):
    def __init__(self):  # in every thread
        self.named = {}  # name -> (the buffer, the aligned address in it, bytes from there)


class Scratch:
    """Memory that kernels use inside one call: grown when a larger size is asked for, then kept; aligned to cache lines.

    Every thread that calls kernels has its own: they release the GIL. What several of them share is theirs to guard, a model's
    workspace for one: a model is used by one thread at a time.
    """

    def __init__(self):
        self.buffers = _Buffers()

    def address(self, name, size):
        """Address of at least `size` bytes under `name`, at a multiple of 64."""
        buffers = self.buffers.named
        found = buffers.get(name)
        if found is None or found[2] < size:
            buffer = np.zeros(size + 64, np.uint8)
            start = address(buffer)
            found = buffers[name] = buffer, start + -start % 64, size
        return found[1]


scratch = Scratch()
