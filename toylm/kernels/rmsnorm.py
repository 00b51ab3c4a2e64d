"""RMSNorm (Zhang & Sennrich 2019): y = gamma · x / r with r = sqrt(mean(x²) + eps), row by row."""

import numpy as np

from .jit import jit
from .parallel import parallel
from .rows import rows_of


@jit
def rmsnorm_row(x, gamma, eps, y):
    """y (d,) = the norm of x (d,); returns 1 / r."""
    d, total = x.shape[0], x.dtype.type(0)
    for j in range(d):
        total += x[j] * x[j]
    scale = x.dtype.type(1) / np.sqrt(total / x.dtype.type(d) + x.dtype.type(eps))
    for j in range(d):
        y[j] = x[j] * scale * gamma[j]
    return scale


@parallel
def rmsnorm_forward(x, gamma, eps, y, rstd, threads, thread):
    """x, y: (N, d); gamma: (d,); rstd: (N,) receives 1 / r, which the backward pass needs."""
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        rstd[i] = rmsnorm_row(x[i], gamma, eps, y[i])


@parallel
def rmsnorm_backward(dy, x, gamma, rstd, dx, dgamma_parts, threads, thread):
    """dx += (dy · gamma - x · mean(dy · gamma · x) / r²) / r; dgamma_parts[thread] = sum over the thread's rows of dy · x / r.

    dy, x, dx: (N, d); gamma: (d,); rstd: (N,); dgamma_parts: (threads, d), summed by `add_parts` in a fixed order.
    """
    d = x.shape[1]
    start, stop = rows_of(x.shape[0], threads, thread)
    parts = dgamma_parts[thread]
    for j in range(d):
        parts[j] = 0
    for i in range(start, stop):
        scale = rstd[i]
        inner = x.dtype.type(0)
        for j in range(d):
            inner += dy[i, j] * gamma[j] * x[i, j]
        inner = inner * scale * scale / x.dtype.type(d)
        for j in range(d):
            parts[j] += dy[i, j] * x[i, j] * scale
            dx[i, j] += (dy[i, j] * gamma[j] - x[i, j] * inner) * scale


@jit
def add_parts(parts, total):
    """total += sum of the rows of parts, in order."""
    for t in range(parts.shape[0]):
        for j in range(total.shape[0]):
            total[j] += parts[t, j]


def rmsnorm_reference(x, gamma, eps=1e-5):
    return gamma * x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)


def rmsnorm_backward_reference(dy, x, gamma, eps=1e-5):
    """Returns (dx, dgamma)."""
    r = np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    g = dy * gamma
    dx = (g - x * (g * x).mean(axis=-1, keepdims=True) / r**2) / r
    return dx, (dy * x / r).sum(axis=0)
