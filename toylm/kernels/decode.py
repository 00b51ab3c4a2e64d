"""Tokens one after the other through the whole model with a key-value cache, in one compiled call for many tokens.

A single row cannot use register tiles: every product is a vector times a matrix, bound by reading the weights once, so these
are plain loops that LLVM vectorises, one thread a stream. The same arithmetic as the training kernels, to rounding. Streams
(texts that are decoded together) share the reading of the weights and nothing else: each computes what it would alone.

Keys and values lie with the positions innermost, (K, h, T): scores and sums run along them, whatever the head size.
"""

from typing import NamedTuple

import numpy as np

from .jit import call, device_function, jit, start_of
from .tile import cast
from .vectors import LOG2E, exp2, maximum


class Plan(NamedTuple):
    """Sizes, what norm and activation are (addresses of NormRows.forward and ActivationRows.forward), and where in the flat
    parameters what stands outside the blocks starts (-1: there is none)."""

    d: int
    d_ff: int
    d_ff_in: int
    heads: int
    kv_heads: int
    d_head: int
    valid_ids: int
    norm: int
    activation: int
    eps: float
    embed: int
    positions: int
    smear: int
    final_gamma: int
    final_beta: int
    unembed: int


class Weights(NamedTuple):
    """The flat parameters, `offsets` (L, 12) into them (see ROLES), and rotary tables, or no rows."""

    flat: np.ndarray
    offsets: np.ndarray
    cos: np.ndarray
    sin: np.ndarray


class Streams(NamedTuple):
    """Of S streams. tokens, positions: (S,), the newest token of each, which is not in the cache yet, and where it stands; before:
    (S,), the token before it; all go on with the text. found: (S, steps) receives the likeliest tokens, counts: (S,) how many.
    keys, values: (S, L, K, h, T), filled up to `positions`. work: (S, work_size(...)). logits: (S, V), of the last step."""

    tokens: np.ndarray
    before: np.ndarray
    positions: np.ndarray
    found: np.ndarray
    counts: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    work: np.ndarray
    logits: np.ndarray


# columns of `offsets`: where a block's parameters start in the flat buffer
ROLES = ("norm1_gamma", "norm1_beta", "w_qkv", "b_qkv", "w_o", "b_o",
         "norm2_gamma", "norm2_beta", "w_ff1", "b_ff1", "w_ff2", "b_ff2")  # fmt: skip
NORM1, SHIFT1, W_QKV, B_QKV, W_O, B_O, NORM2, SHIFT2, W_FF1, B_FF1, W_FF2, B_FF2 = range(12)
PANEL_BYTES = 64 * 1024  # of a matrix that several streams go through, one after the other


@device_function
def vector_matrix(x, w, stride, y):
    """y = x·W; x (k,), y (n,); row i of W starts at w[i · stride]."""
    k, n = x.shape[0], y.shape[0]
    for j in range(n):
        y[j] = 0
    whole = k // 4 * 4
    for i in range(0, whole, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        at = i * stride
        w0, w1 = w[at : at + n], w[at + stride : at + stride + n]
        w2, w3 = w[at + 2 * stride : at + 2 * stride + n], w[at + 3 * stride : at + 3 * stride + n]
        for j in range(n):
            y[j] += a * w0[j] + b * w1[j] + c * w2[j] + d * w3[j]
    for i in range(whole, k):
        a = x[i]
        w0 = w[i * stride : i * stride + n]
        for j in range(n):
            y[j] += a * w0[j]


# A stream's activations are columns of its row of `work` (S, W), named by where they start: slices of a row are known to be
# contiguous, columns of a matrix are not, and would not be vectorised.
@device_function
def _linear(p, layer, streams, work, x, y, shape):
    """y (n,) = x (k,)·W (+ b) of every stream; layer: where W and b start, b at -1 for none; shape: (k, n)."""
    (weight, bias), (k, n) = layer, shape
    panel = n if streams.shape[0] == 1 else max(64, PANEL_BYTES // (4 * k) // 64 * 64)
    for first in range(0, n, panel):
        last = min(first + panel, n)
        for s in streams:
            vector_matrix(work[s, x : x + k], p[weight + first : weight + k * n], n, work[s, y + first : y + last])
    if bias >= 0:
        b = p[bias : bias + n]
        for s in streams:
            out = work[s, y : y + n]
            for j in range(n):
                out[j] += b[j]


@device_function
def _norm(plan, p, gamma, beta, streams, work, x, y):
    """y (d,) = the norm of x (d,) of every stream. A norm without a shift has beta -1, and reads none."""
    for s in streams:
        row = start_of(work[s])
        size = work.itemsize
        # the last element of a row receives the norm's rstd, for which there is no use
        call(plan.norm, (p.dtype.type(0), row + x * size, start_of(p[gamma:]), start_of(p[max(beta, 0) :]), plan.eps,
                         row + y * size, row + (work.shape[1] - 1) * size, plan.d))  # fmt: skip


@device_function
def _attend(q, keys, values, n, z, scores):
    """z = softmax(q·keys / sqrt(h))·values over the first n positions of keys, values (h, T)."""
    like = q.dtype.type(0)
    h = q.shape[0]
    scale = cast(like, LOG2E / np.sqrt(h))
    row = scores[:n]
    for t in range(n):
        row[t] = 0
    whole = h // 4 * 4
    for m in range(0, whole, 4):
        a, b, c, d = q[m], q[m + 1], q[m + 2], q[m + 3]
        k0, k1, k2, k3 = keys[m], keys[m + 1], keys[m + 2], keys[m + 3]
        for t in range(n):
            row[t] += a * k0[t] + b * k1[t] + c * k2[t] + d * k3[t]
    for m in range(whole, h):
        a, k0 = q[m], keys[m]
        for t in range(n):
            row[t] += a * k0[t]
    peak = maximum(like, start_of(row), np.int64(n))
    total = cast(like, 0)
    for t in range(n):
        e = exp2(scale * (row[t] - peak))
        row[t] = e
        total += e
    inverse = q.dtype.type(1) / total
    for m in range(h):
        v, inner = values[m], cast(like, 0)
        for t in range(n):
            inner += row[t] * v[t]
        z[m] = inner * inverse


@device_function
def _attention(plan, weights, layer, state, streams, qkv, z, scores):
    """Rotate q and k, put k and v into the caches (S, L, K, h, T), and attend: z (H·h,) from qkv ((H + 2K)·h,)."""
    H, n_kv, h = plan.heads, plan.kv_heads, plan.d_head
    half, group = h // 2, H // n_kv
    cos, sin, work, keys, values = weights.cos, weights.sin, state.work, state.keys, state.values
    for s in streams:
        row, at = work[s, qkv:], state.positions[s]
        if cos.shape[0] > 0:
            for head in range(H + n_kv):
                low, high = row[head * h : head * h + half], row[head * h + half : (head + 1) * h]
                for m in range(half):
                    a, b = low[m], high[m]
                    low[m] = a * cos[at, m] - b * sin[at, m]
                    high[m] = b * cos[at, m] + a * sin[at, m]
        for shared in range(n_kv):
            k, v = row[(H + shared) * h : (H + shared + 1) * h], row[(H + n_kv + shared) * h : (H + n_kv + shared + 1) * h]
            for m in range(h):
                keys[s, layer, shared, m, at] = k[m]
                values[s, layer, shared, m, at] = v[m]
            for head in range(shared * group, (shared + 1) * group):
                _attend(row[head * h : (head + 1) * h], keys[s, layer, shared], values[s, layer, shared], at + 1,
                        work[s, z + head * h : z + (head + 1) * h], work[s, scores:])


@device_function
def _activate(plan, streams, work, pre, hidden):
    """hidden (d_ff,) = the activation of pre (d_ff_in,)."""
    for s in streams:
        row, size = start_of(work[s]), work.itemsize
        x = row + pre * size
        call(plan.activation, (work.dtype.type(0), x, x + plan.d_ff * size, row + hidden * size, plan.d_ff))


@device_function
def _add(streams, work, x, y, d):
    for s in streams:
        a, b = work[s, x : x + d], work[s, y : y + d]
        for j in range(d):
            a[j] += b[j]


@device_function
def _token(plan, weights, state, streams):
    """state.logits[s] (V,) of the token after state.tokens[s] for every s of `streams`."""
    p, work = weights.flat, state.work
    d, d_q = plan.d, plan.heads * plan.d_head
    d_qkv = d_q + 2 * plan.kv_heads * plan.d_head
    x, norm, out, qkv = 0, d, 2 * d, 3 * d
    z = qkv + d_qkv
    pre = z + d_q
    hidden = pre + plan.d_ff_in
    scores = hidden + plan.d_ff
    for s in streams:
        row, start = work[s, :d], plan.embed + state.tokens[s] * d
        vector = p[start : start + d]
        for j in range(d):
            row[j] = vector[j]
        if plan.positions >= 0:
            start = plan.positions + state.positions[s] * d
            vector = p[start : start + d]
            for j in range(d):
                row[j] += vector[j]
        if plan.smear >= 0 and state.positions[s] > 0:
            share, start = p[plan.smear : plan.smear + d], plan.embed + state.before[s] * d
            vector = p[start : start + d]
            for j in range(d):
                row[j] += share[j] * vector[j]
            if plan.positions >= 0:
                start = plan.positions + (state.positions[s] - 1) * d
                vector = p[start : start + d]
                for j in range(d):
                    row[j] += share[j] * vector[j]
    for layer in range(weights.offsets.shape[0]):
        at = weights.offsets[layer]
        _norm(plan, p, at[NORM1], at[SHIFT1], streams, work, x, norm)
        _linear(p, (at[W_QKV], at[B_QKV]), streams, work, norm, qkv, (d, d_qkv))
        _attention(plan, weights, layer, state, streams, qkv, z, scores)
        _linear(p, (at[W_O], at[B_O]), streams, work, z, out, (d_q, d))
        _add(streams, work, x, out, d)
        _norm(plan, p, at[NORM2], at[SHIFT2], streams, work, x, norm)
        _linear(p, (at[W_FF1], at[B_FF1]), streams, work, norm, pre, (d, plan.d_ff_in))
        _activate(plan, streams, work, pre, hidden)
        _linear(p, (at[W_FF2], at[B_FF2]), streams, work, hidden, out, (plan.d_ff, d))
        _add(streams, work, x, out, d)
    _norm(plan, p, plan.final_gamma, plan.final_beta, streams, work, x, norm)
    for v in range(state.logits.shape[1]):
        row = p[plan.unembed + v * d : plan.unembed + (v + 1) * d]
        for s in streams:
            h, total = work[s, norm : norm + d], p.dtype.type(0)
            for j in range(d):
                total += row[j] * h[j]
            state.logits[s, v] = total


@jit
def _likeliest(logits):
    """Index of the first largest value, -1 where that is infinite or any is NaN."""
    peak, nans = maximum(logits.dtype.type(0), start_of(logits), np.int64(logits.shape[0])), 0
    for v in range(logits.shape[0]):
        nans += np.isnan(logits[v])  # which `maximum` passes over
    if nans > 0 or not np.isfinite(peak):
        return -1
    for v in range(logits.shape[0]):
        if logits[v] == peak:
            return v
    return -1


@jit
def decode(plan, weights, state, streams, steps, stops):
    """Up to `steps` greedy tokens for every stream whose number is in `streams`; with steps 1, the logits to sample from.

    A stream ends after a token of `stops` (V,) or when its cache is full; a found -1 tells that the largest logit is not finite.
    On the calling thread, without the GIL: threads of Python's take a share of the streams each.
    """
    active = streams.copy()
    going_on = active.shape[0]
    for step in range(steps):
        _token(plan, weights, state, active[:going_on])
        ended = 0
        for i in range(going_on):
            s = active[i]
            best = _likeliest(state.logits[s, : plan.valid_ids])
            state.positions[s] += 1
            state.found[s, step] = best
            state.counts[s] += 1
            state.before[s], state.tokens[s] = state.tokens[s], best
            if best < 0 or stops[best] or state.positions[s] == state.keys.shape[4]:
                ended += 1
            else:
                active[i - ended] = s
        going_on -= ended
        if going_on == 0:
            break


def work_size(config):
    """Columns of Streams.work: three rows of d, q | k | v, heads, the hidden units before and after, scores, and one more."""
    c = config
    return 3 * c.d_model + c.d_qkv + c.d_q + c.d_ff_in + c.d_ff + c.context_length + 1
