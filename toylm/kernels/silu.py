"""SiLU (Elfwing et al. 2017; "swish"): x · sigmoid(x)."""

import numpy as np
from numba import prange

from .fastmath import exp
from .jit import parallel
from .rows import rows_of


@parallel
def silu_forward(x, y, threads):
    """y = silu(x); x, y: (n,)."""
    one = x.dtype.type(1)
    for t in prange(threads):
        start, stop = rows_of(x.shape[0], threads, t)
        xs, ys = x[start:stop], y[start:stop]
        for i in range(xs.shape[0]):
            ys[i] = xs[i] / (one + exp(-xs[i]))


@parallel
def silu_backward(dy, x, threads):
    """dy becomes dx = dy · (s + x s (1 - s)) with s = sigmoid(x); dy, x: (n,)."""
    one = x.dtype.type(1)
    for t in prange(threads):
        start, stop = rows_of(x.shape[0], threads, t)
        xs, dys = x[start:stop], dy[start:stop]
        for i in range(xs.shape[0]):
            s = one / (one + exp(-xs[i]))
            dys[i] *= s + xs[i] * s * (one - s)


def silu_reference(x):
    return x / (1 + np.exp(-x))


def silu_backward_reference(dy, x):
    s = 1 / (1 + np.exp(-x))
    return dy * (s + x * s * (1 - s))
