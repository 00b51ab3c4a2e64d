"""Tokens one after the other through the whole model with a key-value cache, in one compiled call for many tokens.

A single row cannot use register tiles: every product is a vector times a matrix, bound by reading the weights once, so these
are plain loops that LLVM vectorises, one thread a stream. The same arithmetic as the training kernels, to rounding. Streams
(texts that are decoded together) share the reading of the weights and nothing else: each computes what it would alone.

Keys and values lie with the positions innermost, (K, h, T): scores and sums run along them, whatever the head size.
"""

import numpy as np

from .fastmath import LOG2E, exp2
from .feed_forward import SWIGLU, activate
from .jit import inner, jit
from .layernorm import layernorm_row
from .rmsnorm import rmsnorm_row
from .rows import start_of
from .simd import cast
from .vectors import maximum

# `plan`: sizes, kinds (of feed_forward.KINDS, its number) and where in the flat parameters what stands outside the blocks starts
# (-1: there is none)
D, D_FF, HEADS, KV_HEADS, D_HEAD, LAYER_NORM, FEED_FORWARD, EMBED, POSITIONS, FINAL, FINAL_SHIFT, UNEMBED = range(12)
# columns of `offsets`: where a block's parameters start in the flat buffer
ROLES = ("norm1_gamma", "norm1_beta", "w_qkv", "b_qkv", "w_o", "b_o",
         "norm2_gamma", "norm2_beta", "w_ff1", "b_ff1", "w_ff2", "b_ff2")  # fmt: skip
NORM1, SHIFT1, W_QKV, B_QKV, W_O, B_O, NORM2, SHIFT2, W_FF1, B_FF1, W_FF2, B_FF2 = range(12)
PANEL_BYTES = 64 * 1024  # of a matrix that several streams go through, one after the other


@inner
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
@inner
def _linear(p, weight, bias, streams, work, x, k, y, n):
    """y (n,) = x (k,)·W (+ b) of every stream."""
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


@inner
def _norm(p, gamma, beta, is_layer_norm, eps, streams, work, x, d, y):
    """y (d,) = the norm of x (d,) of every stream."""
    for s in streams:
        row, out = work[s, x : x + d], work[s, y : y + d]
        if is_layer_norm:
            layernorm_row(row, p[gamma : gamma + d], p[beta : beta + d], eps, out)
        else:
            rmsnorm_row(row.dtype.type(0), start_of(row), start_of(p[gamma:]), eps, start_of(out), d)


@inner
def _attend(q, keys, values, n, z, scores):
    """z = softmax(q·keys / sqrt(h))·values over the first n positions of keys, values (h, T)."""
    zero = q.dtype.type(0)
    h = q.shape[0]
    scale = cast(zero, LOG2E / np.sqrt(h))
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
    peak = maximum(zero, np.int64(row.ctypes.data), np.int64(n))
    total = zero
    for t in range(n):
        e = exp2(scale * (row[t] - peak))
        row[t] = e
        total += e
    inverse = q.dtype.type(1) / total
    for m in range(h):
        v, inner = values[m], zero
        for t in range(n):
            inner += row[t] * v[t]
        z[m] = inner * inverse


@inner
def _attention(plan, layer, cos, sin, positions, streams, work, qkv, z, scores, keys, values):
    """Turn q and k, put k and v into the caches (S, L, K, h, T), and attend: z (H·h,) from qkv ((H + 2K)·h,)."""
    H, n_kv, h = plan[HEADS], plan[KV_HEADS], plan[D_HEAD]
    half, group = h // 2, H // n_kv
    for s in streams:
        row, at = work[s, qkv:], positions[s]
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


@inner
def _activate(kind, streams, work, pre, hidden, n):
    """hidden (n,) = the activation of pre, which is twice as wide for SwiGLU."""
    for s in streams:
        row = start_of(work[s])
        x = row + pre * work.itemsize
        activate(work.dtype.type(0), kind, x, x + n * work.itemsize, row + hidden * work.itemsize, n)


@inner
def _add(streams, work, x, y, d):
    for s in streams:
        a, b = work[s, x : x + d], work[s, y : y + d]
        for j in range(d):
            a[j] += b[j]


@inner
def _token(p, offsets, plan, eps, cos, sin, tokens, positions, streams, keys, values, work, logits):
    """logits[s] (V,) of the token after tokens[s], which stands at positions[s], for every s of `streams`."""
    d, d_q, ff, is_layer = plan[D], plan[HEADS] * plan[D_HEAD], plan[D_FF], plan[LAYER_NORM] == 1
    d_qkv, d_pre = d_q + 2 * plan[KV_HEADS] * plan[D_HEAD], 2 * ff if plan[FEED_FORWARD] == SWIGLU else ff
    x, norm, out, qkv = 0, d, 2 * d, 3 * d
    z = qkv + d_qkv
    pre = z + d_q
    hidden = pre + d_pre
    scores = hidden + ff
    for s in streams:
        row, start = work[s, :d], plan[EMBED] + tokens[s] * d
        vector = p[start : start + d]
        for j in range(d):
            row[j] = vector[j]
        if plan[POSITIONS] >= 0:
            start = plan[POSITIONS] + positions[s] * d
            vector = p[start : start + d]
            for j in range(d):
                row[j] += vector[j]
    for layer in range(offsets.shape[0]):
        at = offsets[layer]
        _norm(p, at[NORM1], at[SHIFT1], is_layer, eps, streams, work, x, d, norm)
        _linear(p, at[W_QKV], at[B_QKV], streams, work, norm, d, qkv, d_qkv)
        _attention(plan, layer, cos, sin, positions, streams, work, qkv, z, scores, keys, values)
        _linear(p, at[W_O], at[B_O], streams, work, z, d_q, out, d)
        _add(streams, work, x, out, d)
        _norm(p, at[NORM2], at[SHIFT2], is_layer, eps, streams, work, x, d, norm)
        _linear(p, at[W_FF1], at[B_FF1], streams, work, norm, d, pre, d_pre)
        _activate(plan[FEED_FORWARD], streams, work, pre, hidden, ff)
        _linear(p, at[W_FF2], at[B_FF2], streams, work, hidden, ff, out, d)
        _add(streams, work, x, out, d)
    _norm(p, plan[FINAL], plan[FINAL_SHIFT], is_layer, eps, streams, work, x, d, norm)
    for v in range(logits.shape[1]):
        row = p[plan[UNEMBED] + v * d : plan[UNEMBED] + (v + 1) * d]
        for s in streams:
            h, total = work[s, norm : norm + d], p.dtype.type(0)
            for j in range(d):
                total += row[j] * h[j]
            logits[s, v] = total


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
def decode(p, offsets, plan, eps, cos, sin, tokens, positions, streams, steps, stops, found, counts, keys, values, work, logits):
    """Up to `steps` greedy tokens for every stream whose number is in `streams`; with steps 1, the logits to sample from.

    tokens, positions: (S,), the newest token of each stream, which is not in the cache yet, and where it stands; both go on
    with the text. found: (S, steps) receives the likeliest tokens, counts: (S,) how many: a stream ends after a token of
    `stops` (V,) or when its cache is full; a found -1 tells that the largest logit is not finite. logits: (S, V), of the last step.

    p: the flat parameters; offsets: (L, 12) and plan: see above; cos, sin: rotary tables, or no rows. keys, values:
    (S, L, K, h, T), filled up to `positions`; work: (S, 3d + d_qkv + d_q + d_ff (twice for SwiGLU) + d_ff + T).

    On the calling thread, without the GIL: threads of Python's take a share of the streams each.
    """
    active = streams.copy()
    going_on = active.shape[0]
    for step in range(steps):
        _token(p, offsets, plan, eps, cos, sin, tokens, positions, active[:going_on], keys, values, work, logits)
        ended = 0
        for i in range(going_on):
            s = active[i]
            best = _likeliest(logits[s])
            positions[s] += 1
            found[s, step] = best
            counts[s] += 1
            tokens[s] = best
            if best < 0 or stops[best] or positions[s] == keys.shape[4]:
                ended += 1
            else:
                active[i - ended] = s
        going_on -= ended
        if going_on == 0:
            break
