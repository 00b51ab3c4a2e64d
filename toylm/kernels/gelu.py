"""GELU, tanh form (Hendrycks & Gimpel 2016): 0.5 x (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x³).

Written as x · sigmoid(2u), the same function with one exponential and no cancellation.
"""

import math

import numpy as np

from .fastmath import LOG2E, exp2
from .jit import inner
from .parallel import parallel
from .rows import rows_of, start_of
from .simd import cast, load, store

C = math.sqrt(2.0 / math.pi)
K = 0.044715


@inner
def gelu_value(zero, v):
    """gelu(v), in the dtype of `zero`."""
    c2, k, one = cast(zero, -2.0 * C * LOG2E), cast(zero, -2.0 * C * LOG2E * K), cast(zero, 1)
    return v / (one + exp2(v * (c2 + k * (v * v))))


@inner
def gelu_value_and_slope(zero, v):
    """gelu(v) = v s and gelu'(v) = s + v s (1 - s) · 2 du/dv, with s = sigmoid(2u)."""
    c2, k, one = cast(zero, -2.0 * C * LOG2E), cast(zero, -2.0 * C * LOG2E * K), cast(zero, 1)
    slope, slope_k = cast(zero, 2.0 * C), cast(zero, 6.0 * C * K)
    s = one / (one + exp2(v * (c2 + k * (v * v))))
    value = v * s
    return value, s + value * (one - s) * (slope + slope_k * v * v)


@parallel
def gelu_forward(x, y, threads, thread):
    """y = gelu(x); x, y: (n,), contiguous."""
    zero = x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    source, target = start_of(x[start:stop]), start_of(y[start:stop])
    for i in range(np.int64(stop - start)):
        store(gelu_value(zero, load(zero, source, i)), target, i)


@parallel
def gelu_backward(dy, x, threads, thread):
    """dy becomes dx = dy · gelu'(x); dy, x: (n,), contiguous."""
    zero = x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    source, target = start_of(x[start:stop]), start_of(dy[start:stop])
    for i in range(np.int64(stop - start)):
        store(load(zero, target, i) * gelu_value_and_slope(zero, load(zero, source, i))[1], target, i)


def gelu_reference(x):
    return 0.5 * x * (1 + np.tanh(C * (x + K * x**3)))


def gelu_backward_reference(dy, x):
    t = np.tanh(C * (x + K * x**3))
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * C * (1 + 3 * K * x * x))
