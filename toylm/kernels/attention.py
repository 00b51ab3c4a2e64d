"""Causal multi-head attention, softmax(q·kᵀ / sqrt(h))·v, on the fused rows (q | k | v) of a projection.

Heads may share keys and values in groups (Ainslie et al. 2023, "GQA"): of H heads and K key-value heads, head n reads key-value
head n // (H / K). With K = H every head has its own.

The (T, T) matrix is never stored in training: a thread takes one head of one sequence, computes QUERIES rows of scores at a
time in scratch that stays in its cache, and keeps of each row only log sum exp. The backward pass computes the rows again
from q, k and that number (Dao et al. 2022, with whole rows in place of the online softmax: T values a row fit the cache).

Shapes: qkv (B·T, (H + 2K)·h), z (B·T, H·h), log_sums (B·T, H). Head n's columns are n·h to (n + 1)·h of each of q, k, v and z.
"""

import math

import numpy as np

from .exponentials import padded_exponentials, softmax_gradients
from .fastmath import LOG2E, log
from .jit import jit
from .memory import address, scratch
from .operands import operands_of, rows_of_a, steps_of
from .parallel import parallel
from .placement import threads_now
from .products import multiply_rows, multiply_transposed, pack_matrix
from .rows import rows_of
from .simd import MR, cast, item_size, load, panel_width, store
from .vectors import clear_padded, dot, maximum, scale_row

QUERIES = 48  # rows of scores at a time, a multiple of every MR


# Rows `start` and later of the (T, T) matrix end at the diagonal. Products with them go by tiles of MR rows, each as far as its
# last row: what lies beyond is neither computed nor read.


@jit
def _scores(zero, operands, a, lda, packed, panels, c, ldc, start, rows, h):
    """C[i, :start+i+1] = A[i] · B, for A (rows, h) and B's packed panels of depth h. Whole panels are written."""
    size, nr = item_size(zero), panel_width(zero)
    for i in range(0, rows, MR):
        tile = min(np.int64(MR), rows - i)
        n = (start + i + tile + nr - 1) // nr * nr
        here = a + i * lda * size
        x, ldx = rows_of_a(operands, here, lda, tile, h, packed)
        multiply_rows(zero, operands, x, ldx, panels, steps_of(operands, h), c + i * ldc * size, ldc, np.int64(0), ldc,
                      tile, n, h)  # fmt: skip


@jit
def _mix(zero, operands, p, ldp, packed, panels, depth, c, ldc, start, rows, h):
    """C[i] = P[i, :start+i+1] · B, for C (rows, h) and B's packed panels of `depth` rows; P is zero up to its tile's last row."""
    size = item_size(zero)
    for i in range(0, rows, MR):
        tile = min(np.int64(MR), rows - i)
        here, k = p + i * ldp * size, start + i + tile
        x, ldx = rows_of_a(operands, here, ldp, tile, k, packed)
        multiply_rows(zero, operands, x, ldx, panels, steps_of(operands, depth), c + i * ldc * size, ldc, np.int64(0),
                      ldc, tile, h, k)  # fmt: skip


@jit
def _mix_transposed(zero, operands, p, ldp, packed, panels, c, ldc, start, rows, h):
    """C[:start+rows] += Pᵀ · B, for P (rows, start+rows) and the packed panels of B (rows, h), rows at most QUERIES."""
    size, nr, depth = item_size(zero), panel_width(zero), steps_of(operands, rows)
    if start > 0:
        multiply_transposed(zero, operands, p, ldp, packed, panels, depth, c, ldc, start, h, rows)
    for i in range(0, rows, MR):  # columns start + i and later are zero above row i
        multiply_transposed(zero, operands, p + (i * ldp + start + i) * size, ldp, packed,
                            panels + steps_of(operands, i) * nr * size, depth, c + (start + i) * ldc * size, ldc,
                            min(np.int64(MR), rows - i), h, rows - i)  # fmt: skip


# Rows of scores end anywhere, in buffers with room for whole vectors: "padded" rows (vectors.py).


@jit
def _exponentials(zero, row, n, end, scale):
    """row[:n] = exp(scale · row - its maximum), zero from n to `end`. Returns (maximum, sum)."""
    scale2 = scale * cast(zero, LOG2E)
    peak = maximum(zero, row, n)
    sum_of_row = padded_exponentials(zero, row, n, scale2, scale2 * peak)
    clear_padded(zero, row, n, end)
    return scale * peak, sum_of_row


@jit
def _score_gradients(zero, row, drow, n, end, scale, log_sum, inner):
    """row = p = exp(scale · row - log_sum), drow = p · (drow - inner) · scale, both zero from n to `end`."""
    log2e = cast(zero, LOG2E)
    softmax_gradients(zero, row, drow, n, scale * log2e, log_sum * log2e, inner, scale)
    clear_padded(zero, row, n, end)
    clear_padded(zero, drow, n, end)


@jit
def _head_forward(zero, operands, q, k, v, ldq, z, ldz, log_sums, ld_log, probabilities, T, h, scratch):
    size, nr = item_size(zero), panel_width(zero)
    width = (T + nr - 1) // nr * nr
    keys = scratch
    values = keys + width * h * size
    totals = values + (h + nr) * T * size
    peaks = totals + QUERIES * size
    scores = peaks + QUERIES * size
    packed = scores + QUERIES * width * size
    scale = cast(zero, 1.0 / math.sqrt(h))
    one = cast(zero, 1)
    pack_matrix(zero, operands, k, ldq, T > 0, T, h, keys)
    pack_matrix(zero, operands, v, ldq, T < 0, h, T, values)
    for start in range(0, T, QUERIES):
        rows = min(np.int64(QUERIES), T - start)
        _scores(zero, operands, q + start * ldq * size, ldq, packed, keys, scores, width, start, rows, h)
        for i in range(rows):
            end = start + min(i // MR * MR + MR, rows)
            peak, sum_of_row = _exponentials(zero, scores + i * width * size, start + i + 1, end, scale)
            store(peak, peaks, i)
            store(sum_of_row, totals, i)
        for i in range(rows):
            store(load(zero, peaks, i) + log(load(zero, totals, i)), log_sums, (start + i) * ld_log)
        if probabilities != 0:
            for i in range(rows):
                row, inverse = scores + i * width * size, one / load(zero, totals, i)
                for j in range(start + i + 1):
                    store(load(zero, row, j) * inverse, probabilities, (start + i) * T + j)
                for j in range(start + i + 1, T):
                    store(zero, probabilities, (start + i) * T + j)
        out = z + start * ldz * size
        _mix(zero, operands, scores, width, packed, values, T, out, ldz, start, rows, h)
        for i in range(rows):  # h values a row are fewer than its scores
            scale_row(zero, out + i * ldz * size, h, one / load(zero, totals, i))


@jit
def _head_backward(zero, operands, q, k, v, ldq, z, dz, ldz, log_sums, ld_log, dq, dk, dv, T, h, scratch):
    """dq = the gradient of q; dk and dv += those of k and v."""
    size, nr = item_size(zero), panel_width(zero)
    width = (T + nr - 1) // nr * nr
    keys_t = scratch
    values_t = keys_t + width * h * size
    keys = values_t + width * h * size
    block_panels = keys + (h + nr) * T * size
    scores = block_panels + (h + nr) * QUERIES * size
    dscores = scores + QUERIES * width * size
    packed = dscores + QUERIES * width * size
    scale = cast(zero, 1.0 / math.sqrt(h))
    pack_matrix(zero, operands, k, ldq, T > 0, T, h, keys_t)
    pack_matrix(zero, operands, v, ldq, T > 0, T, h, values_t)
    pack_matrix(zero, operands, k, ldq, T < 0, h, T, keys)
    for start in range(0, T, QUERIES):
        rows = min(np.int64(QUERIES), T - start)
        q_here, dz_here = q + start * ldq * size, dz + start * ldz * size
        # forward again: scores = q·kᵀ, then p = exp(scale · scores - log sum)
        _scores(zero, operands, q_here, ldq, packed, keys_t, scores, width, start, rows, h)
        # z = p·v, so dp = dz·vᵀ
        _scores(zero, operands, dz_here, ldz, packed, values_t, dscores, width, start, rows, h)
        for i in range(rows):
            n, end = start + i + 1, start + min(i // MR * MR + MR, rows)
            row, drow = scores + i * width * size, dscores + i * width * size
            log_sum = load(zero, log_sums, (start + i) * ld_log)
            # sum_j dp_j p_j = dz · z
            inner = dot(zero, dz_here + i * ldz * size, z + (start + i) * ldz * size, h)
            _score_gradients(zero, row, drow, n, end, scale, log_sum, inner)
        _mix(zero, operands, dscores, width, packed, keys, T, dq + start * ldq * size, ldq, start, rows, h)
        pack_matrix(zero, operands, q_here, ldq, T < 0, h, rows, block_panels)
        _mix_transposed(zero, operands, dscores, width, packed, block_panels, dk, ldq, start, rows, h)
        pack_matrix(zero, operands, dz_here, ldz, T < 0, h, rows, block_panels)
        _mix_transposed(zero, operands, scores, width, packed, block_panels, dv, ldq, start, rows, h)


@parallel
def _forward(zero, operands, q, out, logs, probabilities, B, T, H, K, h, scratch, scratch_bytes, threads, thread):
    size = item_size(zero)
    ldq, ldz = (H + 2 * K) * h, H * h
    start, stop = rows_of(B * H, threads, thread)
    for pair in range(start, stop):
        row, head = pair // H * T, pair % H
        shared = head // (H // K)
        at = q + row * ldq * size
        p = probabilities + pair * T * T * size if probabilities != 0 else np.int64(0)
        _head_forward(zero, operands, at + head * h * size, at + (H + shared) * h * size, at + (H + K + shared) * h * size, ldq,
                      out + (row * ldz + head * h) * size, ldz, logs + (row * H + head) * size, H, p, T, h,
                      scratch + thread * scratch_bytes)


@parallel
def _backward(zero, operands, q, out, dout, logs, dq, B, T, H, K, h, scratch, scratch_bytes, threads, thread):
    size = item_size(zero)
    ldq, ldz, group = (H + 2 * K) * h, H * h, H // K
    # A thread takes all the heads that share keys and values, one after the other: their gradients add up in one order.
    start, stop = rows_of(B * K, threads, thread)
    for pair in range(start, stop):
        row, shared = pair // K * T, pair % K
        at = row * ldq * size
        k_at, v_at = at + (H + shared) * h * size, at + (H + K + shared) * h * size
        for i in range(T):
            for j in range(h):
                store(zero, dq + k_at, i * ldq + j)
                store(zero, dq + v_at, i * ldq + j)
        for head in range(shared * group, (shared + 1) * group):
            q_at, z_at = at + head * h * size, (row * ldz + head * h) * size
            _head_backward(zero, operands, q + q_at, q + k_at, q + v_at, ldq, out + z_at, dout + z_at, ldz,
                           logs + (row * H + head) * size, H, dq + q_at, dq + k_at, dq + v_at, T, h,
                           scratch + thread * scratch_bytes)


def _thread_scratch(T, h, item):
    """(address, bytes a thread) of scratch: packed k and v, and QUERIES rows of scores (twice in the backward pass)."""
    width = T + 64
    elements = 3 * width * (h + 64) + QUERIES * (2 * h + 66) + 3 * QUERIES * width
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
              size)  # fmt: skip


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
