"""The gallery's kernels in NumPy: the functions of toylm/reference.py, which every kernel of toylm is tested against."""

import math

from .. import reference
from .cases import BETA1, BETA2, EPS, FACTOR, LEARNING_RATE, MOMENTUM, NORM_EPS, STEP, THETA, WEIGHT_DECAY


def _attention_backward(x):
    p = x.p.reshape(-1, x.s.H, x.s.T, x.s.T)
    return (reference.attention_backward(x.dz, x.qkv, p, x.s.T, x.s.H, x.s.H),)


def _rmsnorm_backward(x):
    return reference.rmsnorm_backward(x.dy, x.x, x.gamma, x.dgamma, NORM_EPS), x.dgamma


def _rope(x):
    turned = 2 * x.s.d  # the columns of q and k
    x.qkv[:, :turned] = reference.rope_forward(x.qkv[:, :turned], x.s.T, x.s.d // x.s.H, THETA)
    return (x.qkv,)


def _embedding_backward(x):
    reference.embedding_backward(x.dx, x.tokens, x.dtable, x.dpositions)
    return x.dtable, x.dpositions


def _cross_entropy_gradient(x):
    return reference.cross_entropy_forward(x.logits, x.targets), reference.cross_entropy_backward(x.logits, x.targets)


def _sgd(x):
    reference.sgd_step(x.p, FACTOR * x.g, x.v, x.s.P, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY)
    return x.p, x.v


def _adamw(x):
    reference.adamw_step(x.p, FACTOR * x.g, x.m, x.v, x.s.P, STEP, LEARNING_RATE, (BETA1, BETA2), EPS, WEIGHT_DECAY)
    return x.p, x.m, x.v


# name of the kernel -> function of its inputs that returns the results
OPERATIONS = {
    "product A·B": lambda x: (x.a @ x.b,),
    "product A·Bᵀ": lambda x: (x.a @ x.b.T,),
    "product Aᵀ·B": lambda x: (x.a.T @ x.b,),
    "attention": lambda x: reference.attention_forward(x.qkv, x.s.T, x.s.H, x.s.H)[:1],
    "attention backward": _attention_backward,
    "feed-forward": lambda x: (reference.gelu_forward(x.h @ x.w1) @ x.w2,),
    "feed-forward backward": lambda x: (reference.gelu_backward(x.dout @ x.w2.T, x.pre) @ x.w1.T,),
    "RMSNorm": lambda x: (reference.rmsnorm_forward(x.x, x.gamma, NORM_EPS),),
    "RMSNorm backward": _rmsnorm_backward,
    "GELU": lambda x: (reference.gelu_forward(x.x),),
    "GELU backward": lambda x: (reference.gelu_backward(x.dy, x.x),),
    "rope": _rope,
    "embedding": lambda x: (reference.embedding_forward(x.tokens, x.table, x.positions),),
    "embedding backward": _embedding_backward,
    "cross-entropy": lambda x: (reference.cross_entropy_forward(x.logits, x.targets),),
    "cross-entropy + gradient": _cross_entropy_gradient,
    "SGD with momentum": _sgd,
    "AdamW": _adamw,
    "gradient norm": lambda x: (reference.clip(x.g, math.inf),),
}


def prepare(name, x):
    """A call of the kernel `name` on the inputs x that returns its results."""
    return lambda: OPERATIONS[name](x)
