"""One token through the whole model with a key-value cache, in one compiled call: no per-operation cost from Python.

A single row cannot use register tiles: every product is a vector times a matrix, bound by reading the weights once, so this
is plain loops that LLVM vectorises, on one thread. The same arithmetic as the training kernels, to rounding.
"""

import numpy as np

from .fastmath import exp
from .gelu import C, K
from .jit import jit
from .simd import cast

# columns of `offsets`: where a block's parameters start in the flat buffer
NORM1, W_QKV, W_O, NORM2, W_FF1, W_FF2 = range(6)


@jit
def vector_matrix(x, w, y):
    """y = x·W; x (k,), w (k·n,) row-major, y (n,)."""
    k, n = x.shape[0], y.shape[0]
    for j in range(n):
        y[j] = 0
    whole = k // 4 * 4
    for i in range(0, whole, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        w0, w1 = w[i * n : (i + 1) * n], w[(i + 1) * n : (i + 2) * n]
        w2, w3 = w[(i + 2) * n : (i + 3) * n], w[(i + 3) * n : (i + 4) * n]
        for j in range(n):
            y[j] += a * w0[j] + b * w1[j] + c * w2[j] + d * w3[j]
    for i in range(whole, k):
        a = x[i]
        w0 = w[i * n : (i + 1) * n]
        for j in range(n):
            y[j] += a * w0[j]


@jit
def _norm(x, gamma, eps, y):
    total = x.dtype.type(0)
    for j in range(x.shape[0]):
        total += x[j] * x[j]
    scale = x.dtype.type(1) / np.sqrt(total / x.dtype.type(x.shape[0]) + x.dtype.type(eps))
    for j in range(x.shape[0]):
        y[j] = x[j] * scale * gamma[j]


@jit
def _attend(q, keys, values, n, z, scores):
    """z = softmax(q·keysᵀ / sqrt(h))·values over the first n rows of keys, values (T, h)."""
    zero = q.dtype.type(0)
    h = q.shape[0]
    scale = cast(zero, 1.0 / np.sqrt(h))
    peak = cast(zero, -np.inf)
    for t in range(n):
        total = zero
        for m in range(h):
            total += q[m] * keys[t, m]
        total *= scale
        scores[t] = total
        peak = max(peak, total)
    total = zero
    for t in range(n):
        e = exp(scores[t] - peak)
        scores[t] = e
        total += e
    inverse = q.dtype.type(1) / total
    for m in range(h):
        z[m] = 0
    for t in range(n):
        p = scores[t] * inverse
        for m in range(h):
            z[m] += p * values[t, m]


@jit
def decode_token(p, offsets, embed_at, position_at, final_at, token, position, d, d_ff, H, eps, cos, sin, keys, values, work,
                 logits):
    """logits (V,) of the token after `token`, which stands at `position`; its keys and values join the cache.

    p: the flat parameters; offsets: (L, 6); position_at: where pos_embed starts, or -1 (rotary when cos has rows).
    keys, values: (L, H, T, h), filled up to `position`; work: scratch of 7d + d_ff + T values.
    """
    h, half = d // H, d // H // 2
    x, norm, z, out = work[:d], work[d : 2 * d], work[2 * d : 3 * d], work[3 * d : 4 * d]
    qkv, hidden, scores = work[4 * d : 7 * d], work[7 * d : 7 * d + d_ff], work[7 * d + d_ff :]
    one = p.dtype.type(1)
    for j in range(d):
        x[j] = p[embed_at + token * d + j]
        if position_at >= 0:
            x[j] += p[position_at + position * d + j]
    for layer in range(offsets.shape[0]):
        at = offsets[layer]
        _norm(x, p[at[NORM1] : at[NORM1] + d], eps, norm)
        vector_matrix(norm, p[at[W_QKV] : at[W_QKV] + 3 * d * d], qkv)
        if cos.shape[0] > 0:
            for head in range(2 * H):
                for m in range(half):
                    low, high = qkv[head * h + m], qkv[head * h + half + m]
                    qkv[head * h + m] = low * cos[position, m] - high * sin[position, m]
                    qkv[head * h + half + m] = high * cos[position, m] + low * sin[position, m]
        for head in range(H):
            for m in range(h):
                keys[layer, head, position, m] = qkv[d + head * h + m]
                values[layer, head, position, m] = qkv[2 * d + head * h + m]
            _attend(qkv[head * h : (head + 1) * h], keys[layer, head], values[layer, head], position + 1,
                    z[head * h : (head + 1) * h], scores)
        vector_matrix(z, p[at[W_O] : at[W_O] + d * d], out)
        for j in range(d):
            x[j] += out[j]
        _norm(x, p[at[NORM2] : at[NORM2] + d], eps, norm)
        vector_matrix(norm, p[at[W_FF1] : at[W_FF1] + d * d_ff], hidden)
        c2, k = p.dtype.type(-2.0 * C), p.dtype.type(K)
        for j in range(d_ff):
            v = hidden[j]
            hidden[j] = v / (one + exp(c2 * (v + k * v * v * v)))
        vector_matrix(hidden, p[at[W_FF2] : at[W_FF2] + d_ff * d], out)
        for j in range(d):
            x[j] += out[j]
    _norm(x, p[final_at : final_at + d], eps, norm)
    for v in range(logits.shape[0]):
        row = p[embed_at + v * d : embed_at + (v + 1) * d]
        total = p.dtype.type(0)
        for j in range(d):
            total += row[j] * norm[j]
        logits[v] = total
