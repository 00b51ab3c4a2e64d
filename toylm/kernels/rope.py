"""Rotary positions (Su et al. 2021), rotate-half pairing: values m and m + h/2 of a head rotate by position · theta^(-2m/h).

x'[m] = x[m] cos - x[m + h/2] sin;  x'[m + h/2] = x[m + h/2] cos + x[m] sin. The backward pass rotates back.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import device_function, parallel, rows_of, start_of
from .tile import item_size
from .vectors import Rows


def tables(length, d_head, theta, dtype):
    """cos and sin of position · theta^(-2m / d_head); each (length, d_head / 2)."""
    frequency = theta ** (-2.0 * np.arange(d_head // 2) / d_head)
    angle = np.arange(length)[:, None] * frequency
    return np.cos(angle).astype(dtype), np.sin(angle).astype(dtype)


@intrinsic
def _rotate(typingctx, sign, low, high, cos, sin, n, ahead):
    """The n pairs (low[m], high[m]) rotate by the angles of cos[m], sin[m] · sign; all but `sign`, n and `ahead` are addresses.
    What is rotated next, `ahead` bytes further on, is fetched meanwhile: out of memory that takes a quarter less time.

    Vectors by hand: LLVM would have to check before each of these short loops that the four arrays do not overlap.
    """

    def codegen(context, builder, signature, args):
        rows = Rows(context, builder, signature.args[0])
        sign, low, high, cos, sin, n, ahead = args
        wide_sign = rows.splat(sign)

        def rotate(at, mask):
            x, y, c, s = (rows.load_vector(rows.pointer(address, at), mask) for address in (low, high, cos, sin))
            s = builder.fmul(s, wide_sign)
            for address in (low, high):
                rows.prefetch(rows.pointer(builder.add(address, ahead), at))
            rows.store_vector(builder.fsub(builder.fmul(x, c), builder.fmul(y, s)), rows.pointer(low, at), mask)
            rows.store_vector(builder.fadd(builder.fmul(y, c), builder.fmul(x, s)), rows.pointer(high, at), mask)

        rows.for_vectors(n, rotate)
        return context.get_dummy_value()

    return types.void(sign, *[types.int64] * 6), codegen


@device_function
def rotate_row(sign, row, cos, sin, n_rotated, d_head, ahead):
    """Rotate the first `n_rotated` heads of a row by a position's angles, all by address; sign: 1, or -1 for the way back. ahead:
    bytes to the next row."""
    half, size = d_head // 2, item_size(sign)
    for h in range(n_rotated):
        low = row + h * d_head * size
        _rotate(sign, low, low + half * size, cos, sin, half, ahead)


@parallel
def rotate(qk, cos, sin, T, n_rotated, d_head, direction, threads, thread):
    """Rotate the first `n_rotated` heads of each row in place. qk: (B·T, at least n_rotated · d_head), the q and k columns
    of a fused projection; row i has position i mod T. cos, sin: (at least T, d_head / 2), of `tables`. All of one dtype, rows
    contiguous. direction -1 is the backward pass."""
    sign = qk.dtype.type(direction)
    start, stop = rows_of(qk.shape[0], threads, thread)
    for i in range(start, stop):
        row, cosines, sines = start_of(qk[i]), start_of(cos[i % T]), start_of(sin[i % T])
        rotate_row(sign, row, cosines, sines, n_rotated, np.int64(d_head), np.int64(qk.strides[0]))
