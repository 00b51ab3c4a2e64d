"""Squared ReLU (So et al. 2021, "Primer"): max(x, 0)²."""

import numpy as np
from numba import prange

from .jit import parallel
from .rows import rows_of


@parallel
def relu2_forward(x, y, threads):
    """y = max(x, 0)²; x, y: (n,)."""
    zero = x.dtype.type(0)
    for t in prange(threads):
        start, stop = rows_of(x.shape[0], threads, t)
        xs, ys = x[start:stop], y[start:stop]
        for i in range(xs.shape[0]):
            ys[i] = xs[i] * (xs[i] if xs[i] > zero else zero)


@parallel
def relu2_backward(dy, x, threads):
    """dy becomes dx = dy · 2 max(x, 0); dy, x: (n,)."""
    zero, two = x.dtype.type(0), x.dtype.type(2)
    for t in prange(threads):
        start, stop = rows_of(x.shape[0], threads, t)
        xs, dys = x[start:stop], dy[start:stop]
        for i in range(xs.shape[0]):
            dys[i] *= two * (xs[i] if xs[i] > zero else zero)


def relu2_reference(x):
    return np.maximum(x, 0) ** 2


def relu2_backward_reference(dy, x):
    return dy * 2 * np.maximum(x, 0)
