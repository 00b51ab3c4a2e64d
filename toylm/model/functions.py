"""The operations as functions of arrays, for reading, teaching and trying out: the seed of the kernels, by their plain names.

Each takes and returns NumPy arrays of shape (N, d), N = B·T rows, and runs the kernel that training runs. All arrays are taken in
the dtype of the first, float32 or float64, and may lie in memory in any order. TypeError: another dtype; ValueError: shapes that do
not fit.
"""

import math

import numpy as np

from ..errors import InputTypeError, UsageError
from ..kernels.activations import activation_forward
from ..kernels.attention import attention_forward
from ..kernels.cross_entropy import cross_entropy_backward, softmax_forward
from ..kernels.embedding import embedding_forward
from ..kernels.matmul import matmul
from ..kernels.norm import norm_forward, norm_rows
from ..kernels.rope import rotate, tables
from .ids import target_ids, token_ids


def embed(tokens, token_embed, pos_embed=None):
    """Rows of token_embed (V, d) for tokens (B, T), plus pos_embed (context, d) where given -> (B·T, d).

    Raises ValueError for ids that are not 0 to V - 1 and sequences longer than pos_embed.
    """
    table = _matrix("token_embed", token_embed)
    tokens = token_ids(tokens, len(table))
    positions = table[:0]
    if pos_embed is not None:
        positions, needed = _matrix("pos_embed", pos_embed, table.dtype), (tokens.shape[1], table.shape[1])
        if len(positions) < needed[0] or positions.shape[1] != needed[1]:
            raise UsageError(f"pos_embed has shape {positions.shape}; these tokens and token_embed need at least {needed}")
    x = np.empty((tokens.size, table.shape[1]), table.dtype)
    embedding_forward(tokens, table, positions, x)
    return x


def rms_norm(x, gamma, eps=1e-5):
    """gamma (d,) · x / sqrt(mean(x²) + eps) row by row."""
    x = _matrix("x", x)
    gamma = _array("gamma", gamma, x.dtype).reshape(-1)
    if gamma.size != x.shape[1]:
        raise UsageError(f"gamma has {gamma.size} values, x {x.shape[1]} columns: one a column")
    y = np.empty(x.shape, x.dtype)
    norm_forward(norm_rows("rms", x.dtype).forward, x, gamma, gamma, eps, y, np.empty(len(x), x.dtype))
    return y


def softmax(x):
    """Softmax of every row of x (N, n)."""
    x = _matrix("x", x)
    y = np.empty(x.shape, x.dtype)
    softmax_forward(x, y)
    return y


def gelu(x):
    """GELU, tanh form, element by element; x of any shape."""
    return _elementwise("gelu", x)


def silu(x):
    """SiLU, x · sigmoid(x), element by element; x of any shape."""
    return _elementwise("silu", x)


def _elementwise(kind, x):
    x = _array("x", x)
    rows = x.reshape(-1, x.shape[-1] if x.ndim else 1)
    return activation_forward(kind, rows, np.empty_like(rows)).reshape(x.shape)


def swiglu(x):
    """silu(gate) · up of the columns gate | up of x (N, 2 n) -> (N, n) (Shazeer 2020, arXiv 2002.05202)."""
    x = _matrix("x", x)
    if x.shape[1] % 2:
        raise UsageError(f"x has {x.shape[1]} columns, which are no two halves, gate | up")
    return activation_forward("swiglu", x, np.empty((len(x), x.shape[1] // 2), x.dtype))


def rope(x, length, d_head, theta=10000.0):
    """Rotary positions of heads side by side (Su et al. 2021, arXiv 2104.09864): x (B·length, heads · d_head) -> the same shape.

    The values m and m + d_head / 2 of a head are a pair, which is rotated by the angle position · theta^(-2m / d_head).
    """
    x = np.array(_matrix("x", x))
    if d_head < 2 or d_head % 2 or x.shape[1] % d_head:
        raise UsageError(f"d_head is {d_head}; it must be even and divide the {x.shape[1]} columns of x")
    if length < 1 or len(x) % length:
        raise UsageError(f"x has {len(x)} rows, which are no whole sequences of {length} tokens")
    rotate(x, *tables(length, d_head, theta, x.dtype), length, x.shape[1] // d_head, d_head, 1)
    return x


def self_attention(qkv, length, n_heads, n_kv_heads=None):
    """Causal attention of fused rows (q | k | v) -> (head outputs (B·T, H·h), probabilities (B, H, T, T)).

    qkv: (B·T, (H + 2K)·h), with K key-value heads (None: as many as heads), which divide H. Raises ValueError for rows that are not
    whole sequences of `length` and columns that are not whole heads.
    """
    qkv, shared = _matrix("qkv", qkv), n_heads if n_kv_heads is None else n_kv_heads
    if n_heads < 1 or shared < 1 or n_heads % shared:
        raise UsageError(f"n_heads {n_heads} is not divisible by n_kv_heads {shared}; both are at least 1")
    (rows, columns), heads = qkv.shape, n_heads + 2 * shared
    if length < 1 or rows % length:
        raise UsageError(f"qkv has {rows} rows, which are no whole sequences of {length} tokens")
    if columns == 0 or columns % heads:
        raise UsageError(f"qkv has {columns} columns, which n_heads + 2 n_kv_heads = {heads} do not divide")
    z, log_sums = np.empty((rows, columns // heads * n_heads), qkv.dtype), np.empty((rows, n_heads), qkv.dtype)
    probabilities = np.empty((rows // length, n_heads, length, length), qkv.dtype)
    attention_forward(qkv, z, log_sums, length, n_heads, probabilities)
    return z, probabilities


def attend(q, k, v, mask=None):
    """softmax(q·kᵀ / sqrt(h))·v with any number of keys and a mask of one's own, in NumPy: the scores are stored as a whole.

    q (..., T, h), k (..., S, h), v (..., S, n) -> (..., T, n); mask: bool, broadcast to (..., T, S), True where a query may look;
    None: everywhere. A query that may look nowhere gets zeros. For causal attention as it is trained see `self_attention`.
    """
    q = _array("q", q)
    k, v = _array("k", k, q.dtype), _array("v", v, q.dtype)
    shapes = f"q, k and v have the shapes {q.shape}, {k.shape} and {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise UsageError(f"{shapes}; they must be (..., T, h), (..., S, h) and (..., S, n)")
    try:
        scores = q @ k.swapaxes(-1, -2) / q.dtype.type(math.sqrt(q.shape[-1]))
        allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    except ValueError:
        raise UsageError(f"{shapes}{'' if mask is None else f', the mask {np.shape(mask)}'}; they do not go together") from None
    if allowed.dtype != bool:
        raise InputTypeError(f"the mask is of {allowed.dtype}; it must be bool, True where a query may look")
    scores = np.where(allowed, scores, -np.inf).reshape(-1, scores.shape[-1])
    nowhere = ~allowed.reshape(scores.shape).any(axis=1)
    scores[nowhere] = 0
    probabilities = softmax(scores)
    probabilities[nowhere] = 0
    return probabilities.reshape(allowed.shape) @ v


def feed_forward(h, w_ff1, w_ff2):
    """gelu(h·w_ff1)·w_ff2."""
    h = _matrix("h", h)
    w_ff1, w_ff2 = _matrix("w_ff1", w_ff1, h.dtype), _matrix("w_ff2", w_ff2, h.dtype)
    hidden = gelu(matmul(h, w_ff1, np.empty((len(h), w_ff1.shape[1]), h.dtype)))
    return matmul(hidden, w_ff2, np.empty((len(h), w_ff2.shape[1]), h.dtype))


def cross_entropy_grad(logits, targets):
    """(mean nats per counted target, its gradient with respect to the logits); targets below zero are not counted.

    logits (..., V), targets (...): the gradient has the shape of the logits. Raises ValueError for a target above V - 1.
    """
    gradient = np.array(_array("logits", logits))
    shape = gradient.shape
    if not shape or np.shape(targets) != shape[:-1]:
        raise UsageError(f"targets have shape {np.shape(targets)}, logits {shape}: one target a row of logits")
    targets = target_ids(targets, shape[-1])
    losses = np.empty(targets.size)
    counted = max(1, int((targets >= 0).sum()))
    cross_entropy_backward(gradient.reshape(targets.size, shape[-1]), targets, 1 / counted, losses)
    return losses.sum() / counted, gradient


def _array(name, x, dtype=None):
    """x as the kernels read it, by address: contiguous, in `dtype` or, where that is None, its own."""
    x = np.asarray(x)
    if dtype is None and x.dtype not in (np.float32, np.float64):
        raise InputTypeError(f"{name} is of {x.dtype}; give float32 or float64, such as np.asarray({name}, 'float32')")
    return np.asarray(x, x.dtype if dtype is None else dtype, order="C")


def _matrix(name, x, dtype=None):
    x = _array(name, x, dtype)
    if x.ndim != 2:
        raise UsageError(f"{name} has shape {x.shape}; it must have two dimensions")
    return x
