"""Addresses of arrays, and the scratch memory of the threads."""

import ctypes
import math
import threading

import numpy as np

LINE = 64  # bytes of a cache line


def address(x):
    """Address of an array's first element, as an int (Numba then works with int64; a uint64 would turn sums into floats)."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(x))  # a third of the time of what follows
    except (BufferError, TypeError, ValueError):  # not contiguous, read-only, empty
        return x.__array_interface__["data"][0]


class _Buffers(threading.local):
    def __init__(self):  # in every thread
        self.named = {}  # name -> buffer


class Scratch:
    """Memory that kernels use inside one call: grown when a larger size is asked for, then kept; aligned to cache lines.

    Every thread that calls kernels has its own: they release the GIL. What several of them share is theirs to guard, a model's
    workspace for one: a model is used by one thread at a time.
    """

    def __init__(self):
        self.buffers = _Buffers()

    def array(self, name, shape, dtype=np.uint8):
        """An array under `name`, its values undefined, its address a multiple of 64."""
        size, buffers = math.prod(shape) * np.dtype(dtype).itemsize, self.buffers.named
        if name not in buffers or buffers[name].size < size:
            buffer = np.zeros(size + LINE, np.uint8)
            start = -address(buffer) % LINE
            buffers[name] = buffer[start : start + size]
        return buffers[name][:size].view(dtype).reshape(shape)

    def address(self, name, size):
        """Address of at least `size` bytes under `name`, at a multiple of 64."""
        held = self.buffers.named.get(name)
        return address(self.array(name, (size,)) if held is None or held.size < size else held)

    def sizes(self):
        """name -> bytes that the calling thread's kernels hold."""
        return {name: buffer.nbytes for name, buffer in self.buffers.named.items()}


scratch = Scratch()
