"""The residual add: y = x + f. Its backward pass hands dy to both branches, so the gradient of the stream is added to."""

from numba import prange

from .jit import parallel
from .rows import rows_of


@parallel
def residual_forward(x, f, y, threads):
    """y = x + f; all (n,); y may be x or f."""
    for t in prange(threads):
        start, stop = rows_of(x.shape[0], threads, t)
        for i in range(start, stop):
            y[i] = x[i] + f[i]


@parallel
def residual_backward(dy, dx, df, threads):
    """dx += dy; df += dy; all (n,)."""
    for t in prange(threads):
        start, stop = rows_of(dy.shape[0], threads, t)
        for i in range(start, stop):
            dx[i] += dy[i]
            df[i] += dy[i]


def residual_reference(x, f):
    return x + f
