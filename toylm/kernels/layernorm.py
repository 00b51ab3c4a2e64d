"""LayerNorm (Ba, Kiros & Hinton 2016): y = gamma · (x - mean(x)) / s + beta with s = sqrt(var(x) + eps), row by row. See norm.py.

var is the mean square deviation. The backward pass takes the mean anew: a sum over a row that is in the cache anyway costs
less than a vector of means kept for every norm.
"""

import numpy as np

from .jit import device_function
from .tile import cast, load, store


@device_function
def _mean(like, x, d):
    total = cast(like, 0)
    for j in range(d):
        total += load(like, x, j)
    return total / cast(like, d)


def row_forward(like, x, gamma, beta, eps, y, rstd, d):
    """y = gamma · (x - mean) / s + beta; rstd[0] = 1 / s."""
    mean, total = _mean(like, x, d), cast(like, 0)
    for j in range(d):
        deviation = load(like, x, j) - mean
        total += deviation * deviation
    scale = cast(like, 1) / np.sqrt(total / cast(like, d) + cast(like, eps))
    for j in range(d):
        store((load(like, x, j) - mean) * scale * load(like, gamma, j) + load(like, beta, j), y, j)
    store(scale, rstd, 0)


def row_backward(like, dy, x, gamma, rstd, dx, dgamma, dbeta, d):
    """dx += (g - mean(g) - x̂ · mean(g · x̂)) / s with g = dy · gamma, x̂ = (x - mean) / s; dgamma += dy · x̂; dbeta += dy."""
    mean, scale = _mean(like, x, d), load(like, rstd, 0)
    g_sum, g_inner = cast(like, 0), cast(like, 0)
    for j in range(d):
        g = load(like, dy, j) * load(like, gamma, j)
        g_sum += g
        g_inner += g * ((load(like, x, j) - mean) * scale)
    g_mean, g_inner = g_sum / cast(like, d), g_inner / cast(like, d)
    for j in range(d):
        unit, slope = (load(like, x, j) - mean) * scale, load(like, dy, j)
        store(load(like, dgamma, j) + slope * unit, dgamma, j)
        store(load(like, dbeta, j) + slope, dbeta, j)
        store(load(like, dx, j) + (slope * load(like, gamma, j) - g_mean - unit * g_inner) * scale, dx, j)
