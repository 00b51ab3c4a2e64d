"""SwiGLU (Shazeer 2020): silu(gate) · up, on the fused rows (gate | up) of one projection."""

import numpy as np

from .parallel import parallel
from .rows import rows_of
from .silu import silu_value, silu_value_and_slope


@parallel
def swiglu_forward(x, y, threads, thread):
    """y = silu(gate) · up; x: (N, 2n), gate | up; y: (N, n)."""
    n, zero = y.shape[1], x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        gate, up, out = x[i, :n], x[i, n:], y[i]
        for j in range(n):
            out[j] = silu_value(zero, gate[j]) * up[j]


@parallel
def swiglu_backward(dy, x, dx, threads, thread):
    """dx = dy · (up · silu'(gate) | silu(gate)), overwritten; dy: (N, n); x, dx: (N, 2n)."""
    n, zero = dy.shape[1], x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    for i in range(start, stop):
        gate, up, dgate, dup, d = x[i, :n], x[i, n:], dx[i, :n], dx[i, n:], dy[i]
        for j in range(n):
            value, slope = silu_value_and_slope(zero, gate[j])
            dup[j] = d[j] * value
            dgate[j] = d[j] * up[j] * slope


def swiglu_reference(x):
    gate, up = np.split(x, 2, axis=-1)
    return gate / (1 + np.exp(-gate)) * up


def swiglu_backward_reference(dy, x):
    gate, up = np.split(x, 2, axis=-1)
    s = 1 / (1 + np.exp(-gate))
    return np.concatenate([dy * up * (s + gate * s * (1 - s)), dy * gate * s], axis=-1)
