"""GELU, tanh form (Hendrycks & Gimpel 2016): 0.5 x (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x³).

Written as x · sigmoid(2u), the same function with one exponential and no cancellation.
"""

import math

import numpy as np
from numba import prange

from .fastmath import exp
from .jit import parallel
from .rows import rows_of

C = math.sqrt(2.0 / math.pi)
K = 0.044715


@parallel
def gelu_forward(x, y, threads):
    """y = gelu(x); x, y: (n,)."""
    c2, k, one = x.dtype.type(-2.0 * C), x.dtype.type(K), x.dtype.type(1)
    for t in prange(threads):
        start, stop = rows_of(x.shape[0], threads, t)
        xs, ys = x[start:stop], y[start:stop]
        for i in range(xs.shape[0]):
            v = xs[i]
            ys[i] = v / (one + exp(c2 * (v + k * v * v * v)))


@parallel
def gelu_backward(dy, x, threads):
    """dy becomes dx = dy · gelu'(x), gelu' = s + x s (1 - s) · 2 du/dx with s = sigmoid(2u); dy, x: (n,)."""
    c2, k, one = x.dtype.type(-2.0 * C), x.dtype.type(K), x.dtype.type(1)
    slope, slope_k = x.dtype.type(2.0 * C), x.dtype.type(6.0 * C * K)
    for t in prange(threads):
        start, stop = rows_of(x.shape[0], threads, t)
        xs, dys = x[start:stop], dy[start:stop]
        for i in range(xs.shape[0]):
            v = xs[i]
            s = one / (one + exp(c2 * (v + k * v * v * v)))
            dys[i] *= s + v * s * (one - s) * (slope + slope_k * v * v)


def gelu_reference(x):
    return 0.5 * x * (1 + np.tanh(C * (x + K * x**3)))


def gelu_backward_reference(dy, x):
    t = np.tanh(C * (x + K * x**3))
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * C * (1 + 3 * K * x * x))
