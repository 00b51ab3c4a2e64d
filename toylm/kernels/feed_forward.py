"""The feed-forward part as one dispatch: rows in blocks whose hidden values never leave the cache between the two products.

    forward:   h = norm(x);  pre = h·W1 (+ b1);  hidden = act(pre);  out = D + hidden·W2 (+ b2)
    backward:  dhidden = dout·W2ᵀ;  dpre = dhidden · act'(pre);  dh = dpre·W1ᵀ

for act one of gelu, relu2, silu (W1 (d, ff)), or hidden = silu(gate) · up with pre = (gate | up) (W1 (d, 2 ff), "swiglu").
A thread takes ROWS rows and of them UNITS hidden units at a time: product, activation, product. `pre` is kept for the backward
pass, `hidden` is not; the backward pass leaves `hidden` and `dpre` behind for the gradients of the weights, which are sums over
all rows and so products of their own (the model's Linear), unless they are so small that a thread keeps its part of them in its
cache as well. Both matrices are packed once for all threads (products.py), or by each thread where they are as small as that.
"""

import numpy as np

from .gelu import gelu_reference, gelu_value, gelu_value_and_slope
from .jit import inner
from .memory import address, scratch
from .norm_projection import NONE, norm_rows
from .operands import operands_of, row_unit, rows_of_a, steps_of
from .parallel import parallel
from .placement import threads_now
from .products import ROWS, gradients_fit, multiply_rows, multiply_transposed, pack_matrices, pack_matrix, pack_own, panel_bytes
from .relu2 import relu2_reference, relu2_value_and_slope
from .rmsnorm import rmsnorm_rows_backward
from .rows import last_to_finish, own_share, share, take
from .silu import silu_reference, silu_value, silu_value_and_slope
from .simd import NR_F32, item_size, load, panel_width, store
from .vectors import add_shares, clear

KINDS = ("gelu", "relu2", "silu", "swiglu")
GELU, RELU2, SILU, SWIGLU = range(4)
UNITS = 16 * NR_F32  # hidden units at a time, a multiple of every panel's width
OWN_STRIDE = 2 * UNITS + 16  # of a thread's own rows: in float32 an odd number of cache lines, so that columns spread over all sets


@inner
def activate(zero, kind, pre, up, hidden, n):
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


@inner
def _activate_backward(zero, kind, dhidden, pre, up, hidden, dpre, dup, n):
    """hidden as in `activate`, dpre = dhidden · act'(pre), and for SWIGLU dup = dhidden · silu(pre)."""
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
def _forward(zero, operands, kind, norm, x, gamma, beta, eps, h, rstd, matrices, panels, b1, b2, d_out, pre, out, N, d, ff,
             memory, thread_bytes, threads, thread, queue):  # fmt: skip
    size, nr, cut = item_size(zero), panel_width(zero), row_unit(operands)
    parts = 2 if kind == SWIGLU else 1
    width, deep, deep_hidden = parts * ff, steps_of(operands, d), steps_of(operands, ff)
    part_bytes = (ff + nr - 1) // nr * nr * deep * size
    packed = memory + thread * thread_bytes
    if panels == 0:
        panels = packed + ROWS * (d + 2 * UNITS) * size
        pack_own(zero, operands, matrices, panels)
    w1, w2 = panels, panels + matrices[parts, 5]
    hidden = packed + ROWS * d * size
    packed_hidden = hidden + ROWS * UNITS * size
    rows_of_h = np.int64(h.ctypes.data)
    start, stop = own_share(N, np.int64(ROWS), cut, threads, thread)
    while start < stop:
        rows = min(np.int64(ROWS), stop - start)
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
                activate(zero, kind, row, row + ff * size, hidden + i * UNITS * size, n)
            acts, ld_acts = rows_of_a(operands, hidden, UNITS, rows, n, packed_hidden)
            addend = y if unit > 0 else (d_out + start * d * size if d_out != 0 else np.int64(0))
            multiply_rows(zero, operands, acts, ld_acts, w2 + steps_of(operands, unit) * nr * size, deep_hidden, y, d, addend, d,
                          rows, d, n)  # fmt: skip
        if b2 != 0:
            for i in range(rows):
                for j in range(d):
                    store(load(zero, y, i * d + j) + load(zero, b2, j), y, i * d + j)
        start, stop = take(queue, start + rows, stop, N, np.int64(ROWS), cut, threads)


@parallel
def _backward(zero, operands, kind, dout, pre, matrices, panels, hidden, dpre, dh, h, sums_and_gradients, norm, N, d, ff, memory,
              threads, thread, queue):  # fmt: skip
    size, nr, cut = item_size(zero), panel_width(zero), row_unit(operands)
    parts = 2 if kind == SWIGLU else 1
    width, deep, deep_hidden = parts * ff, steps_of(operands, d), steps_of(operands, ff)
    part_bytes = (d + nr - 1) // nr * nr * deep_hidden * size
    packed = memory[0] + thread * memory[1]  # the address, and bytes a thread
    dhidden = packed + ROWS * d * size
    packed_dpre = dhidden + ROWS * UNITS * size
    # With h, this thread's part of the weights' gradients is added up here, and hidden and dpre need not leave the cache.
    with_weights = h != 0
    own_rows = packed_dpre + ROWS * UNITS * size
    dout_panels = own_rows + 2 * ROWS * OWN_STRIDE * size
    dpre_panels = dout_panels + ROWS * (d + nr) * size
    packed_columns = dpre_panels + ROWS * (UNITS + nr) * size
    own_dh = packed_columns + ROWS * (max(d, np.int64(UNITS)) + nr) * size
    if panels == 0:
        panels = own_dh + ROWS * d * size
        pack_own(zero, operands, matrices, panels)
    w1, w2 = panels, panels + matrices[parts, 5]
    sums, dw1, dw2, dgamma = sums_and_gradients
    own_dw1, own_dw2 = sums + thread * d * width * size, sums + (threads * d * width + thread * ff * d) * size
    x, gamma, rstd, dnormed = norm  # with them, dh goes on through the RMSNorm before the feed-forward part
    shares2 = sums + threads * d * width * size
    gamma_shares = shares2 + threads * ff * d * size
    own_dgamma = gamma_shares + thread * d * size
    pieces = queue  # whence what others have left is taken; 0: from nowhere
    ld_hidden, ld_dpre, second = ff, width, ff
    if with_weights:
        ld_hidden, ld_dpre, second = np.int64(OWN_STRIDE), np.int64(OWN_STRIDE), np.int64(UNITS)
        clear(zero, own_dw1, d * width)
        clear(zero, own_dw2, ff * d)
        clear(zero, own_dgamma, d)
        start, stop = share(N, threads, thread, cut)  # sums must keep their order
        pieces = np.int64(0)
    else:
        start, stop = own_share(N, np.int64(ROWS), cut, threads, thread)
    while start < stop:
        rows = min(np.int64(ROWS), stop - start)
        a, dx = dout + start * d * size, own_dh if with_weights else dh + start * d * size
        douts, ld = rows_of_a(operands, a, d, rows, d, packed)
        if with_weights:
            pack_matrix(zero, operands, a, d, d < 0, d, rows, dout_panels)
        for unit in range(0, ff, UNITS):
            n = min(np.int64(UNITS), ff - unit)
            hidden_here, dpre_here = hidden + (start * ff + unit) * size, dpre + (start * width + unit) * size
            if with_weights:
                hidden_here, dpre_here = own_rows, own_rows + ROWS * OWN_STRIDE * size
            multiply_rows(zero, operands, douts, ld, w2 + unit * deep * size, deep, dhidden, np.int64(UNITS), np.int64(0),
                          np.int64(0), rows, n, d)  # fmt: skip
            for i in range(rows):
                row, drow = pre + ((start + i) * width + unit) * size, dpre_here + i * ld_dpre * size
                _activate_backward(zero, kind, dhidden + i * UNITS * size, row, row + ff * size,
                                   hidden_here + i * ld_hidden * size, drow, drow + second * size, n)  # fmt: skip
            for part in range(parts):
                here = dpre_here + part * second * size
                dpres, ld_dpres = rows_of_a(operands, here, ld_dpre, rows, n, packed_dpre)
                panels = w1 + part * part_bytes + steps_of(operands, unit) * nr * size
                addend = dx if unit > 0 or part > 0 else np.int64(0)
                multiply_rows(zero, operands, dpres, ld_dpres, panels, deep_hidden, dx, d, addend, d, rows, d, n)
                if with_weights:
                    pack_matrix(zero, operands, here, ld_dpre, d < 0, n, rows, dpre_panels)
                    multiply_transposed(zero, operands, h + start * d * size, d, packed_columns, dpre_panels,
                                        steps_of(operands, rows), own_dw1 + (part * ff + unit) * size, width, d, n, rows)
            if with_weights:
                multiply_transposed(zero, operands, hidden_here, ld_hidden, packed_columns, dout_panels, steps_of(operands, rows),
                                    own_dw2 + unit * d * size, d, n, d, rows)
        if with_weights:
            at = start * d * size
            rmsnorm_rows_backward(zero, own_dh, x + at, gamma, rstd + start * size, dnormed + at, own_dgamma, rows, d)
        start, stop = take(pieces, start + rows, stop, N, np.int64(ROWS), cut, threads)
    if with_weights and last_to_finish(queue, threads):
        add_shares(zero, sums, threads, d * width, dw1)
        add_shares(zero, shares2, threads, ff * d, dw2)
        add_shares(zero, gamma_shares, threads, d, dgamma)


def _pack(operands, bf16, zero, w1, w2, ff, backward):
    """Both matrices, transposed for the backward pass, as products.pack_own wants them, a part of W1 after the other and W2, and
    where their panels are: 0 where they are so small that each thread packs them sooner than all wait for each other."""
    item, d, parts = zero.nbytes, w1.shape[0], w1.shape[1] // ff
    sizes1, sizes2 = ((d, ff), (ff, d)) if backward else ((ff, d), (d, ff))  # (n, k) of a part of W1, and of W2
    part_bytes = panel_bytes(bf16, item, *sizes1)
    rows = [(address(w1) + i * ff * item, parts * ff, backward, *sizes1, i * part_bytes) for i in range(parts)]
    rows.append((address(w2), d, backward, *sizes2, parts * part_bytes))
    matrices, total = np.array(rows, np.int64), parts * part_bytes + panel_bytes(bf16, item, *sizes2)
    if gradients_fit(w1, w2):
        return matrices, 0, _thread_scratch(d, item, total)
    memory = scratch.address("feed_forward_panels", total)
    pack_matrices(zero, operands, matrices, memory)
    return matrices, memory, _thread_scratch(d, item, 0)


def _thread_scratch(d, item, panels):
    """(address, bytes a thread): packed rows, ROWS x UNITS values and the same packed; for the weights' gradients rows of hidden
    and dpre, panels of dout and dpre, columns packed, and dh; and `panels` bytes."""
    rows = d + 2 * UNITS + 2 * OWN_STRIDE + (d + 64) + (UNITS + 64) + (max(d, UNITS) + 64) + d
    size = -(-(ROWS * rows * item + panels) // 64) * 64
    return scratch.address("feed_forward", size * threads_now()), size


def feed_forward_forward(kind, h, w1, w2, pre, out, residual=None, b1=None, b2=None, norm=None, bf16=False):
    """out (N, d) = act(h·w1 (+ b1))·w2 (+ b2) (+ residual); pre (N, ff) is kept, (N, 2 ff) for "swiglu".

    kind: one of KINDS. norm: (kind of norm, x, gamma, beta, eps, rstd), where h (N, d) is to be written first as norm(x). All
    C-contiguous, one dtype. bf16: round what enters products. Overwrites pre and out (and h, rstd).
    """
    (N, d), ff, zero = h.shape, w2.shape[0], h.dtype.type(0)
    operands = operands_of(h.dtype, bf16)
    norm_kind, x, gamma, beta, eps, rstd = (NONE, h, h[0], h[0], 0.0, h[0]) if norm is None else norm
    matrices, panels, memory = _pack(operands, bf16, zero, w1, w2, ff, False)
    b1, b2, residual = (0 if v is None else address(v) for v in (b1, b2, residual))
    _forward(zero, operands, KINDS.index(kind), norm_kind, x, gamma, beta, eps, h, rstd, matrices, panels, b1, b2, residual,
             address(pre), address(out), N, d, ff, *memory)  # fmt: skip


def feed_forward_backward(kind, dout, pre, w1, w2, hidden, dpre, dh, bf16=False):
    """dh (N, d) = gradient of h, from dout (N, d); hidden (N, ff) = act(pre) and dpre (N, ff or 2 ff) fall out on the way:
    dw2 = hiddenᵀ·dout, dw1 = hᵀ·dpre. Overwrites hidden, dpre and dh."""
    _run_backward(kind, dout, pre, w1, w2, address(hidden), address(dpre), address(dh), 0, (0,) * 4, (0,) * 4, bf16)


def feed_forward_backward_with_weights(kind, dout, pre, w1, w2, h, norm, dx, gradients, sums, bf16=False):
    """The same with the weights' gradients in place of hidden and dpre, which then stay in the cache; for small matrices. And
    with the backward pass of h = RMSNorm(x) in place of dh: dx (N, d) += the gradient of x; dx may be dout.

    norm: (x (N, d), gamma (d,), rstd (N,)). gradients: those of w1, w2 and gamma, all added to. sums: (threads · (all their
    sizes),), overwritten: the threads' shares, which are added up in a fixed order.
    """
    step, sums_and_gradients = ([address(v) for v in values] for values in ((*norm, dx), (sums, *gradients)))
    _run_backward(kind, dout, pre, w1, w2, 0, 0, 0, address(h), (*sums_and_gradients,), (*step,), bf16)


def _run_backward(kind, dout, pre, w1, w2, hidden, dpre, dh, h, sums_and_gradients, norm, bf16):
    (N, d), ff, zero = dout.shape, w2.shape[0], dout.dtype.type(0)
    operands = operands_of(dout.dtype, bf16)
    matrices, panels, memory = _pack(operands, bf16, zero, w1, w2, ff, True)
    _backward(zero, operands, KINDS.index(kind), address(dout), address(pre), matrices, panels, hidden, dpre, dh, h,
              sums_and_gradients, norm, N, d, ff, memory)  # fmt: skip


def feed_forward_reference(kind, h, w1, w2, b1=0.0, b2=0.0):
    """Returns (pre, hidden, out)."""
    pre = h @ w1 + b1
    if kind == "swiglu":
        gate, up = np.split(pre, 2, axis=1)
        hidden = silu_reference(gate) * up
    else:
        hidden = {"gelu": gelu_reference, "relu2": relu2_reference, "silu": silu_reference}[kind](pre)
    return pre, hidden, hidden @ w2 + b2
