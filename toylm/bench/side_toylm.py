"""The gallery's kernels as toylm runs them in training."""

import numpy as np

from ..kernels.attention import attention_backward, attention_forward
from ..kernels.cross_entropy import cross_entropy_backward, cross_entropy_forward
from ..kernels.embedding import embedding_backward, embedding_forward
from ..kernels.feed_forward import feed_forward_backward, feed_forward_forward
from ..kernels.gelu import gelu_backward, gelu_forward
from ..kernels.matmul import matmul
from ..kernels.optimizer import adam, norm, sgd
from ..kernels.rmsnorm import add_parts, rmsnorm_backward, rmsnorm_forward
from ..kernels.rope import rope_forward
from ..threads import get_threads
from .cases import BETA1, BETA2, EPS, FACTOR, LEARNING_RATE, MOMENTUM, NORM_EPS, STEP, WEIGHT_DECAY


def _rmsnorm_backward(x):
    parts = np.empty((get_threads(), x.s.d), np.float32)
    rmsnorm_backward(x.dy, x.x, x.gamma, x.rstd, x.dx, parts)
    add_parts(parts, x.dgamma)


def _norm(x):
    x.norm[0] = norm(x.g)


ADAM = (LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, STEP, FACTOR)
# name of the kernel -> function of its inputs, which writes the results there
OPERATIONS = {
    "product A·B": lambda x: matmul(x.a, x.b, x.c),
    "product A·Bᵀ": lambda x: matmul(x.a, x.b, x.c, transpose_b=True),
    "product Aᵀ·B": lambda x: matmul(x.a, x.b, x.c, transpose_a=True),
    "attention": lambda x: attention_forward(x.qkv, x.z, x.log_sums, x.s.T, x.s.H),
    "attention backward": lambda x: attention_backward(x.qkv, x.z, x.dz, x.log_sums, x.dqkv, x.s.T, x.s.H),
    "feed-forward": lambda x: feed_forward_forward("gelu", x.h, x.w1, x.w2, x.pre, x.out),
    "feed-forward backward": lambda x: feed_forward_backward("gelu", x.dout, x.pre, x.w1, x.w2, x.hidden, x.dpre, x.dh),
    "RMSNorm": lambda x: rmsnorm_forward(x.x, x.gamma, NORM_EPS, x.y, x.rstd),
    "RMSNorm backward": _rmsnorm_backward,
    "GELU": lambda x: gelu_forward(x.x, x.y),
    "GELU backward": lambda x: gelu_backward(x.dy, x.x),
    "rope": lambda x: rope_forward(x.qkv, x.cos, x.sin, x.s.T, 2 * x.s.H, x.s.d // x.s.H, 1),
    "embedding": lambda x: embedding_forward(x.tokens, x.table, x.positions, x.x),
    "embedding backward": lambda x: embedding_backward(x.tokens, x.dx, x.dtable, x.dpositions),
    "cross-entropy": lambda x: cross_entropy_forward(x.logits, x.targets, x.losses),
    "cross-entropy + gradient": lambda x: cross_entropy_backward(x.logits, x.targets, 1.0 / x.s.N, x.losses),
    "SGD with momentum": lambda x: sgd(x.p, x.g, x.v, x.s.P, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, FACTOR),
    "AdamW": lambda x: adam(x.p, x.g, x.m, x.v, x.s.P, *ADAM),
    "gradient norm": _norm,
}


def prepare(name, x):
    """A call of the kernel `name` on the inputs x, which hold its results afterwards."""
    return lambda: OPERATIONS[name](x)
