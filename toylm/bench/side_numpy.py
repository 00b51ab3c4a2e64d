"""The gallery's kernels in NumPy: the twins that stand under every kernel of toylm/kernels, as the tests use them."""

from types import SimpleNamespace

import numpy as np

from ..kernels import (
    attention,
    cross_entropy,
    embedding,
    feed_forward,
    gelu,
    optimizer,
    residual,
    rmsnorm,
    rope,
    softmax,
)
from .cases import BETA1, BETA2, EPS, FACTOR, LEARNING_RATE, MOMENTUM, STEP, WEIGHT_DECAY
from .decode_parts import DecodeByParts
from .side_toylm import NORM_EPS


def _one(f):
    """prepare(x) for a function of the inputs that returns one array."""
    return lambda x: lambda: (f(x),)


def _several(f):
    return lambda x: lambda: tuple(f(x))


def _rope(x):
    turned, s = 2 * x.s.d, x.s

    def call():
        heads = x.qkv[:, :turned].reshape(s.N // s.T, s.T, 2 * s.H, s.d // s.H)
        x.qkv[:, :turned] = rope.rope_reference(heads).reshape(s.N, turned)
        return (x.qkv,)

    return call


def _attend(s):
    def attend(q, keys, values, n):
        q, k, v = q.reshape(s.H, 1, -1), *(a[:n].reshape(n, s.H, -1).transpose(1, 0, 2) for a in (keys, values))
        p = softmax.softmax_reference(q @ k.swapaxes(1, 2) / np.sqrt(np.float32(q.shape[-1])))
        return (p @ v).reshape(-1)

    return attend


def _decode(x):
    ops = SimpleNamespace(
        norm=rmsnorm.rmsnorm_reference, product=np.matmul, transposed=lambda v, w: w @ v, gelu=gelu.gelu_reference,
        attend=_attend(x.s),
    )  # fmt: skip
    parts = DecodeByParts(x, ops)
    return lambda: (parts.token(x.token, len(x.prompt)),)


def _feed_forward_backward(x):
    pre = x.h @ x.w1
    return lambda: (gelu.gelu_backward_reference(x.dout @ x.w2.T, pre) @ x.w1.T,)


def _adam(x):
    return optimizer.adam_reference(
        x.p, x.g, x.m, x.v, x.s.P, LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP, FACTOR
    )


PREPARE = {
    "product A·B": _one(lambda x: x.a @ x.b),
    "product A·Bᵀ": _one(lambda x: x.a @ x.b.T),
    "product Aᵀ·B": _one(lambda x: x.a.T @ x.b),
    "attention": _one(lambda x: attention.attention_reference(x.qkv, x.s.T, x.s.H)[0]),
    "attention backward": _one(lambda x: attention.attention_backward_reference(x.qkv, x.dz, x.s.T, x.s.H)),
    "norm + projection": _one(lambda x: rmsnorm.rmsnorm_reference(x.x, x.gamma, NORM_EPS) @ x.w),
    "feed-forward": _one(lambda x: feed_forward.feed_forward_reference("gelu", x.h, x.w1, x.w2)[2]),
    "feed-forward backward": _feed_forward_backward,
    "softmax": _one(lambda x: softmax.softmax_reference(x.x)),
    "softmax backward": _one(lambda x: x.dx + softmax.softmax_backward_reference(x.dy, x.y)),
    "RMSNorm": _one(lambda x: rmsnorm.rmsnorm_reference(x.x, x.gamma)),
    "RMSNorm backward": _several(lambda x: rmsnorm.rmsnorm_backward_reference(x.dy, x.x, x.gamma)),
    "GELU": _one(lambda x: gelu.gelu_reference(x.x)),
    "GELU backward": _one(lambda x: gelu.gelu_backward_reference(x.dy, x.x)),
    "rope": _rope,
    "embedding": _one(lambda x: embedding.embedding_reference(x.tokens, x.table, x.positions)),
    "embedding backward": _several(lambda x: embedding.embedding_backward_reference(x.tokens, x.dx, x.s.V, x.s.T)),
    "cross-entropy": _one(lambda x: cross_entropy.cross_entropy_reference(x.logits, x.targets)[0]),
    "cross-entropy + gradient": _several(lambda x: cross_entropy.cross_entropy_reference(x.logits, x.targets)),
    "residual add": _one(lambda x: residual.residual_reference(x.x, x.f)),
    "residual add backward": _several(lambda x: (x.dx + x.dy, x.df + x.dy)),
    "SGD with momentum": _several(
        lambda x: optimizer.sgd_reference(x.p, x.g, x.v, x.s.P, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, FACTOR)
    ),
    "AdamW": _several(_adam),
    "gradient norm": _one(lambda x: np.linalg.norm(x.g)),
    "decode token": _decode,
}
