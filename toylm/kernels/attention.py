"""Causal multi-head attention, softmax(q·kᵀ / sqrt(h))·v, on the fused rows (q | k | v) of a projection.

Heads may share keys and values in groups (Ainslie et al. 2023, "GQA"): of H heads and K key-value heads, head n reads key-value
head n // (H / K). With K = H every head has its own.

The (T, T) matrix is never stored in training: a thread takes one head of one sequence, computes the scores of QUERIES queries
at a time in scratch that stays in its cache, and keeps of each query only log sum exp. The backward pass computes the scores
again from q, k and that number (Dao et al. 2022, with all keys of a query in place of the online softmax: they fit the cache).

Scores lie transposed, a key a row and a query a column: a vector then holds the scores of as many queries, and maxima and sums
over keys go from row to row, never across a vector.

Shapes: qkv (B·T, (H + 2K)·h), z (B·T, H·h), log_sums (B·T, H). Head n's columns are n·h to (n + 1)·h of each of q, k, v and z.
"""

import math
from typing import NamedTuple

import numpy as np

from .arithmetic import TileRows, arithmetic_of, few_columns_of_a, part, rows_of_a, steps_of, tiles
from .jit import device_function, parallel, rows_of, threads_now
from .matmul import ROWS, multiply_rows, multiply_transposed, pack, pack_matrix, panel_bytes
from .memory import LINE, address, scratch
from .norm import NormRows, add_shares, norm_rows_backward
from .rope import rotate_row
from .tile import NR_F32, Matrix, cast, item_size, load, panel_width, store
from .vectors import LOG2E, clear, dot, log, scale_row, softmax_columns, softmax_gradient_columns

QUERIES = 3 * NR_F32  # columns of scores at a time: a multiple of every tile's rows and of every panel's width
SEQUENCE_BYTES = 256 * 1024  # of one sequence's dqkv, which a thread keeps beside its sums of the projections' gradients
WEIGHT_BYTES = 256 * 1024  # of projections whose gradients each thread sums for itself, in its second-level cache
SHARES_BYTES = 4 * 2**20  # of all threads' sums
BORDER = 64  # elements beyond a row that packing may write, at least NR
NONE = Matrix(0, 0)


class Sizes(NamedTuple):
    """B sequences of T tokens; H heads of h values, K of them for keys and values; memory, thread_bytes: of the threads'
    scratch."""

    B: int
    T: int
    H: int
    K: int
    h: int
    memory: int
    thread_bytes: int


class Head(NamedTuple):
    """One head of one sequence; log_sums: H elements from query to query."""

    q: Matrix
    k: Matrix
    v: Matrix
    z: Matrix
    log_sums: Matrix


class HeadGradients(NamedTuple):
    dz: Matrix
    dq: Matrix
    dk: Matrix
    dv: Matrix


@device_function
def _columns(like, sizes, rows, head):
    """q, k and v of a head in the fused rows of a sequence."""
    h, shared = sizes.h, head // (sizes.H // sizes.K)
    return (part(like, rows, 0, head * h), part(like, rows, 0, (sizes.H + shared) * h),
            part(like, rows, 0, (sizes.H + sizes.K + shared) * h))  # fmt: skip


@device_function
def _head(like, sizes, qkv, z, log_sums, sequence, head):
    """The Head from addresses."""
    T, H, h = sizes.T, sizes.H, sizes.h
    q, k, v = _columns(like, sizes, part(like, Matrix(qkv, (H + 2 * sizes.K) * h), sequence * T, 0), head)
    return Head(q, k, v, part(like, Matrix(z, H * h), sequence * T, head * h), part(like, Matrix(log_sums, H), sequence * T, head))


# Query i of a block that starts at `start` attends to keys 0 to start + i. Products with its scores go by tiles of queries, as far
# as the last one's keys; its column holds zeros from there on to the end of what any tile of its panel reads.


@device_function
def _keys_of(arithmetic, start, queries, T):
    """How many keys the tile that query number `queries` - 1 of the block is in, or any before, attends to."""
    unit = arithmetic.row_unit
    return min(T, start + (queries + unit - 1) // unit * unit)


@device_function
def _scores(like, arithmetic, a, panels, c, block, h):
    """C[j, i] = A[j] · B[i] for all keys j of query i: A (T, h) of `rows_of_a`, B's packed panels, C (T, QUERIES).
    block: (its first query, queries, T)."""
    start, rows, T = block
    size, nr, steps = item_size(like), panel_width(like), steps_of(arithmetic, h)
    for first in range(0, rows, nr):
        here, keys = part(like, c, 0, first), _keys_of(arithmetic, start, first + nr, T)
        tiles(like, arithmetic, a, panels + first * steps * size, here, NONE, (keys, nr), steps)


@device_function
def _mix(like, arithmetic, p, packed, panels, c, block, h):
    """C[i] = sum over query i's keys j of P[j, i] · B[j], for P (T, QUERIES), B's packed panels, T deep, and C (rows, h)."""
    start, rows, T = block
    size, nr, depth = item_size(like), panel_width(like), steps_of(arithmetic, T)
    a = few_columns_of_a(like, arithmetic, p, rows, _keys_of(arithmetic, start, rows, T), packed)
    unit = arithmetic.row_unit
    for i in range(0, rows, unit):
        steps = steps_of(arithmetic, _keys_of(arithmetic, start, i + unit, T))
        from_i = TileRows(a.at + i * a.step * size, a.stride, a.step, a.by_columns)
        for first in range(0, h, nr):
            tiles(like, arithmetic, from_i, panels + first * depth * size, part(like, c, i, first), NONE,
                  (min(unit, rows - i), min(nr, h - first)), steps)  # fmt: skip


@device_function
def _mix_transposed(like, arithmetic, p, packed, panels, c, block, h):
    """C[j] += sum over the queries i of key j of P[j, i] · B[i], for P (T, QUERIES), B's packed panels, `rows` deep, C (T, h)."""
    start, rows, T = block
    size, nr, depth = item_size(like), panel_width(like), steps_of(arithmetic, rows)
    done = np.int64(0)
    for query in range(0, rows, nr):  # the keys that no query before this one attends to
        stop = _keys_of(arithmetic, start, query + nr, T)
        a = rows_of_a(like, arithmetic, part(like, p, done, query), stop - done, rows - query, packed)
        for first in range(0, h, nr):
            here = part(like, c, done, first)
            tiles(like, arithmetic, a, panels + (first * depth + steps_of(arithmetic, query) * nr) * size, here, here,
                  (stop - done, min(nr, h - first)), steps_of(arithmetic, rows - query))  # fmt: skip
        done = stop


@device_function
def _head_forward(like, arithmetic, head, probabilities, T, h, memory):
    """z and log_sums of a head; probabilities: address of a (T, T) matrix, or 0."""
    size, nr = item_size(like), panel_width(like)
    values = memory
    queries = values + (h + nr) * T * size
    peaks = queries + QUERIES * (h + 1) * size
    totals = peaks + QUERIES * size
    scores = Matrix(totals + QUERIES * size, np.int64(QUERIES))
    packed_keys = scores.at + QUERIES * T * size
    packed = packed_keys + T * (h + 1) * size
    scale, one, ln2 = cast(like, LOG2E / math.sqrt(h)), cast(like, 1), cast(like, 1.0 / LOG2E)
    keys = rows_of_a(like, arithmetic, head.k, T, h, packed_keys)
    pack_matrix(like, arithmetic, head.v, False, h, T, values)
    for start in range(0, T, QUERIES):
        rows = min(np.int64(QUERIES), T - start)
        block = (start, rows, T)
        pack_matrix(like, arithmetic, part(like, head.q, start, 0), True, rows, h, queries)
        _scores(like, arithmetic, keys, queries, scores, block, h)
        for first in range(0, rows, nr):
            at, stop = first * size, _keys_of(arithmetic, start, first + nr, T)
            softmax_columns(like, scores.at + at, (np.int64(QUERIES), start + first, stop), scale, peaks + at, totals + at)
        for i in range(rows):
            store(ln2 * load(like, peaks, i) + log(load(like, totals, i)), head.log_sums.at, (start + i) * head.log_sums.stride)
        if probabilities != 0:
            for i in range(rows):
                inverse, row = one / load(like, totals, i), probabilities + (start + i) * T * size
                for j in range(start + i + 1):
                    store(load(like, scores.at, j * QUERIES + i) * inverse, row, j)
                for j in range(start + i + 1, T):
                    store(cast(like, 0), row, j)
        out = part(like, head.z, start, 0)
        _mix(like, arithmetic, scores, packed, values, out, block, h)
        for i in range(rows):  # h values a query are fewer than its scores
            scale_row(like, part(like, out, i, 0).at, h, one / load(like, totals, i))


@device_function
def _head_backward(like, arithmetic, head, gradients, T, h, memory):
    """dq = the gradient of q; dk and dv += those of k and v."""
    size, nr = item_size(like), panel_width(like)
    key_panels = memory
    queries = key_panels + (h + nr) * T * size
    dzs = queries + QUERIES * (h + nr) * size
    sums = dzs + QUERIES * (h + nr) * size
    inners = sums + QUERIES * size
    scores = Matrix(inners + QUERIES * size, np.int64(QUERIES))
    dscores = Matrix(scores.at + QUERIES * T * size, np.int64(QUERIES))
    packed_keys = dscores.at + QUERIES * T * size
    packed_values = packed_keys + T * (h + 1) * size
    packed = packed_values + T * (h + 1) * size
    log2e, factor = cast(like, LOG2E), cast(like, 1.0 / math.sqrt(h))
    keys = rows_of_a(like, arithmetic, head.k, T, h, packed_keys)
    values = rows_of_a(like, arithmetic, head.v, T, h, packed_values)
    pack_matrix(like, arithmetic, head.k, False, h, T, key_panels)
    for start in range(0, T, QUERIES):
        rows = min(np.int64(QUERIES), T - start)
        block = (start, rows, T)
        q, dz, z = part(like, head.q, start, 0), part(like, gradients.dz, start, 0), part(like, head.z, start, 0)
        # forward again: scores = q·kᵀ, then p = exp(scores / sqrt(h) - log sum)
        pack_matrix(like, arithmetic, q, True, rows, h, queries)
        _scores(like, arithmetic, keys, queries, scores, block, h)
        # forward: z = p·v, so dp = dz·vᵀ
        pack_matrix(like, arithmetic, dz, True, rows, h, dzs)
        _scores(like, arithmetic, values, dzs, dscores, block, h)
        for i in range(rows):
            store(log2e * load(like, head.log_sums.at, (start + i) * head.log_sums.stride), sums, i)
            # sum_j dp_j p_j = dz · z
            store(dot(like, part(like, dz, i, 0).at, part(like, z, i, 0).at, h), inners, i)
        for first in range(0, rows, nr):
            at, stop = first * size, _keys_of(arithmetic, start, first + nr, T)
            softmax_gradient_columns(like, scores.at + at, dscores.at + at, (np.int64(QUERIES), start + first, stop),
                                     log2e * factor, sums + at, inners + at, factor)  # fmt: skip
        # forward: scores = q·kᵀ / sqrt(h)
        _mix(like, arithmetic, dscores, packed, key_panels, part(like, gradients.dq, start, 0), block, h)
        pack_matrix(like, arithmetic, q, False, h, rows, queries)
        _mix_transposed(like, arithmetic, dscores, packed, queries, gradients.dk, block, h)
        # forward: z = p·v
        pack_matrix(like, arithmetic, dz, False, h, rows, dzs)
        _mix_transposed(like, arithmetic, scores, packed, dzs, gradients.dv, block, h)


@device_function
def _group_backward(like, arithmetic, sizes, addresses, sequence, group, gradients, memory):
    """All the heads that share the keys and values number `group`, one after the other: their gradients add up in one order.
    addresses: of qkv, z, log_sums; gradients: (dz, dqkv), each the Matrix of the sequence."""
    heads, (dz, dqkv) = sizes.H // sizes.K, gradients
    for head in range(group * heads, (group + 1) * heads):
        found = _head(like, sizes, addresses[0], addresses[1], addresses[2], sequence, head)
        dq, dk, dv = _columns(like, sizes, dqkv, head)
        if head == group * heads:
            for i in range(sizes.T):
                clear(like, part(like, dk, i, 0).at, sizes.h)
                clear(like, part(like, dv, i, 0).at, sizes.h)
        of_head = HeadGradients(part(like, dz, 0, head * sizes.h), dq, dk, dv)
        _head_backward(like, arithmetic, found, of_head, sizes.T, sizes.h, memory)


@parallel
def _forward(like, arithmetic, sizes, qkv, z, log_sums, probabilities, threads, thread):
    start, stop = rows_of(sizes.B * sizes.H, threads, thread)
    for i in range(start, stop):
        found = _head(like, sizes, qkv, z, log_sums, i // sizes.H, i % sizes.H)
        p = probabilities + i * sizes.T * sizes.T * item_size(like) if probabilities != 0 else np.int64(0)
        _head_forward(like, arithmetic, found, p, sizes.T, sizes.h, sizes.memory + thread * sizes.thread_bytes)


@parallel
def _backward(like, arithmetic, sizes, addresses, dz, dqkv, threads, thread):
    T, n, n_z = sizes.T, (sizes.H + 2 * sizes.K) * sizes.h, sizes.H * sizes.h
    start, stop = rows_of(sizes.B * sizes.K, threads, thread)
    for i in range(start, stop):
        sequence = i // sizes.K
        gradients = part(like, Matrix(dz, n_z), sequence * T, 0), part(like, Matrix(dqkv, n), sequence * T, 0)
        _group_backward(like, arithmetic, sizes, addresses, sequence, i % sizes.K, gradients,
                        sizes.memory + thread * sizes.thread_bytes)  # fmt: skip


# -- the backward pass of small models: from behind the output projection to before the norm, one sequence after the other ---
# A thread then keeps dz, dq | dk | dv and its share of the weights' gradients in its second-level cache, and none of them goes
# through memory.


class Projections(NamedTuple):
    """Addresses. dout: gradient of z·W_o; h = norm(x) (rows_backward: of NormRows); panels of the transposed weights; shares of the
    threads' gradients of W_qkv, W_o, gamma and beta; cos, sin: of the rotary positions, 0 for none, of `rotated` heads."""

    dout: int
    h: int
    x: int
    gamma: int
    rstd: int
    dx: int
    qkv_panels: int
    o_panels: int
    shares: int
    rows_backward: int
    cos: int
    sin: int
    rotated: int
    d: int


@device_function
def _linear_backward(like, arithmetic, dy, x, panels, gradients, shape, memory):
    """dx (rows, k) = dy·Wᵀ and dW (k, n) += xᵀ·dy, for y = x·W and shape (rows, k, n), at most ROWS rows. panels: of Wᵀ;
    gradients: (dx, dW)."""
    (rows, k, n), (dx, dw) = shape, gradients
    dy_panels = memory + ROWS * (max(n, k) + BORDER) * item_size(like)
    dy_rows = rows_of_a(like, arithmetic, dy, rows, n, memory)
    multiply_rows(like, arithmetic, dy_rows, panels, steps_of(arithmetic, n), dx, NONE, (rows, k, n))
    pack_matrix(like, arithmetic, dy, False, n, rows, dy_panels)
    multiply_transposed(like, arithmetic, x, memory, dy_panels, dw, (k, n, rows))


@parallel
def _backward_with_projections(like, arithmetic, sizes, addresses, p, threads, thread):
    size, T, d, h, n = item_size(like), sizes.T, p.d, sizes.h, (sizes.H + 2 * sizes.K) * sizes.h
    n_z = sizes.H * h
    dz = Matrix(sizes.memory + thread * sizes.thread_bytes, n_z)
    dqkv = Matrix(dz.at + T * n_z * size, n)
    dh = Matrix(dqkv.at + T * n * size, d)
    memory = dh.at + ROWS * d * size
    own = p.shares + thread * (d * n + n_z * d + 2 * d) * size
    clear(like, own, d * n + n_z * d + 2 * d)
    dw_qkv, dw_o = Matrix(own, n), Matrix(own + d * n * size, d)
    dgamma = dw_o.at + n_z * d * size
    first, last = rows_of(sizes.B, threads, thread)
    for sequence in range(first, last):
        for start in range(0, T, ROWS):
            row, rows = sequence * T + start, min(np.int64(ROWS), T - start)
            # forward: out = residual + z·W_o
            _linear_backward(like, arithmetic, part(like, Matrix(p.dout, d), row, 0), part(like, Matrix(addresses[1], n_z), row, 0),
                             p.o_panels, (part(like, dz, start, 0), dw_o), (rows, n_z, d), memory)  # fmt: skip
        # forward: z = heads of softmax(q·kᵀ / sqrt(h))·v
        for group in range(sizes.K):
            _group_backward(like, arithmetic, sizes, addresses, sequence, group, (dz, dqkv), memory)
        for start in range(0, T, ROWS):
            row, rows, here = sequence * T + start, min(np.int64(ROWS), T - start), part(like, dqkv, start, 0)
            # forward: q and k rotated by their positions
            if p.cos != 0:
                for i in range(rows):
                    angle = (start + i) * (h // 2) * size
                    rotate_row(cast(like, -1), part(like, here, i, 0).at, p.cos + angle, p.sin + angle, p.rotated, h, n * size)
            # forward: qkv = h·W_qkv
            _linear_backward(like, arithmetic, here, part(like, Matrix(p.h, d), row, 0), p.qkv_panels, (dh, dw_qkv), (rows, d, n),
                             memory)  # fmt: skip
            # forward: h = norm(x)
            at = row * d * size
            step = (dh.at, p.x + at, p.gamma, p.rstd + row * size, p.dx + at, dgamma, dgamma + d * size)
            norm_rows_backward(like, p.rows_backward, step, rows, d)


# -- from Python -----------------------------------------------------------------------------------------------------------


def _sizes(qkv, z, T, H, nbytes):
    """The Sizes from the shapes, what q does not take of the columns being k's and v's, with `nbytes` of scratch."""
    h = z.shape[1] // H
    memory = scratch.address("attention", nbytes)
    return Sizes(len(qkv) // T, T, H, (qkv.shape[1] // h - H) // 2, h, memory, nbytes // threads_now())


def attention_scratch(item, T, h, more=0):
    """Bytes of the threads' scratch: packed rows, the scores of QUERIES queries, twice in the backward pass, and `more` elements.
    item: bytes of a value."""
    elements = more + T * (3 * h + 66) + QUERIES * (2 * h + 134) + 3 * QUERIES * (T + 1)
    return -(-elements * item // LINE) * LINE * threads_now()


def attention_forward(qkv, z, log_sums, T, H, probabilities=None, bf16=False):
    """z = attention of the fused projections qkv; log_sums receives log sum exp of every row of scores.

    qkv: (B·T, (H + 2K)·h), z: (B·T, H·h), log_sums: (B·T, H); C-contiguous, one dtype. K, the number of key-value heads, divides
    H. probabilities: (B, H, T, T) to store the attention matrices, or None. bf16: round what enters products; softmax and sums
    stay float32. Overwrites z, log_sums and probabilities.
    """
    store_at = 0 if probabilities is None else address(probabilities)
    sizes = _sizes(qkv, z, T, H, attention_scratch(qkv.itemsize, T, z.shape[1] // H))
    _forward(qkv.dtype.type(0), arithmetic_of(qkv.dtype, bf16), sizes, address(qkv), address(z), address(log_sums), store_at)


def attention_backward(qkv, z, dz, log_sums, dqkv, T, H, bf16=False):
    """dqkv = gradient of the fused projections, from dz (B·T, H·h); overwrites dqkv (B·T, (H + 2K)·h)."""
    addresses = address(qkv), address(z), address(log_sums)
    sizes = _sizes(qkv, z, T, H, attention_scratch(qkv.itemsize, T, z.shape[1] // H))
    _backward(qkv.dtype.type(0), arithmetic_of(qkv.dtype, bf16), sizes, addresses, address(dz), address(dqkv))


def projection_gradients_fit(d, d_qkv, d_q, item, B, T):
    """Whether `attention_backward_with_projections` is for these sizes (`item` bytes a value): what a thread keeps fits its
    second-level cache, and B sequences can be shared out evenly."""
    threads, size = threads_now(), d * (d_qkv + d_q) * item
    return (
        size <= WEIGHT_BYTES
        and size * threads <= SHARES_BYTES
        and T * d_qkv * item <= SEQUENCE_BYTES
        and -(-B // threads) * threads * 9 <= B * 10
    )


class Kept(NamedTuple):
    """What the forward pass leaves: its arguments."""

    qkv: np.ndarray
    z: np.ndarray
    log_sums: np.ndarray
    T: int
    H: int


class NormStep(NamedTuple):
    """The norm h = norm(x) before the projections: its NormRows, h and x (B·T, d), gamma (d,), rstd (B·T,)."""

    rows: NormRows
    h: np.ndarray
    x: np.ndarray
    gamma: np.ndarray
    rstd: np.ndarray


def attention_backward_with_projections(kept, dout, dx, weights, norm, gradients, rotary=None, bf16=False):
    """From dout (B·T, d), the gradient of z·w_o, to dx (B·T, d) += that of x in qkv = h·w_qkv, h = norm(x).

    kept: Kept. dx may be dout. weights: w_qkv (d, (H + 2K)·h) and w_o (H·h, d). norm: NormStep. gradients: those of w_qkv, w_o,
    gamma (and beta), flat, all added to; each thread sums up its own, which are then added in a fixed order. rotary: (cos, sin,
    rotated heads), or None.
    """
    (qkv, z, log_sums, T, H), (w_qkv, w_o) = kept, weights
    arithmetic, (d, n), n_z, item = arithmetic_of(qkv.dtype, bf16), w_qkv.shape, len(w_o), qkv.itemsize
    sizes, panels_size, shares_size = projections_scratch(arithmetic, item, T, z.shape[1] // H, d, n, n_z)
    panels, shares = scratch.address("attention_panels", panels_size), scratch.address("attention_shares", shares_size)
    qkv_panels = pack(arithmetic, w_o, True, panels)
    pack(arithmetic, w_qkv, True, qkv_panels)
    cos, sin, rotated = (0, 0, 0) if rotary is None else (address(rotary[0]), address(rotary[1]), rotary[2])
    arrays = (dout, norm.h, norm.x, norm.gamma, norm.rstd, dx)
    projections = Projections(*map(address, arrays), qkv_panels, panels, shares, norm.rows.backward, cos, sin, rotated, d)
    addresses = address(qkv), address(z), address(log_sums)
    _backward_with_projections(qkv.dtype.type(0), arithmetic, _sizes(qkv, z, T, H, sizes), addresses, projections)
    stride = w_qkv.size + w_o.size + 2 * d
    for gradient in gradients:
        add_shares(shares, threads_now(), stride, gradient)
        shares += gradient.nbytes


def projections_scratch(arithmetic, item, T, h, d, n, n_z):
    """Bytes of scratch: of the threads' rows, the packed matrices, and the threads' gradients; for w_qkv (d, n), w_o (n_z, d)."""
    rows = attention_scratch(item, T, h, T * (n_z + n) + ROWS * (2 * (max(n_z, n, d) + BORDER) + d) + 48)
    panels = panel_bytes(arithmetic, item, n_z, d) + panel_bytes(arithmetic, item, d, n)
    return rows, panels, threads_now() * d * (n + n_z + 2) * item
