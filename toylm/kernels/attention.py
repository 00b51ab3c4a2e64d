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

import numpy as np

from .attention_projections import inputs_backward, outputs_backward, projections_scratch
from .exponentials import softmax_columns, softmax_gradient_columns
from .fastmath import LOG2E, log
from .jit import inner
from .memory import address, scratch
from .operands import few_columns_of_a, operands_of, row_unit, rows_of_a, steps_of, tiles
from .parallel import parallel
from .placement import threads_now
from .products import gradients_fit, pack_matrix, pack_own, panel_bytes
from .rows import last_to_finish, own_share, rows_of, take
from .simd import NR_F32, cast, item_size, load, panel_width, store
from .vectors import add_shares, clear, dot, scale_row

QUERIES = 3 * NR_F32  # columns of scores at a time: a multiple of every tile's rows and of every panel's width
SEQUENCE_BYTES = 256 * 1024  # of one sequence's dqkv, which a thread keeps beside its sums of the projections' gradients
NO_TURN = (0,) * 4
NO_PROJECTIONS = np.zeros((0, 6), np.int64), (0,) * 12, NO_TURN  # for `_backward`: matrices, projections, turn


# Query i of a block that starts at `start` attends to keys 0 to start + i. Products with its scores go by tiles of queries, as far
# as the last one's keys; its column holds zeros from there on to the end of what any tile of its panel reads.


@inner
def _keys_of(operands, start, queries, T):
    """How many keys the tile that query number `queries` - 1 of the block is in, or any before, attends to."""
    unit = row_unit(operands)
    return min(T, start + (queries + unit - 1) // unit * unit)


@inner
def _scores(zero, operands, a, lda, panels, c, start, rows, T, h):
    """C[j, i] = A[j] · B[i] for all keys j of query i: A (T, h) from `rows_of_a`, B's packed panels, C (T, QUERIES)."""
    size, nr, steps = item_size(zero), panel_width(zero), steps_of(operands, h)
    for first in range(0, rows, nr):
        tiles(operands, a, lda, lda, False, panels + first * steps * size, c + first * size, QUERIES, np.int64(0), np.int64(0),
              _keys_of(operands, start, first + nr, T), nr, steps)


@inner
def _mix(zero, operands, p, packed, panels, c, ldc, start, rows, T, h):
    """C[i] = sum over query i's keys j of P[j, i] · B[j], for P (T, QUERIES), B's packed panels, T deep, and C (rows, h)."""
    size, nr, depth = item_size(zero), panel_width(zero), steps_of(operands, T)
    a, lda, step = few_columns_of_a(operands, p, QUERIES, rows, _keys_of(operands, start, rows, T), packed)
    unit = row_unit(operands)
    for i in range(0, rows, unit):
        steps = steps_of(operands, _keys_of(operands, start, i + unit, T))
        for first in range(0, h, nr):
            tiles(operands, a + i * step * size, lda, step, True, panels + first * depth * size, c + (i * ldc + first) * size, ldc,
                  np.int64(0), np.int64(0), min(unit, rows - i), min(nr, h - first), steps)


@inner
def _mix_transposed(zero, operands, p, packed, panels, c, ldc, start, rows, T, h):
    """C[j] += sum over the queries i of key j of P[j, i] · B[i], for P (T, QUERIES), B's packed panels, `rows` deep, C (T, h)."""
    size, nr, depth = item_size(zero), panel_width(zero), steps_of(operands, rows)
    done = np.int64(0)
    for query in range(0, rows, nr):  # the keys that no query before this one attends to
        stop = _keys_of(operands, start, query + nr, T)
        a, lda = rows_of_a(operands, p + (done * QUERIES + query) * size, QUERIES, stop - done, rows - query, packed)
        for first in range(0, h, nr):
            here = c + (done * ldc + first) * size
            tiles(operands, a, lda, lda, False, panels + (first * depth + steps_of(operands, query) * nr) * size, here, ldc, here,
                  ldc, stop - done, min(nr, h - first), steps_of(operands, rows - query))
        done = stop


@inner
def _head_forward(zero, operands, q, k, v, ldq, z, ldz, log_sums, ld_log, probabilities, T, h, scratch):
    size, nr = item_size(zero), panel_width(zero)
    values = scratch
    queries = values + (h + nr) * T * size
    peaks = queries + QUERIES * (h + 1) * size
    totals = peaks + QUERIES * size
    scores = totals + QUERIES * size
    packed_keys = scores + QUERIES * T * size
    packed = packed_keys + T * (h + 1) * size
    scale, one, ln2 = cast(zero, LOG2E / math.sqrt(h)), cast(zero, 1), cast(zero, 1.0 / LOG2E)
    keys, ldk = rows_of_a(operands, k, ldq, T, h, packed_keys)
    pack_matrix(zero, operands, v, ldq, T < 0, h, T, values)
    for start in range(0, T, QUERIES):
        rows = min(np.int64(QUERIES), T - start)
        pack_matrix(zero, operands, q + start * ldq * size, ldq, T > 0, rows, h, queries)
        _scores(zero, operands, keys, ldk, queries, scores, start, rows, T, h)
        for first in range(0, rows, nr):
            at = first * size
            stop = _keys_of(operands, start, first + nr, T)
            softmax_columns(zero, scores + at, np.int64(QUERIES), start + first, stop, scale, peaks + at, totals + at)
        for i in range(rows):
            store(ln2 * load(zero, peaks, i) + log(load(zero, totals, i)), log_sums, (start + i) * ld_log)
        if probabilities != 0:
            for i in range(rows):
                inverse, row = one / load(zero, totals, i), probabilities + (start + i) * T * size
                for j in range(start + i + 1):
                    store(load(zero, scores, j * QUERIES + i) * inverse, row, j)
                for j in range(start + i + 1, T):
                    store(zero, row, j)
        out = z + start * ldz * size
        _mix(zero, operands, scores, packed, values, out, ldz, start, rows, T, h)
        for i in range(rows):  # h values a query are fewer than its scores
            scale_row(zero, out + i * ldz * size, h, one / load(zero, totals, i))


@inner
def _head_backward(zero, operands, q, k, v, ldq, z, dz, ldz, log_sums, ld_log, dq, dk, dv, T, h, scratch):
    """dq = the gradient of q; dk and dv += those of k and v."""
    size, nr = item_size(zero), panel_width(zero)
    key_panels = scratch
    queries = key_panels + (h + nr) * T * size
    dzs = queries + QUERIES * (h + nr) * size
    sums = dzs + QUERIES * (h + nr) * size
    inners = sums + QUERIES * size
    scores = inners + QUERIES * size
    dscores = scores + QUERIES * T * size
    packed_keys = dscores + QUERIES * T * size
    packed_values = packed_keys + T * (h + 1) * size
    packed = packed_values + T * (h + 1) * size
    log2e, factor = cast(zero, LOG2E), cast(zero, 1.0 / math.sqrt(h))
    keys, ldk = rows_of_a(operands, k, ldq, T, h, packed_keys)
    values, ldv = rows_of_a(operands, v, ldq, T, h, packed_values)
    pack_matrix(zero, operands, k, ldq, T < 0, h, T, key_panels)
    for start in range(0, T, QUERIES):
        rows = min(np.int64(QUERIES), T - start)
        q_here, dz_here = q + start * ldq * size, dz + start * ldz * size
        # forward again: scores = q·kᵀ, then p = exp(scores / sqrt(h) - log sum)
        pack_matrix(zero, operands, q_here, ldq, T > 0, rows, h, queries)
        _scores(zero, operands, keys, ldk, queries, scores, start, rows, T, h)
        # z = p·v, so dp = dz·vᵀ
        pack_matrix(zero, operands, dz_here, ldz, T > 0, rows, h, dzs)
        _scores(zero, operands, values, ldv, dzs, dscores, start, rows, T, h)
        for i in range(rows):
            store(log2e * load(zero, log_sums, (start + i) * ld_log), sums, i)
            # sum_j dp_j p_j = dz · z
            store(dot(zero, dz_here + i * ldz * size, z + (start + i) * ldz * size, h), inners, i)
        for first in range(0, rows, nr):
            at = first * size
            stop = _keys_of(operands, start, first + nr, T)
            softmax_gradient_columns(zero, scores + at, dscores + at, np.int64(QUERIES), start + first, stop, log2e * factor,
                                     sums + at, inners + at, factor)  # fmt: skip
        _mix(zero, operands, dscores, packed, key_panels, dq + start * ldq * size, ldq, start, rows, T, h)
        pack_matrix(zero, operands, q_here, ldq, T < 0, h, rows, queries)
        _mix_transposed(zero, operands, dscores, packed, queries, dk, ldq, start, rows, T, h)
        pack_matrix(zero, operands, dz_here, ldz, T < 0, h, rows, dzs)
        _mix_transposed(zero, operands, scores, packed, dzs, dv, ldq, start, rows, T, h)


@parallel
def _forward(zero, operands, q, out, logs, probabilities, B, T, H, K, h, scratch, scratch_bytes, threads, thread, queue):
    size = item_size(zero)
    ldq, ldz = (H + 2 * K) * h, H * h
    pair, stop = own_share(B * H, np.int64(1), np.int64(1), threads, thread)
    while pair < stop:
        row, head = pair // H * T, pair % H
        shared = head // (H // K)
        at = q + row * ldq * size
        p = probabilities + pair * T * T * size if probabilities != 0 else np.int64(0)
        _head_forward(zero, operands, at + head * h * size, at + (H + shared) * h * size, at + (H + K + shared) * h * size, ldq,
                      out + (row * ldz + head * h) * size, ldz, logs + (row * H + head) * size, H, p, T, h,
                      scratch + thread * scratch_bytes)
        pair, stop = take(queue, pair + 1, stop, B * H, np.int64(1), np.int64(1), threads)


@parallel
def _backward(zero, operands, q, out, dout, logs, dq, B, T, H, K, h, scratch, scratch_bytes, matrices, projections, turn,
              threads, thread, queue):  # fmt: skip
    size = item_size(zero)
    ldq, ldz, group = (H + 2 * K) * h, H * h, H // K
    normed, x, gamma, rstd, dx, sums, dw_qkv, dw_o, dgamma, d, panel_elements, own_elements = projections
    with_projections = normed != 0  # dout is then what comes after W_o, and dz and dqkv stay here
    o_panels = scratch + thread * scratch_bytes
    own_dz = o_panels + panel_elements * size
    own_dqkv = own_dz + T * ldz * size
    memory = own_dz + own_elements * size
    qkv_shares, o_shares = sums, sums + threads * d * ldq * size
    gamma_shares = o_shares + threads * ldz * d * size
    own_qkv, own_o, own_gamma = (
        qkv_shares + thread * d * ldq * size, o_shares + thread * ldz * d * size, gamma_shares + thread * d * size
    )  # fmt: skip
    pieces = queue  # whence what others have left is taken; 0: from nowhere
    qkv_panels = o_panels
    if with_projections:  # fixed shares of the sequences: sums must keep their order
        pack_own(zero, operands, matrices, o_panels)
        qkv_panels += matrices[1, 5]
        clear(zero, own_qkv, d * ldq)
        clear(zero, own_o, ldz * d)
        clear(zero, own_gamma, d)
        first, last = rows_of(B, threads, thread)
        pair, stop, pieces = first * K, last * K, np.int64(0)
    else:
        pair, stop = own_share(B * K, np.int64(1), np.int64(1), threads, thread)
    # A thread takes all the heads that share keys and values, one after the other: their gradients add up in one order.
    while pair < stop:
        row, shared = pair // K * T, pair % K
        at, z_at = row * ldq * size, row * ldz * size
        dz_here, dq_here = dout + z_at, dq + at
        if with_projections:
            dz_here, dq_here = own_dz, own_dqkv
            if shared == 0:
                outputs_backward(zero, operands, dout + row * d * size, out + z_at, o_panels, own_dz, own_o, T, d, ldz,
                                 own_dqkv + T * ldq * size)  # fmt: skip
        k_at, v_at = (H + shared) * h * size, (H + K + shared) * h * size
        for i in range(T):
            for j in range(h):
                store(zero, dq_here + k_at, i * ldq + j)
                store(zero, dq_here + v_at, i * ldq + j)
        for head in range(shared * group, (shared + 1) * group):
            column = head * h * size
            _head_backward(zero, operands, q + at + column, q + at + k_at, q + at + v_at, ldq, out + z_at + column,
                           dz_here + column, ldz, logs + (row * H + head) * size, H, dq_here + column, dq_here + k_at,
                           dq_here + v_at, T, h, memory)  # fmt: skip
        if with_projections and shared == K - 1:
            here = row * d * size
            inputs_backward(zero, operands, own_dqkv, normed + here, qkv_panels, own_qkv, x + here, gamma, rstd + row * size,
                            dx + here, own_gamma, turn, T, d, ldq, own_dqkv + T * ldq * size)  # fmt: skip
        pair, stop = take(pieces, pair + 1, stop, B * K, np.int64(1), np.int64(1), threads)
    if with_projections and last_to_finish(queue, threads):
        add_shares(zero, qkv_shares, threads, d * ldq, dw_qkv)
        add_shares(zero, o_shares, threads, ldz * d, dw_o)
        add_shares(zero, gamma_shares, threads, d, dgamma)


def _thread_scratch(T, h, item, more=0):
    """(address, bytes a thread) of scratch: `more` elements, packed rows, and the scores of QUERIES queries (twice in the backward
    pass)."""
    elements = more + T * (3 * h + 66) + QUERIES * (2 * h + 134) + 3 * QUERIES * (T + 1)
    size = -(-elements * item // 64) * 64
    return scratch.address("attention", size * threads_now()), size


def _sizes(qkv, z, T, H):
    """(B, K, h) from the shapes: what q does not take of the columns, k and v share."""
    h = z.shape[1] // H
    return qkv.shape[0] // T, (qkv.shape[1] // h - H) // 2, h


def attention_forward(qkv, z, log_sums, T, H, probabilities=None, bf16=False):
    """z = attention of the fused projections qkv; log_sums receives log sum exp of every row of scores.

    qkv: (B·T, (H + 2K)·h), z: (B·T, H·h), log_sums: (B·T, H); C-contiguous, one dtype. K, the number of key-value heads, divides
    H. probabilities: (B, H, T, T) to store the attention matrices, or None. bf16: round what enters products; softmax and sums
    stay float32. Overwrites z, log_sums and probabilities.
    """
    B, K, h = _sizes(qkv, z, T, H)
    memory, size = _thread_scratch(T, h, qkv.itemsize)
    store_at = 0 if probabilities is None else address(probabilities)
    zero = qkv.dtype.type(0)
    _forward(zero, operands_of(qkv.dtype, bf16), address(qkv), address(z), address(log_sums), store_at, B, T, H, K, h, memory, size)


def attention_backward(qkv, z, dz, log_sums, dqkv, T, H, bf16=False):
    """dqkv = gradient of the fused projections, from dz (B·T, H·h); overwrites dqkv (B·T, (H + 2K)·h)."""
    B, K, h = _sizes(qkv, z, T, H)
    memory, size = _thread_scratch(T, h, qkv.itemsize)
    zero, operands = qkv.dtype.type(0), operands_of(qkv.dtype, bf16)
    _backward(zero, operands, address(qkv), address(z), address(dz), address(log_sums), address(dqkv), B, T, H, K, h, memory,
              size, *NO_PROJECTIONS)  # fmt: skip


def projection_gradients_fit(w_qkv, w_o, B, T):
    """Whether `attention_backward_with_projections` is for these: what a thread keeps fits its second-level cache, and B
    sequences can be shared out evenly."""
    threads = threads_now()
    return (
        gradients_fit(w_qkv, w_o)
        and T * w_qkv.shape[1] * w_qkv.itemsize <= SEQUENCE_BYTES
        and -(-B // threads) * threads * 9 <= B * 10
    )


def attention_backward_with_projections(qkv, z, dout, log_sums, T, H, w_qkv, w_o, h, norm, dx, gradients, sums, turn=None,
                                        bf16=False):  # fmt: skip
    """From dout (B·T, d), the gradient of z·w_o, to dx (B·T, d) += that of x in qkv = h·w_qkv, h = RMSNorm(x).

    w_qkv: (d, (H + 2K)·h), w_o: (H·h, d). norm: (x (B·T, d), gamma (d,), rstd (B·T,)). turn: rotary positions as (cos, sin, heads
    that turn), or None. dx may be dout. gradients: those of w_qkv, w_o and gamma, all added to. sums: (threads · (all their
    sizes),), overwritten: the threads' shares, which are added up in a fixed order.
    """
    B, K, width = _sizes(qkv, z, T, H)
    zero, operands, d, n = qkv.dtype.type(0), operands_of(qkv.dtype, bf16), w_o.shape[1], w_qkv.shape[1]
    bytes_o = panel_bytes(bf16, zero.nbytes, w_o.shape[0], d)
    panels = (bytes_o + panel_bytes(bf16, zero.nbytes, d, n)) // zero.nbytes
    rows = [(address(w_o), d, True, w_o.shape[0], d, 0), (address(w_qkv), n, True, d, n, bytes_o)]
    own = projections_scratch(T, d, w_o.shape[0], n)
    memory, size = _thread_scratch(T, width, zero.nbytes, panels + own)
    arrays = [address(v) for v in (h, *norm, dx, sums, *gradients)]
    turns = NO_TURN if turn is None else (address(turn[0]), address(turn[1]), turn[2], width)
    _backward(zero, operands, address(qkv), address(z), address(dout), address(log_sums), 0, B, T, H, K, width, memory, size,
              np.array(rows, np.int64), (*arrays, d, panels, own), turns)  # fmt: skip


def _split(qkv, T, H, K):
    """q (B, H, T, h), k and v (B, K, T, h) of the fused rows."""
    heads = qkv.reshape(-1, T, H + 2 * K, qkv.shape[1] // (H + 2 * K)).transpose(0, 2, 1, 3)
    return heads[:, :H], heads[:, H : H + K], heads[:, H + K :]


def _merge(x):
    """(B, H, T, h) -> (B·T, H·h)."""
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0] * x.shape[2], -1)


def attention_reference(qkv, T, H, K=None):
    """Returns (z, probabilities). K: key-value heads; None: H."""
    q, k, v = _split(qkv, T, H, K or H)
    k, v = (np.repeat(x, H // (K or H), axis=1) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    scores = np.where(np.tril(np.ones((T, T), bool)), scores, -np.inf)
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return _merge(p @ v), p


def attention_backward_reference(qkv, dz, T, H, K=None):
    """Returns dqkv."""
    K = K or H
    q, k, v = _split(qkv, T, H, K)
    k, v = (np.repeat(x, H // K, axis=1) for x in (k, v))
    _, p = attention_reference(qkv, T, H, K)
    dz = dz.reshape(-1, T, H, q.shape[-1]).transpose(0, 2, 1, 3)
    dp = dz @ v.swapaxes(-1, -2)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / math.sqrt(q.shape[-1])
    shared = [x.reshape(len(x), K, H // K, T, -1).sum(axis=2) for x in (ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ dz)]
    return np.concatenate([_merge(x) for x in (ds @ k, *shared)], axis=1)
