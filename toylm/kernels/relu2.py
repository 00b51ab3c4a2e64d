"""Squared ReLU (So et al. 2021, "Primer"): max(x, 0)²."""

import numpy as np

from .jit import inner
from .parallel import parallel
from .rows import rows_of
from .simd import cast


@inner
def relu2_value_and_slope(zero, v):
    """max(v, 0)² and its derivative 2 max(v, 0), in the dtype of `zero`."""
    positive = v if v > zero else zero
    return v * positive, cast(zero, 2) * positive


@parallel
def relu2_forward(x, y, threads, thread):
    """y = max(x, 0)²; x, y: (n,)."""
    zero = x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    xs, ys = x[start:stop], y[start:stop]
    for i in range(xs.shape[0]):
        ys[i] = relu2_value_and_slope(zero, xs[i])[0]


@parallel
def relu2_backward(dy, x, threads, thread):
    """dy becomes dx = dy · 2 max(x, 0); dy, x: (n,)."""
    zero = x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    xs, dys = x[start:stop], dy[start:stop]
    for i in range(xs.shape[0]):
        dys[i] *= relu2_value_and_slope(zero, xs[i])[1]


def relu2_reference(x):
    return np.maximum(x, 0) ** 2


def relu2_backward_reference(dy, x):
    return dy * 2 * np.maximum(x, 0)
