"""The gallery's kernels in PyTorch, eager: its own operators, and its own autograd for the backward passes.

A backward case runs `torch.autograd.grad` on a graph that the forward pass made once, as a training step would; the loss
with gradient runs both. Optimizers share the inputs' memory; clipping, the gallery's factor, is left out.
"""

from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional as F

from .cases import BETA1, BETA2, EPS, LEARNING_RATE, MOMENTUM, NORM_EPS, WEIGHT_DECAY


def _backward(y, inputs, dy):
    """The gradients of `inputs` by the graph that ends in y."""
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def _leaves(*tensors):
    return tuple(t.clone().requires_grad_() for t in tensors)


def _attend(qkv, s):
    q, k, v = qkv.view(s.N // s.T, s.T, 3, s.H, s.d // s.H).permute(2, 0, 3, 1, 4)
    z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return z.transpose(1, 2).reshape(s.N, s.d)


def _attention_backward(x):
    (qkv,) = _leaves(x.qkv)
    return _backward(_attend(qkv, x.s), (qkv,), x.dz)


def _feed_forward(x, h):
    return F.gelu(h @ x.w1, approximate="tanh") @ x.w2


def _feed_forward_backward(x):
    (h,) = _leaves(x.h)
    return _backward(_feed_forward(x, h), (h,), x.dout)


def _rmsnorm_backward(x):
    t, gamma = _leaves(x.x, x.gamma)
    return _backward(F.rms_norm(t, (x.s.d,), gamma, NORM_EPS), (t, gamma), x.dy)


def _gelu_backward(x):
    (t,) = _leaves(x.x)
    return _backward(F.gelu(t, approximate="tanh"), (t,), x.dy)


def _rope(x):
    s, h = x.s, x.s.d // x.s.H
    cos, sin = (t[None, :, None, :] for t in (x.cos, x.sin))
    heads = x.qkv[:, : 2 * s.d].view(s.N // s.T, s.T, 2 * s.H, h)

    def call():
        a, b = heads[..., : h // 2], heads[..., h // 2 :]
        heads.copy_(torch.cat((a * cos - b * sin, b * cos + a * sin), -1))
        return (x.qkv,)

    return call


def _embedding(x, table, positions):
    return (F.embedding(x.tokens, table) + positions).view(x.s.N, x.s.d)


def _embedding_backward(x):
    tables = _leaves(x.dtable, x.dpositions)
    return _backward(_embedding(x, *tables), tables, x.dx)


def _cross_entropy_gradient(x):
    (logits,) = _leaves(x.logits)

    def call():
        losses = F.cross_entropy(logits, x.targets, reduction="none")
        return losses, torch.autograd.grad(losses.mean(), logits)[0]

    return call


def _step(x, make, **settings):
    x.p.requires_grad_()
    x.p.grad = x.g
    optimizer = make([x.p], LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True, **settings)

    def call():
        optimizer.step()
        return (x.p.detach(),)

    return call


# name of the kernel -> function that takes its inputs and returns a call that returns the results
OPERATIONS = {
    "product A·B": lambda x: lambda: (torch.mm(x.a, x.b, out=x.c),),
    "product A·Bᵀ": lambda x: lambda: (torch.mm(x.a, x.b.T, out=x.c),),
    "product Aᵀ·B": lambda x: lambda: (torch.mm(x.a.T, x.b, out=x.c),),
    "attention": lambda x: lambda: (_attend(x.qkv, x.s),),
    "attention backward": _attention_backward,
    "feed-forward": lambda x: lambda: (_feed_forward(x, x.h),),
    "feed-forward backward": _feed_forward_backward,
    "RMSNorm": lambda x: lambda: (F.rms_norm(x.x, (x.s.d,), x.gamma, NORM_EPS),),
    "RMSNorm backward": _rmsnorm_backward,
    "GELU": lambda x: lambda: (F.gelu(x.x, approximate="tanh"),),
    "GELU backward": _gelu_backward,
    "rope": _rope,
    "embedding": lambda x: lambda: (_embedding(x, x.table, x.positions),),
    "embedding backward": _embedding_backward,
    "cross-entropy": lambda x: lambda: (F.cross_entropy(x.logits, x.targets, reduction="none"),),
    "cross-entropy + gradient": _cross_entropy_gradient,
    "SGD with momentum": lambda x: _step(x, torch.optim.SGD, momentum=MOMENTUM),
    "AdamW": lambda x: _step(x, torch.optim.AdamW, betas=(BETA1, BETA2), eps=EPS),
    "gradient norm": lambda x: lambda: (torch.linalg.vector_norm(x.g).item(),),
}


def prepare(name, x):
    """A call of the kernel `name` on the inputs x that returns its results."""
    tensors = {key: torch.from_numpy(value) for key, value in vars(x).items() if isinstance(value, np.ndarray)}
    return OPERATIONS[name](SimpleNamespace(s=x.s, **tensors))
