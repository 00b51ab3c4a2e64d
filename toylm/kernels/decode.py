"""Tokens one after the other through the whole model with a key-value cache, in one compiled call for many tokens.

A single row cannot use register tiles: every product is a vector times a matrix, bound by reading the weights once, so these
are plain loops that LLVM vectorises, one thread a stream. The same arithmetic as the training kernels, to rounding. Streams
(texts that are decoded together) share the reading of the weights and nothing else: each computes what it would alone.

Keys and values lie with the positions innermost, (K, h, T): scores and sums run along them, whatever the head size.
"""

import numpy as np
from numba import prange

from .fastmath import exp
from .gelu import C, K
from .jit import jit, parallel
from .layernorm import layernorm_row
from .rows import rows_of
from .simd import cast, maximum

# `plan`: sizes, kinds and where in the flat parameters what stands outside the blocks starts (-1: there is none)
D, D_FF, HEADS, KV_HEADS, D_HEAD, LAYER_NORM, FEED_FORWARD, EMBED, POSITIONS, FINAL, FINAL_SHIFT, UNEMBED = range(12)
GELU, RELU2, SILU, SWIGLU = range(4)  # plan[FEED_FORWARD]
FEED_FORWARDS = ("gelu", "relu2", "silu", "swiglu")
# columns of `offsets`: where a block's parameters start in the flat buffer
ROLES = ("norm1_gamma", "norm1_beta", "w_qkv", "b_qkv", "w_o", "b_o",
         "norm2_gamma", "norm2_beta", "w_ff1", "b_ff1", "w_ff2", "b_ff2")  # fmt: skip
NORM1, SHIFT1, W_QKV, B_QKV, W_O, B_O, NORM2, SHIFT2, W_FF1, B_FF1, W_FF2, B_FF2 = range(12)
PANEL_BYTES = 64 * 1024  # of a matrix that several streams go through, one after the other


@jit
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


@jit
def _linear(p, weight, bias, streams, x, y):
    """y[s] = x[s]·W (+ b) for every s of `streams`; x (S, k), y (S, n)."""
    k, n = x.shape[1], y.shape[1]
    panel = n if streams.shape[0] == 1 else max(64, PANEL_BYTES // (4 * k) // 64 * 64)
    for first in range(0, n, panel):
        last = min(first + panel, n)
        for s in streams:
            vector_matrix(x[s], p[weight + first : weight + k * n], n, y[s, first:last])
    if bias >= 0:
        for s in streams:
            for j in range(n):
                y[s, j] += p[bias + j]


@jit
def _norm(p, gamma, beta, is_layer_norm, eps, streams, x, y):
    """y[s] = the norm of x[s], (S, d)."""
    d = x.shape[1]
    gain = p[gamma : gamma + d]
    for s in streams:
        row, out = x[s], y[s]
        if is_layer_norm:
            layernorm_row(row, gain, p[beta : beta + d], eps, out)
            continue
        total = row.dtype.type(0)
        for j in range(d):
            total += row[j] * row[j]
        scale = row.dtype.type(1) / np.sqrt(total / row.dtype.type(d) + row.dtype.type(eps))
        for j in range(d):
            out[j] = row[j] * scale * gain[j]


@jit
def _attend(q, keys, values, n, z, scores):
    """z = softmax(q·keys / sqrt(h))·values over the first n positions of keys, values (h, T)."""
    zero = q.dtype.type(0)
    h = q.shape[0]
    scale = cast(zero, 1.0 / np.sqrt(h))
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
        e = exp(scale * (row[t] - peak))
        row[t] = e
        total += e
    inverse = q.dtype.type(1) / total
    for m in range(h):
        v, inner = values[m], zero
        for t in range(n):
            inner += row[t] * v[t]
        z[m] = inner * inverse


@jit
def _attention(plan, layer, cos, sin, positions, streams, qkv, keys, values, z, scores):
    """Turn q and k, put k and v into the caches (S, L, K, h, T), and attend: z (S, H·h) from qkv (S, (H + 2K)·h)."""
    H, n_kv, h = plan[HEADS], plan[KV_HEADS], plan[D_HEAD]
    half, group = h // 2, H // n_kv
    for s in streams:
        row, at = qkv[s], positions[s]
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
                here = slice(head * h, (head + 1) * h)
                _attend(row[here], keys[s, layer, shared], values[s, layer, shared], at + 1, z[s, here], scores)


# One function an activation: an exponential that is inlined under an `if` confuses Numba's bookkeeping of variables.
@jit
def _gelu(x, y):
    one, c2, k = x.dtype.type(1), x.dtype.type(-2.0 * C), x.dtype.type(K)
    for j in range(y.shape[0]):
        v = x[j]
        y[j] = v / (one + exp(c2 * (v + k * v * v * v)))


@jit
def _relu2(x, y):
    zero = x.dtype.type(0)
    for j in range(y.shape[0]):
        v = x[j] if x[j] > zero else zero
        y[j] = v * v


@jit
def _silu(x, y):
    one = x.dtype.type(1)
    for j in range(y.shape[0]):
        y[j] = x[j] / (one + exp(-x[j]))


@jit
def _activate(kind, streams, pre, hidden):
    """hidden[s] = the activation of pre[s], which is twice as wide for SwiGLU."""
    n = hidden.shape[1]
    for s in streams:
        x, y = pre[s], hidden[s]
        if kind == GELU:
            _gelu(x, y)
        elif kind == RELU2:
            _relu2(x, y)
        else:
            _silu(x, y)
        if kind == SWIGLU:
            for j in range(n):
                y[j] *= x[n + j]


@jit
def _add(streams, x, y):
    for s in streams:
        a, b = x[s], y[s]
        for j in range(a.shape[0]):
            a[j] += b[j]


@jit
def _token(p, offsets, plan, eps, cos, sin, tokens, positions, streams, keys, values, x, norm, qkv, z, out, pre, hidden, scores,
           logits):
    """logits[s] (V,) of the token after tokens[s], which stands at positions[s], for every s of `streams`."""
    d, is_layer, embed, learned = plan[D], plan[LAYER_NORM] == 1, plan[EMBED], plan[POSITIONS]
    for s in streams:
        row, start = x[s], embed + tokens[s] * d
        for j in range(d):
            row[j] = p[start + j]
        if learned >= 0:
            start = learned + positions[s] * d
            for j in range(d):
                row[j] += p[start + j]
    for layer in range(offsets.shape[0]):
        at = offsets[layer]
        _norm(p, at[NORM1], at[SHIFT1], is_layer, eps, streams, x, norm)
        _linear(p, at[W_QKV], at[B_QKV], streams, norm, qkv)
        _attention(plan, layer, cos, sin, positions, streams, qkv, keys, values, z, scores)
        _linear(p, at[W_O], at[B_O], streams, z, out)
        _add(streams, x, out)
        _norm(p, at[NORM2], at[SHIFT2], is_layer, eps, streams, x, norm)
        _linear(p, at[W_FF1], at[B_FF1], streams, norm, pre)
        _activate(plan[FEED_FORWARD], streams, pre, hidden)
        _linear(p, at[W_FF2], at[B_FF2], streams, hidden, out)
        _add(streams, x, out)
    _norm(p, plan[FINAL], plan[FINAL_SHIFT], is_layer, eps, streams, x, norm)
    for v in range(logits.shape[1]):
        row = p[plan[UNEMBED] + v * d : plan[UNEMBED] + (v + 1) * d]
        for s in streams:
            h, total = norm[s], p.dtype.type(0)
            for j in range(d):
                total += row[j] * h[j]
            logits[s, v] = total


@jit
def _likeliest(logits):
    """Index of the first largest value, -1 where all are NaN."""
    peak = maximum(logits.dtype.type(0), np.int64(logits.ctypes.data), np.int64(logits.shape[0]))
    for v in range(logits.shape[0]):
        if logits[v] == peak:
            return v
    return -1


@jit
def _decode(p, offsets, plan, eps, cos, sin, tokens, positions, streams, steps, stops, found, counts, keys, values, work, logits):
    """The work of `decode` for some streams, on one thread; work: (S, a row's activations side by side)."""
    d, d_q, d_kv, ff = plan[D], plan[HEADS] * plan[D_HEAD], plan[KV_HEADS] * plan[D_HEAD], plan[D_FF]
    wide = 2 * ff if plan[FEED_FORWARD] == SWIGLU else ff
    x, norm, out = work[:, :d], work[:, d : 2 * d], work[:, 2 * d : 3 * d]
    q_at = 3 * d
    z_at = q_at + d_q + 2 * d_kv
    pre_at = z_at + d_q
    hidden_at = pre_at + wide
    qkv, z, pre = work[:, q_at:z_at], work[:, z_at:pre_at], work[:, pre_at:hidden_at]
    hidden, scores = work[:, hidden_at : hidden_at + ff], work[streams[0], hidden_at + ff :]
    active = streams.copy()
    for step in range(steps):
        _token(p, offsets, plan, eps, cos, sin, tokens, positions, active, keys, values, x, norm, qkv, z, out, pre, hidden, scores,
               logits)
        going_on = 0
        for i in range(active.shape[0]):
            s = active[i]
            best = _likeliest(logits[s])
            positions[s] += 1
            found[s, step] = best
            counts[s] += 1
            tokens[s] = best
            if best >= 0 and not stops[best] and positions[s] < keys.shape[4]:
                active[going_on] = s
                going_on += 1
        active = active[:going_on]
        if going_on == 0:
            break


@parallel
def decode(p, offsets, plan, eps, cos, sin, tokens, positions, streams, steps, stops, found, counts, keys, values, work, logits,
           threads):
    """Up to `steps` greedy tokens for every stream whose number is in `streams`; with steps 1, the logits to sample from.

    tokens, positions: (S,), the newest token of each stream, which is not in the cache yet, and where it stands; both go on
    with the text. found: (S, steps) receives the likeliest tokens, counts: (S,) how many: a stream ends after a token of
    `stops` (V,) or when its cache is full; a found -1 tells that the logits are not finite. logits: (S, V), of the last step.

    p: the flat parameters; offsets: (L, 12) and plan: see above; cos, sin: rotary tables, or no rows. keys, values:
    (S, L, K, h, T), filled up to `positions`; work: (S, 3d + d_qkv + d_q + d_ff (twice for SwiGLU) + d_ff + T).
    """
    for t in prange(threads):
        start, stop = rows_of(streams.shape[0], threads, t)
        if stop > start:
            _decode(p, offsets, plan, eps, cos, sin, tokens, positions, streams[start:stop], steps, stops, found, counts, keys,
                    values, work, logits)
