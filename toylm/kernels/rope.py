"""Rotary positions (Su et al. 2021), rotate-half pairing: values m and m + h/2 of a head turn by position · theta^(-2m/h).

x'[m] = x[m] cos - x[m + h/2] sin;  x'[m + h/2] = x[m + h/2] cos + x[m] sin. The backward pass turns back.
"""

import numpy as np
from numba import prange

from .jit import parallel
from .rows import rows_of


def rope_tables(length, d_head, theta, dtype):
    """cos and sin of position · theta^(-2m / d_head); each (length, d_head / 2)."""
    frequency = theta ** (-2.0 * np.arange(d_head // 2) / d_head)
    angle = np.arange(length)[:, None] * frequency
    return np.cos(angle).astype(dtype), np.sin(angle).astype(dtype)


@parallel
def rope_forward(qk, cos, sin, T, first_position, n_rotated, d_head, direction, threads):
    """Turn the first `n_rotated` heads of each row in place. qk: (B·T, at least n_rotated · d_head), the q and k columns
    of a fused projection; row i has position first_position + i mod T. direction -1 is the backward pass."""
    half = d_head // 2
    sign = qk.dtype.type(direction)
    for t in prange(threads):
        start, stop = rows_of(qk.shape[0], threads, t)
        for i in range(start, stop):
            c, s = cos[first_position + i % T], sin[first_position + i % T]
            for h in range(n_rotated):
                low = qk[i, h * d_head : h * d_head + half]
                high = qk[i, h * d_head + half : (h + 1) * d_head]
                for m in range(half):
                    x, y = low[m], high[m]
                    low[m] = x * c[m] - y * (sign * s[m])
                    high[m] = y * c[m] + x * (sign * s[m])


def rope_reference(x, theta=10000.0, direction=1, first_position=0):
    """x: (B, T, H, h)."""
    T, h = x.shape[1], x.shape[3]
    cos, sin = rope_tables(first_position + T, h, theta, x.dtype)
    cos, sin = cos[first_position:, None, :], direction * sin[first_position:, None, :]
    a, b = x[..., : h // 2], x[..., h // 2 :]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
