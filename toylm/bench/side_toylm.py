"""The gallery's kernels as toylm runs them in training."""

from functools import partial

import numpy as np

from ..kernels.activations import activation_backward, activation_forward
from ..kernels.attention import attention_backward, attention_forward
from ..kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward
from ..kernels.embedding import embedding_backward, embedding_forward, order_sizes
from ..kernels.feed_forward import feed_forward_backward, feed_forward_forward
from ..kernels.jit import threads_now
from ..kernels.matmul import matmul
from ..kernels.norm import norm_backward, norm_forward, norm_rows
from ..kernels.optimizer import CHUNK, AdamRates, Rates, adam, norm, sgd
from ..kernels.rope import rotate
from .cases import BETA1, BETA2, EPS, FACTOR, LEARNING_RATE, MOMENTUM, NORM_EPS, STEP, WEIGHT_DECAY


def _rmsnorm(x):
    rows = norm_rows("rms", x.x.dtype)
    return partial(norm_forward, rows.forward, x.x, x.gamma, x.gamma, NORM_EPS, x.y, x.rstd)  # RMSNorm has no shift to read


def _rmsnorm_backward(x):
    rows, shares = norm_rows("rms", x.x.dtype), np.empty((threads_now(), 1, x.s.d), x.x.dtype)
    return partial(norm_backward, rows, x.dy, x.x, x.gamma, x.rstd, x.dx, [x.dgamma], shares)


def _gelu(x):
    return partial(activation_forward, "gelu", x.x.reshape(-1, x.s.ff), x.y.reshape(-1, x.s.ff))


def _gelu_backward(x):
    """The kernel computes GELU again, for the gradients of the weights: here into y."""
    dy, before, y = (array.reshape(-1, x.s.ff) for array in (x.dy, x.x, x.y))
    return partial(activation_backward, "gelu", dy, before, y, dy)


def _embedding_backward(x):
    order_memory = [np.empty(n, np.int64) for n in order_sizes(x.tokens.shape, x.s.d, x.dx.itemsize, x.s.V)]
    return partial(embedding_backward, x.tokens, x.dx, x.dtable, x.dpositions, order_memory)


def _norm(x):
    parts = np.empty(-(-x.g.size // CHUNK))

    def call():
        x.norm[0] = norm(x.g, parts)

    return call


ADAM = AdamRates(LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, FACTOR, STEP)
SGD = Rates(LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, FACTOR)
# name of the kernel -> function of its inputs that returns a call, which writes the results there; buffers that training keeps are
# made beforehand
OPERATIONS = {
    "product A·B": lambda x: partial(matmul, x.a, x.b, x.c),
    "product A·Bᵀ": lambda x: partial(matmul, x.a, x.b, x.c, transpose_b=True),
    "product Aᵀ·B": lambda x: partial(matmul, x.a, x.b, x.c, transpose_a=True),
    "attention": lambda x: partial(attention_forward, x.qkv, x.z, x.log_sums, x.s.T, x.s.H),
    "attention backward": lambda x: partial(attention_backward, x.qkv, x.z, x.dz, x.log_sums, x.dqkv, x.s.T, x.s.H),
    "feed-forward": lambda x: partial(feed_forward_forward, "gelu", x.h, (x.w1, None, x.w2, None), x.pre, x.out),
    "feed-forward backward": lambda x: partial(feed_forward_backward, "gelu", x.dout, x.pre, (x.w1, x.w2), x.hidden, x.dpre, x.dh),
    "RMSNorm": _rmsnorm,
    "RMSNorm backward": _rmsnorm_backward,
    "GELU": _gelu,
    "GELU backward": _gelu_backward,
    "rope": lambda x: partial(rotate, x.qkv, x.cos, x.sin, x.s.T, 2 * x.s.H, x.s.d // x.s.H, 1),
    "embedding": lambda x: partial(embedding_forward, x.tokens, x.table, x.positions, x.x),
    "embedding backward": _embedding_backward,
    "cross-entropy": lambda x: partial(cross_entropy_forward, x.logits, x.targets, x.losses),
    "cross-entropy + gradient": lambda x: partial(cross_entropy_backward, x.logits, x.targets, 1.0 / x.s.N, x.losses),
    "SGD with momentum": lambda x: partial(sgd, x.p, x.g, x.v, x.s.P, SGD),
    "AdamW": lambda x: partial(adam, x.p, x.g, x.m, x.v, x.s.P, ADAM),
    "gradient norm": _norm,
}


def prepare(name, x):
    """A call of the kernel `name` on the inputs x, which hold its results afterwards."""
    return OPERATIONS[name](x)
