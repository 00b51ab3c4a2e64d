"""The operations as functions of arrays, for reading, teaching and trying out: the seed of the kernels, by their plain names.

Each takes and returns NumPy arrays of shape (N, d), N = B·T rows, and runs the kernel that training runs.
"""

import numpy as np


def embed(tokens, token_embed, pos_embed=None):
    """Rows of token_embed (V, d) for tokens (B, T), plus pos_embed (context, d) where given -> (B·T, d)."""
    from ..kernels.embedding import embedding_forward

    tokens = np.ascontiguousarray(np.atleast_2d(tokens), np.int64)
    x = np.empty((tokens.size, token_embed.shape[1]), token_embed.dtype)
    embedding_forward(tokens, token_embed, token_embed[:0] if pos_embed is None else pos_embed, 0, x)
    return x


def rms_norm(x, gamma, eps=1e-5):
    """gamma · x / sqrt(mean(x²) + eps) row by row."""
    from ..kernels.rmsnorm import rmsnorm_forward

    y = np.empty_like(x)
    rmsnorm_forward(x, gamma, eps, y, np.empty(len(x), x.dtype))
    return y


def softmax(x):
    """Softmax of every row of x (N, n)."""
    from ..kernels.softmax import softmax_forward

    y = np.empty_like(x, order="C")
    softmax_forward(x, y)
    return y


def gelu(x):
    """GELU, tanh form, element by element."""
    from ..kernels.gelu import gelu_forward

    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    gelu_forward(x.reshape(-1), y.reshape(-1))
    return y


def self_attention(qkv, length, n_heads, n_kv_heads=None):
    """Causal attention of fused rows (q | k | v) -> (head outputs (B·T, H·h), probabilities (B, H, T, T)).

    qkv: (B·T, (H + 2K)·h), with K key-value heads (None: as many as heads).
    """
    from ..kernels.attention import attention_forward

    rows, d = qkv.shape[0], qkv.shape[1] // (n_heads + 2 * (n_kv_heads or n_heads)) * n_heads
    z, log_sums = np.empty((rows, d), qkv.dtype), np.empty((rows, n_heads), qkv.dtype)
    probabilities = np.empty((rows // length, n_heads, length, length), qkv.dtype)
    attention_forward(np.ascontiguousarray(qkv), z, log_sums, length, n_heads, probabilities)
    return z, probabilities


def feed_forward(h, w_ff1, w_ff2):
    """gelu(h·w_ff1)·w_ff2."""
    from ..kernels.matmul import matmul

    hidden = gelu(matmul(h, w_ff1, np.empty((len(h), w_ff1.shape[1]), h.dtype)))
    return matmul(hidden, w_ff2, np.empty((len(h), w_ff2.shape[1]), h.dtype))


def cross_entropy_grad(logits, targets):
    """(mean nats per counted target, its gradient with respect to the logits); targets below zero are not counted.

    logits (..., V), targets (...): the gradient has the shape of the logits.
    """
    from ..kernels.cross_entropy import cross_entropy_backward

    targets = np.ascontiguousarray(targets, np.int64).reshape(-1)
    gradient = np.array(logits, order="C").reshape(targets.size, -1)
    losses = np.empty(targets.size)
    counted = max(1, int((targets >= 0).sum()))
    cross_entropy_backward(gradient, targets, 1 / counted, losses)
    return losses.sum() / counted, gradient.reshape(np.shape(logits))
