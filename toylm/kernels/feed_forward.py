"""The feed-forward part as one dispatch: rows in blocks whose hidden values never leave the cache between the two products.

    forward:   h = norm(x);  pre = h·W1 (+ b1);  hidden = act(pre);  out = D + hidden·W2 (+ b2)
    backward:  dhidden = dout·W2ᵀ;  dpre = dhidden · act'(pre);  dh = dpre·W1ᵀ

for act one of gelu, relu2, silu (W1 (d, ff)), or hidden = silu(gate) · up with pre = (gate | up) (W1 (d, 2 ff), "swiglu").
A thread takes ROWS rows and of them UNITS hidden units at a time: product, activation, product. `pre` is kept for the backward
pass, `hidden` is not; the backward pass leaves `hidden` and `dpre` behind for the gradients of the weights, which are sums over
all rows and so products of their own (the model's Linear). Both matrices are packed once for all threads (operands.py).
"""

import numpy as np

from .gelu import gelu_reference, gelu_value, gelu_value_and_slope
from .jit import jit
from .memory import address, scratch
from .norm_projection import NONE, norm_rows
from .operands import operands_of, rows_of_a, steps_of
from .parallel import parallel
from .placement import threads_now
from .products import multiply_rows, pack_matrices, panel_bytes, share
from .relu2 import relu2_reference, relu2_value_and_slope
from .silu import silu_reference, silu_value, silu_value_and_slope
from .simd import MR, NR_F32, item_size, load, panel_width, store

KINDS = ("gelu", "relu2", "silu", "swiglu")
GELU, RELU2, SILU, SWIGLU = range(4)
ROWS = 8 * MR
UNITS = 16 * NR_F32  # hidden units at a time, a multiple of every panel's width


@jit
def _activate(zero, kind, pre, up, hidden, n):
    """hidden[:n] = act(pre[:n]) (· up[:n] for SWIGLU)."""
    if kind == GELU:
        for j in range(n):
            store(gelu_value(zero, load(zero, pre, j)), hidden, j)
    elif kind == RELU2:
        for j in range(n):
            store(relu2_value_and_slope(zero, load(zero, pre, j))[0], hidden, j)
    elif kind == SILU:
        for j in range(n):
            store(silu_value(zero, load(zero, pre, j)), hidden, j)
    else:
        for j in range(n):
            store(silu_value(zero, load(zero, pre, j)) * load(zero, up, j), hidden, j)


@jit
def _activate_backward(zero, kind, dhidden, pre, up, hidden, dpre, dup, n):
    """hidden as in `_activate`, dpre = dhidden · act'(pre), and for SWIGLU dup = dhidden · silu(pre)."""
    if kind == GELU:
        for j in range(n):
            value, slope = gelu_value_and_slope(zero, load(zero, pre, j))
            store(value, hidden, j)
            store(load(zero, dhidden, j) * slope, dpre, j)
    elif kind == RELU2:
        for j in range(n):
            value, slope = relu2_value_and_slope(zero, load(zero, pre, j))
            store(value, hidden, j)
            store(load(zero, dhidden, j) * slope, dpre, j)
    elif kind == SILU:
        for j in range(n):
            value, slope = silu_value_and_slope(zero, load(zero, pre, j))
            store(value, hidden, j)
            store(load(zero, dhidden, j) * slope, dpre, j)
    else:
        for j in range(n):
            value, slope = silu_value_and_slope(zero, load(zero, pre, j))
            d, u = load(zero, dhidden, j), load(zero, up, j)
            store(value * u, hidden, j)
            store(d * value, dup, j)
            store(d * u * slope, dpre, j)


@parallel
def _forward(zero, operands, kind, norm, x, gamma, beta, eps, h, rstd, w1, b1, w2, b2, d_out, pre, out, N, d, ff, memory,
             thread_bytes, threads, thread):  # fmt: skip
    size, nr = item_size(zero), panel_width(zero)
    parts = 2 if kind == SWIGLU else 1
    width, deep, deep_hidden = parts * ff, steps_of(operands, d), steps_of(operands, ff)
    part_bytes = (ff + nr - 1) // nr * nr * deep * size
    row_start, row_stop = share(N, threads, thread, np.int64(MR))
    packed = memory + thread * thread_bytes
    hidden = packed + ROWS * d * size
    packed_hidden = hidden + ROWS * UNITS * size
    rows_of_h = np.int64(h.ctypes.data)
    for start in range(row_start, row_stop, ROWS):
        rows = min(np.int64(ROWS), row_stop - start)
        norm_rows(norm, x, gamma, beta, eps, h, rstd, start, start + rows)
        a, y = rows_of_h + start * d * size, out + start * d * size
        normed, ld = rows_of_a(operands, a, d, rows, d, packed)
        for unit in range(0, ff, UNITS):
            n = min(np.int64(UNITS), ff - unit)
            here = pre + (start * width + unit) * size
            for part in range(parts):
                bias = b1 + (part * ff + unit) * size if b1 != 0 else np.int64(0)
                panels = w1 + part * part_bytes + unit * deep * size
                multiply_rows(zero, operands, normed, ld, panels, deep, here + part * ff * size, width, bias, np.int64(0),
                              rows, n, d)  # fmt: skip
            for i in range(rows):
                row = here + i * width * size
                _activate(zero, kind, row, row + ff * size, hidden + i * UNITS * size, n)
            acts, ld_acts = rows_of_a(operands, hidden, UNITS, rows, n, packed_hidden)
            addend = y if unit > 0 else (d_out + start * d * size if d_out != 0 else np.int64(0))
            multiply_rows(zero, operands, acts, ld_acts, w2 + steps_of(operands, unit) * nr * size, deep_hidden, y, d, addend, d,
                          rows, d, n)  # fmt: skip
        if b2 != 0:
            for i in range(rows):
                for j in range(d):
                    store(load(zero, y, i * d + j) + load(zero, b2, j), y, i * d + j)


@parallel
def _backward(zero, operands, kind, dout, pre, w1, w2, hidden, dpre, dh, N, d, ff, memory, thread_bytes, threads, thread):
    size, nr = item_size(zero), panel_width(zero)
    parts = 2 if kind == SWIGLU else 1
    width, deep, deep_hidden = parts * ff, steps_of(operands, d), steps_of(operands, ff)
    part_bytes = (d + nr - 1) // nr * nr * deep_hidden * size
    row_start, row_stop = share(N, threads, thread, np.int64(MR))
    packed = memory + thread * thread_bytes
    dhidden = packed + ROWS * d * size
    packed_dpre = dhidden + ROWS * UNITS * size
    for start in range(row_start, row_stop, ROWS):
        rows = min(np.int64(ROWS), row_stop - start)
        a, dx = dout + start * d * size, dh + start * d * size
        douts, ld = rows_of_a(operands, a, d, rows, d, packed)
        for unit in range(0, ff, UNITS):
            n = min(np.int64(UNITS), ff - unit)
            multiply_rows(zero, operands, douts, ld, w2 + unit * deep * size, deep, dhidden, np.int64(UNITS), np.int64(0),
                          np.int64(0), rows, n, d)  # fmt: skip
            at = (start * width + unit) * size
            for i in range(rows):
                row, drow = pre + at + i * width * size, dpre + at + i * width * size
                _activate_backward(zero, kind, dhidden + i * UNITS * size, row, row + ff * size,
                                   hidden + ((start + i) * ff + unit) * size, drow, drow + ff * size, n)  # fmt: skip
            for part in range(parts):
                here = dpre + at + part * ff * size
                dpres, ld_dpres = rows_of_a(operands, here, width, rows, n, packed_dpre)
                panels = w1 + part * part_bytes + steps_of(operands, unit) * nr * size
                addend = dx if unit > 0 or part > 0 else np.int64(0)
                multiply_rows(zero, operands, dpres, ld_dpres, panels, deep_hidden, dx, d, addend, d, rows, d, n)


def _pack(operands, bf16, zero, w1, w2, ff, backward):
    """Panels of both matrices, transposed for the backward pass: addresses of W1's (a part after the other) and W2's."""
    item, d, parts = zero.nbytes, w1.shape[0], w1.shape[1] // ff
    sizes1, sizes2 = ((d, ff), (ff, d)) if backward else ((ff, d), (d, ff))  # (n, k) of a part of W1, and of W2
    part_bytes = panel_bytes(bf16, item, *sizes1)
    memory = scratch.address("feed_forward_panels", parts * part_bytes + panel_bytes(bf16, item, *sizes2))
    rows = [(address(w1) + i * ff * item, parts * ff, backward, *sizes1, memory + i * part_bytes) for i in range(parts)]
    rows.append((address(w2), d, backward, *sizes2, memory + parts * part_bytes))
    pack_matrices(zero, operands, np.array(rows, np.int64))
    return memory, memory + parts * part_bytes


def _thread_scratch(d, item):
    """(address, bytes a thread): packed rows, ROWS x UNITS values and the same packed."""
    size = -(-ROWS * (d + 2 * UNITS + 2) * item // 64) * 64
    return scratch.address("feed_forward", size * threads_now()), size


def feed_forward_forward(kind, h, w1, w2, pre, out, residual=None, b1=None, b2=None, norm=None, bf16=False):
    """out (N, d) = act(h·w1 (+ b1))·w2 (+ b2) (+ residual); pre (N, ff) is kept, (N, 2 ff) for "swiglu".

    kind: one of KINDS. norm: (kind of norm, x, gamma, beta, eps, rstd), where h (N, d) is to be written first as norm(x). All
    C-contiguous, one dtype. bf16: round what enters products. Overwrites pre and out (and h, rstd).
    """
    (N, d), ff, zero = h.shape, w2.shape[0], h.dtype.type(0)
    operands = operands_of(h.dtype, bf16)
    norm_kind, x, gamma, beta, eps, rstd = (NONE, h, h[0], h[0], 0.0, h[0]) if norm is None else norm
    panels1, panels2 = _pack(operands, bf16, zero, w1, w2, ff, False)
    b1, b2, residual = (0 if v is None else address(v) for v in (b1, b2, residual))
    _forward(zero, operands, KINDS.index(kind), norm_kind, x, gamma, beta, eps, h, rstd, panels1, b1, panels2, b2, residual,
             address(pre), address(out), N, d, ff, *_thread_scratch(d, zero.nbytes))  # fmt: skip


def feed_forward_backward(kind, dout, pre, w1, w2, hidden, dpre, dh, bf16=False):
    """dh (N, d) = gradient of h, from dout (N, d); hidden (N, ff) = act(pre) and dpre (N, ff or 2 ff) fall out on the way:
    dw2 = hiddenᵀ·dout, dw1 = hᵀ·dpre. Overwrites hidden, dpre and dh."""
    (N, d), ff, zero = dout.shape, w2.shape[0], dout.dtype.type(0)
    operands = operands_of(dout.dtype, bf16)
    panels1, panels2 = _pack(operands, bf16, zero, w1, w2, ff, True)
    _backward(zero, operands, KINDS.index(kind), address(dout), address(pre), panels1, panels2, address(hidden), address(dpre),
              address(dh), N, d, ff, *_thread_scratch(d, zero.nbytes))  # fmt: skip


def feed_forward_reference(kind, h, w1, w2, b1=0.0, b2=0.0):
    """Returns (pre, hidden, out)."""
    pre = h @ w1 + b1
    if kind == "swiglu":
        gate, up = np.split(pre, 2, axis=1)
        hidden = silu_reference(gate) * up
    else:
        hidden = {"gelu": gelu_reference, "relu2": relu2_reference, "silu": silu_reference}[kind](pre)
    return pre, hidden, hidden @ w2 + b2
