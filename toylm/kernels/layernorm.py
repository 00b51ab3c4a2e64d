"""LayerNorm (Ba, Kiros & Hinton 2016): y = gamma · (x - mean(x)) / s + beta with s = sqrt(var(x) + eps), row by row.

var is the mean square deviation. The backward pass takes the mean anew: a sum over a row that is in the cache anyway costs
less than a vector of means kept for every norm.
"""

import numpy as np

from .jit import inner
from .parallel import parallel
from .rows import rows_of


@inner
def _mean(x):
    total = x.dtype.type(0)
    for j in range(x.shape[0]):
        total += x[j]
    return total / x.dtype.type(x.shape[0])


@inner
def layernorm_row(x, gamma, beta, eps, y):
    """y (d,) = the norm of x (d,); returns 1 / s."""
    d = x.shape[0]
    mean, total = _mean(x), x.dtype.type(0)
    for j in range(d):
        total += (x[j] - mean) * (x[j] - mean)
    scale = x.dtype.type(1) / np.sqrt(total / x.dtype.type(d) + x.dtype.type(eps))
    for j in range(d):
        y[j] = (x[j] - mean) * scale * gamma[j] + beta[j]
    return scale


@parallel
def layernorm_forward(x, gamma, beta, eps, y, rstd, threads, thread):
    """x, y: (N, d); gamma, beta: (d,); rstd: (N,) receives 1 / s, which the backward pass needs."""
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        rstd[i] = layernorm_row(x[i], gamma, beta, eps, y[i])


@parallel
def layernorm_backward(dy, x, gamma, rstd, dx, dgamma_parts, dbeta_parts, threads, thread):
    """dx += (g - mean(g) - x̂ · mean(g · x̂)) / s with g = dy · gamma, x̂ = (x - mean(x)) / s.

    dgamma_parts[thread] = sum over the thread's rows of dy · x̂, dbeta_parts[thread] = of dy; both (threads, d), to be summed
    in a fixed order. dy, x, dx: (N, d); gamma: (d,); rstd: (N,).
    """
    d = x.shape[1]
    start, stop = rows_of(x.shape[0], threads, thread)
    gamma_part, beta_part = dgamma_parts[thread], dbeta_parts[thread]
    for j in range(d):
        gamma_part[j] = 0
        beta_part[j] = 0
    for i in range(start, stop):
        row, drow, out, scale = x[i], dy[i], dx[i], rstd[i]
        mean = _mean(row)
        g_sum, g_inner = x.dtype.type(0), x.dtype.type(0)
        for j in range(d):
            g = drow[j] * gamma[j]
            g_sum += g
            g_inner += g * ((row[j] - mean) * scale)
        g_mean, g_inner = g_sum / x.dtype.type(d), g_inner / x.dtype.type(d)
        for j in range(d):
            unit = (row[j] - mean) * scale
            gamma_part[j] += drow[j] * unit
            beta_part[j] += drow[j]
            out[j] += (drow[j] * gamma[j] - g_mean - unit * g_inner) * scale


def layernorm_reference(x, gamma, beta, eps=1e-5):
    centred = x - x.mean(axis=-1, keepdims=True)
    return gamma * centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps) + beta


def layernorm_backward_reference(dy, x, gamma, eps=1e-5):
    """Returns (dx, dgamma, dbeta)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
    unit, g = centred / s, dy * gamma
    dx = (g - g.mean(axis=-1, keepdims=True) - unit * (g * unit).mean(axis=-1, keepdims=True)) / s
    return dx, (dy * unit).sum(axis=0), dy.sum(axis=0)
