"""The gallery's kernels as toylm runs them. A function a case: it takes the inputs, returns a call that returns the results."""

import numba
import numpy as np

from ..kernels import (
    attention,
    cross_entropy,
    embedding,
    feed_forward,
    gelu,
    matmul,
    norm_projection,
    optimizer,
    residual,
    rmsnorm,
    rope,
    softmax,
)
from .cases import BETA1, BETA2, EPS, FACTOR, LEARNING_RATE, MOMENTUM, STEP, WEIGHT_DECAY

THETA = 10000.0
NORM_EPS = 1e-5


def bind(function, arguments, results):
    """A call of `function` that returns `results`, the arrays it writes."""

    def call():
        function(*arguments)
        return results

    return call


def _product(transpose_a, transpose_b):
    def prepare(x):
        rows = x.a.shape[1] if transpose_a else x.a.shape[0]
        out = np.empty((rows, x.b.shape[0] if transpose_b else x.b.shape[1]), np.float32)
        return bind(matmul.matmul, (x.a, x.b, out, transpose_a, transpose_b), (out,))

    return prepare


def _softmax(x):
    y = np.empty_like(x.x)
    return bind(softmax.softmax_forward, (x.x, y), (y,))


def _rmsnorm(x):
    y, rstd = np.empty_like(x.x), np.empty(len(x.x), np.float32)
    return bind(rmsnorm.rmsnorm_forward, (x.x, x.gamma, NORM_EPS, y, rstd), (y,))


def _rmsnorm_backward(x):
    parts, dgamma = np.empty((numba.get_num_threads(), x.s.d), np.float32), np.zeros(x.s.d, np.float32)

    def call():
        rmsnorm.rmsnorm_backward(x.dy, x.x, x.gamma, x.rstd, x.dx, parts)
        rmsnorm.add_parts(parts, dgamma)
        return x.dx, dgamma

    return call


def _norm_projection(x):
    h, rstd, y = np.empty_like(x.x), np.empty(x.s.N, np.float32), np.empty((x.s.N, 3 * x.s.d), np.float32)
    norm = (norm_projection.RMS, x.gamma, x.gamma, NORM_EPS)
    return bind(norm_projection.norm_projection, (norm, x.x, h, rstd, x.w, y), (y,))


def _feed_forward(x):
    pre, out = np.empty((x.s.N, x.s.ff), np.float32), np.empty_like(x.h)
    return pre, bind(feed_forward.feed_forward_forward, ("gelu", x.h, x.w1, x.w2, pre, out), (out,))


def _feed_forward_backward(x):
    pre, forward = _feed_forward(x)
    forward()
    hidden, dpre, dh = np.empty_like(pre), np.empty_like(pre), np.empty_like(x.h)
    return bind(feed_forward.feed_forward_backward, ("gelu", x.dout, pre, x.w1, x.w2, hidden, dpre, dh), (dh,))


def _gelu(x):
    y = np.empty_like(x.x)
    return bind(gelu.gelu_forward, (x.x, y), (y,))


def _rope(x):
    cos, sin = rope.rope_tables(x.s.T, x.s.d // x.s.H, THETA, np.float32)
    arguments = (x.qkv, cos, sin, x.s.T, 2 * x.s.H, x.s.d // x.s.H, 1)
    return bind(rope.rope_forward, arguments, (x.qkv,))


def _attended(x):
    z, log_sums = np.empty((x.s.N, x.s.d), np.float32), np.empty((x.s.N, x.s.H), np.float32)
    return z, log_sums, bind(attention.attention_forward, (x.qkv, z, log_sums, x.s.T, x.s.H), (z,))


def _attention_backward(x):
    z, log_sums, forward = _attended(x)
    forward()
    dqkv = np.empty_like(x.qkv)
    return bind(attention.attention_backward, (x.qkv, z, x.dz, log_sums, dqkv, x.s.T, x.s.H), (dqkv,))


def _embedding(x):
    out = np.empty((x.s.N, x.s.d), np.float32)
    return bind(embedding.embedding_forward, (x.tokens, x.table, x.positions, out), (out,))


def _embedding_backward(x):
    results = (x.dtable, x.dpositions)
    return bind(embedding.embedding_backward, (x.tokens, x.dx, *results), results)


def _cross_entropy(x):
    losses = np.empty(len(x.logits))
    return bind(cross_entropy.cross_entropy_forward, (x.logits, x.targets, losses), (losses,))


def _cross_entropy_gradient(x):
    losses = np.empty(len(x.logits))
    arguments = (x.logits, x.targets, 1.0 / len(x.logits), losses)
    return bind(cross_entropy.cross_entropy_backward, arguments, (losses, x.logits))


def _residual(x):
    y = np.empty_like(x.x)
    return bind(residual.residual_forward, (x.x, x.f, y), (y,))


def _sgd(x):
    arguments = (x.p, x.g, x.v, x.s.P, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, FACTOR)
    return bind(optimizer.sgd, arguments, (x.p, x.v))


def _adam(x):
    arguments = (x.p, x.g, x.m, x.v, x.s.P, LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP, FACTOR)
    return bind(optimizer.adam, arguments, (x.p, x.m, x.v))


def _decode(x):
    from ..config import ModelConfig
    from ..model.generation import KeyValueCache
    from ..model.transformer import TransformerLM

    config = ModelConfig(x.s.V, x.s.d, x.s.ff, x.s.H, x.s.L, x.s.T, positions="learned")
    model = TransformerLM(config)
    for name, values in x.weights.items():
        model.parameters[name].flat[:] = values.reshape(-1)
    cache = KeyValueCache(model)
    cache.extend(x.prompt)

    def call():
        logits = cache.append(x.token)
        del cache.tokens[len(x.prompt) :]  # the next call decodes at the same position
        return (logits,)

    return call


PREPARE = {
    "product A·B": _product(False, False),
    "product A·Bᵀ": _product(False, True),
    "product Aᵀ·B": _product(True, False),
    "attention": lambda x: _attended(x)[2],
    "attention backward": _attention_backward,
    "norm + projection": _norm_projection,
    "feed-forward": lambda x: _feed_forward(x)[1],
    "feed-forward backward": _feed_forward_backward,
    "softmax": _softmax,
    "softmax backward": lambda x: bind(softmax.softmax_backward, (x.dy, x.y, x.dx), (x.dx,)),
    "RMSNorm": _rmsnorm,
    "RMSNorm backward": _rmsnorm_backward,
    "GELU": _gelu,
    "GELU backward": lambda x: bind(gelu.gelu_backward, (x.dy, x.x), (x.dy,)),
    "rope": _rope,
    "embedding": _embedding,
    "embedding backward": _embedding_backward,
    "cross-entropy": _cross_entropy,
    "cross-entropy + gradient": _cross_entropy_gradient,
    "residual add": _residual,
    "residual add backward": lambda x: bind(residual.residual_backward, (x.dy, x.dx, x.df), (x.dx, x.df)),
    "SGD with momentum": _sgd,
    "AdamW": _adam,
    "gradient norm": lambda x: lambda: (np.float64(optimizer.norm(x.g)),),
    "decode token": _decode,
}
