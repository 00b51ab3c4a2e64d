"""How row kernels share their rows among threads: fixed equal shares, so that sums over threads have a fixed order.

Inside a share, kernels take slices and count from 0: Numba must allow for a negative index where a loop starts at a variable,
and what it then emits is not vectorised (GELU: five times slower).
"""

import numpy as np

from .jit import jit


@jit(inline="always")
def rows_of(total, threads, thread):
    """The range [start, stop) of `total` rows of one of `threads`."""
    thread = np.int64(thread)
    return total * thread // threads, total * (thread + 1) // threads


@jit
def start_of(row):
    """The address of a row's first element."""
    return np.int64(row.ctypes.data)
