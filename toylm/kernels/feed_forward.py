"""The feed-forward part as one kernel: rows in blocks whose hidden values never leave the cache between the two products.

    forward:   pre = h·W1 (+ b1);  hidden = act(pre);  out = residual + hidden·W2 (+ b2)
    backward:  dhidden = dout·W2ᵀ;  dpre = dhidden · act'(pre);  dh = dpre·W1ᵀ

with W1 (d, ff), or for a gated kind (SwiGLU) hidden = act(gate) · up, pre = (gate | up) and W1 (d, 2 ff).
A thread takes ROWS rows and of them UNITS hidden units at a time: product, activation, product. `pre` is kept for the backward
pass, `hidden` is not; the backward pass leaves `hidden` and `dpre` behind for the gradients of the weights, which are sums over
all rows and so products of their own (the model's Linear). Both matrices are packed once for all threads.
"""

from typing import NamedTuple

import numpy as np

from .activations import activation_rows
from .arithmetic import arithmetic_of, part, rows_of_a, steps_of
from .jit import call, parallel, share, threads_now
from .matmul import ROWS, multiply_rows, pack, panel_bytes
from .memory import LINE, address, scratch
from .tile import NR_F32, Matrix, item_size, load, panel_width, store

UNITS = 16 * NR_F32  # hidden units at a time, a multiple of every panel's width
NONE = Matrix(0, 0)


class Sizes(NamedTuple):
    """parts: 2 for gate and up, else 1; memory, thread_bytes: of the threads' scratch."""

    rows: int
    d: int
    ff: int
    parts: int
    memory: int
    thread_bytes: int


class Forward(NamedTuple):
    """Addresses; w1, w2: of packed panels; residual, b1, b2: 0 for none."""

    h: int
    w1: int
    w2: int
    pre: int
    out: int
    residual: int
    b1: int
    b2: int


class Backward(NamedTuple):
    """Addresses; w1, w2: of the packed panels of the transposes."""

    dout: int
    pre: int
    w1: int
    w2: int
    hidden: int
    dpre: int
    dh: int


@parallel
def _forward(like, arithmetic, row_forward, sizes, f, threads, thread):
    size, nr, d, ff = item_size(like), panel_width(like), sizes.d, sizes.ff
    width, deep, deep_hidden = sizes.parts * ff, steps_of(arithmetic, d), steps_of(arithmetic, ff)
    part_bytes = (ff + nr - 1) // nr * nr * deep * size
    packed = sizes.memory + thread * sizes.thread_bytes
    own_hidden = packed + ROWS * d * size
    packed_hidden = own_hidden + ROWS * UNITS * size
    first, last = share(sizes.rows, threads, thread, arithmetic.row_unit)
    for start in range(first, last, ROWS):
        rows = min(np.int64(ROWS), last - start)
        h, pre = part(like, Matrix(f.h, d), start, 0), part(like, Matrix(f.pre, width), start, 0)
        out, residual = part(like, Matrix(f.out, d), start, 0), part(like, Matrix(f.residual, d), start, 0)
        a = rows_of_a(like, arithmetic, h, rows, d, packed)
        for unit in range(0, ff, UNITS):
            n = min(np.int64(UNITS), ff - unit)
            for i in range(sizes.parts):
                bias = part(like, Matrix(f.b1, 0), 0, i * ff + unit)
                multiply_rows(like, arithmetic, a, f.w1 + i * part_bytes + unit * deep * size, deep,
                              part(like, pre, 0, i * ff + unit), bias, (rows, n, d))  # fmt: skip
            for i in range(rows):
                row = part(like, pre, i, unit).at
                call(row_forward, (like, row, row + ff * size, own_hidden + i * UNITS * size, n))
            hidden = rows_of_a(like, arithmetic, Matrix(own_hidden, np.int64(UNITS)), rows, n, packed_hidden)
            multiply_rows(like, arithmetic, hidden, f.w2 + steps_of(arithmetic, unit) * nr * size, deep_hidden, out,
                          out if unit > 0 else residual, (rows, d, n))  # fmt: skip
        if f.b2 != 0:
            for i in range(rows):
                row = part(like, out, i, 0).at
                for j in range(d):
                    store(load(like, row, j) + load(like, f.b2, j), row, j)


@parallel
def _backward(like, arithmetic, row_backward, sizes, b, threads, thread):
    size, nr, d, ff = item_size(like), panel_width(like), sizes.d, sizes.ff
    width, deep, deep_hidden = sizes.parts * ff, steps_of(arithmetic, d), steps_of(arithmetic, ff)
    part_bytes = (d + nr - 1) // nr * nr * deep_hidden * size
    packed = sizes.memory + thread * sizes.thread_bytes
    dhidden = packed + ROWS * d * size
    packed_dpre = dhidden + ROWS * UNITS * size
    first, last = share(sizes.rows, threads, thread, arithmetic.row_unit)
    for start in range(first, last, ROWS):
        rows = min(np.int64(ROWS), last - start)
        pre, dpre = part(like, Matrix(b.pre, width), start, 0), part(like, Matrix(b.dpre, width), start, 0)
        hidden, dh = part(like, Matrix(b.hidden, ff), start, 0), part(like, Matrix(b.dh, d), start, 0)
        # forward: out = residual + hidden·W2
        a = rows_of_a(like, arithmetic, part(like, Matrix(b.dout, d), start, 0), rows, d, packed)
        for unit in range(0, ff, UNITS):
            n = min(np.int64(UNITS), ff - unit)
            own = Matrix(dhidden, np.int64(UNITS))
            multiply_rows(like, arithmetic, a, b.w2 + unit * deep * size, deep, own, NONE, (rows, n, d))
            # forward: hidden = act(pre)
            for i in range(rows):
                row, drow = part(like, pre, i, unit).at, part(like, dpre, i, unit).at
                call(row_backward, (like, dhidden + i * UNITS * size, row, row + ff * size, part(like, hidden, i, unit).at, drow,
                                    drow + ff * size, n))  # fmt: skip
            # forward: pre = h·W1
            for i in range(sizes.parts):
                dpre_here = rows_of_a(like, arithmetic, part(like, dpre, 0, i * ff + unit), rows, n, packed_dpre)
                panels = b.w1 + i * part_bytes + steps_of(arithmetic, unit) * nr * size
                multiply_rows(like, arithmetic, dpre_here, panels, deep_hidden, dh, dh if unit + i > 0 else NONE, (rows, d, n))


def _packed(arithmetic, weights, rows, backward):
    """Addresses of the panels of both matrices, transposed for the backward pass, and the Sizes."""
    (w1, w2), item = weights, weights[0].itemsize
    ff, d = w2.shape
    parts = w1.shape[1] // ff
    panels, nbytes = feed_forward_scratch(arithmetic, item, d, ff, parts)
    at1 = at2 = scratch.address("feed_forward_panels", panels)
    for i in range(parts):
        at2 = pack(arithmetic, w1[:, i * ff : (i + 1) * ff], backward, at2)
    pack(arithmetic, w2, backward, at2)
    return at1, at2, Sizes(rows, d, ff, parts, scratch.address("feed_forward", nbytes), nbytes // threads_now())


def feed_forward_forward(kind, h, weights, pre, out, residual=None, bf16=False):
    """out (N, d) = act(h·w1 (+ b1))·w2 (+ b2) (+ residual); pre (N, ff) is kept, (N, 2 ff) for a gated kind.

    kind: one of kinds.FEED_FORWARDS. weights: (w1, b1, w2, b2), with biases or None. All C-contiguous, one dtype. bf16: round what
    enters products. Overwrites pre and out.
    """
    (w1, b1, w2, b2), arithmetic = weights, arithmetic_of(h.dtype, bf16)
    at1, at2, sizes = _packed(arithmetic, (w1, w2), len(h), False)
    residual, b1, b2 = (0 if v is None else address(v) for v in (residual, b1, b2))
    _forward(h.dtype.type(0), arithmetic, activation_rows(kind, h.dtype).forward, sizes,
             Forward(address(h), at1, at2, address(pre), address(out), residual, b1, b2))  # fmt: skip


def feed_forward_backward(kind, dout, pre, weights, hidden, dpre, dh, bf16=False):
    """dh (N, d) = gradient of h, from dout (N, d); hidden (N, ff) = act(pre) and dpre (N, ff or 2 ff) fall out on the way:
    dw2 = hiddenᵀ·dout, dw1 = hᵀ·dpre. weights: (w1, w2). Overwrites hidden, dpre and dh."""
    arithmetic = arithmetic_of(dout.dtype, bf16)
    at1, at2, sizes = _packed(arithmetic, weights, len(dout), True)
    found = Backward(address(dout), address(pre), at1, at2, *map(address, (hidden, dpre, dh)))
    _backward(dout.dtype.type(0), arithmetic, activation_rows(kind, dout.dtype).backward, sizes, found)


def feed_forward_scratch(arithmetic, item, d, ff, parts):
    """Bytes of the packed matrices, as they are or transposed, and of the threads' rows: packed ones, hidden units, and those
    packed. item: of a value."""
    ways = [parts * panel_bytes(arithmetic, item, n, k) + panel_bytes(arithmetic, item, k, n) for n, k in ((ff, d), (d, ff))]
    return max(ways), threads_now() * (-(-ROWS * (d + 2 * UNITS) * item // LINE) * LINE)
