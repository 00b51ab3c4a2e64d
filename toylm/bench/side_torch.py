"""The gallery's kernels in PyTorch, eager: its own operators, and its own autograd for the backward passes.

A backward case runs `torch.autograd.grad` on a graph that the forward pass made once, as a training step would; the loss
with gradient runs both.
"""

import torch
from torch.nn import functional as F

from .cases import BETA1, BETA2, EPS, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY
from .side_toylm import NORM_EPS, THETA


def _tensor(array):
    return torch.from_numpy(array)


def _out(f, *shape):
    """A call of an operator that writes into a tensor made beforehand."""
    out = torch.empty(shape)
    return lambda: (f(out),)


def _backward(y, inputs, dy):
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def _leaf(array):
    return _tensor(array).clone().requires_grad_()


def _product(x):
    a, b = _tensor(x.a), _tensor(x.b)
    return _out(lambda out: torch.mm(a, b, out=out), a.shape[0], b.shape[1])


def _product_b_transposed(x):
    a, b = _tensor(x.a), _tensor(x.b)
    return _out(lambda out: torch.mm(a, b.T, out=out), a.shape[0], b.shape[0])


def _product_a_transposed(x):
    a, b = _tensor(x.a), _tensor(x.b)
    return _out(lambda out: torch.mm(a.T, b, out=out), a.shape[1], b.shape[1])


def _attend(qkv, s):
    q, k, v = qkv.view(s.N // s.T, s.T, 3, s.H, s.d // s.H).permute(2, 0, 3, 1, 4)
    z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return z.transpose(1, 2).reshape(s.N, s.d)


def _attention(x):
    qkv = _tensor(x.qkv)
    return lambda: (_attend(qkv, x.s),)


def _attention_backward(x):
    qkv = _leaf(x.qkv)
    return _backward(_attend(qkv, x.s), (qkv,), _tensor(x.dz))


def _norm_projection(x):
    t, gamma, w = _tensor(x.x), _tensor(x.gamma), _tensor(x.w)
    return lambda: (F.rms_norm(t, (x.s.d,), gamma, NORM_EPS) @ w,)


def _feed_forward(x):
    h, w1, w2 = _tensor(x.h), _tensor(x.w1), _tensor(x.w2)
    return lambda: (F.gelu(h @ w1, approximate="tanh") @ w2,)


def _feed_forward_backward(x):
    h, w1, w2 = _leaf(x.h), _tensor(x.w1), _tensor(x.w2)
    return _backward(F.gelu(h @ w1, approximate="tanh") @ w2, (h,), _tensor(x.dout))


def _softmax(x):
    t = _tensor(x.x)
    return lambda: (torch.softmax(t, -1),)


def _softmax_backward(x):
    logits = torch.log(_tensor(x.y)).requires_grad_()
    return _backward(torch.softmax(logits, -1), (logits,), _tensor(x.dy))


def _rmsnorm(x):
    t, gamma = _tensor(x.x), _tensor(x.gamma)
    return lambda: (F.rms_norm(t, (x.s.d,), gamma, NORM_EPS),)


def _rmsnorm_backward(x):
    t, gamma = _leaf(x.x), _leaf(x.gamma)
    return _backward(F.rms_norm(t, (x.s.d,), gamma, NORM_EPS), (t, gamma), _tensor(x.dy))


def _gelu(x):
    t = _tensor(x.x)
    return lambda: (F.gelu(t, approximate="tanh"),)


def _gelu_backward(x):
    t = _leaf(x.x)
    return _backward(F.gelu(t, approximate="tanh"), (t,), _tensor(x.dy).clone())


def _rope(x):
    from ..kernels.rope import rope_tables

    s, h = x.s, x.s.d // x.s.H
    cos, sin = (_tensor(t)[None, :, None, :] for t in rope_tables(s.T, h, THETA, "float32"))
    qkv = _tensor(x.qkv)
    heads = qkv[:, : 2 * s.d].view(s.N // s.T, s.T, 2 * s.H, h)

    def call():
        a, b = heads[..., : h // 2], heads[..., h // 2 :]
        heads.copy_(torch.cat((a * cos - b * sin, b * cos + a * sin), -1))
        return (qkv,)

    return call


def _embedding(x):
    tokens, table, positions = _tensor(x.tokens), _tensor(x.table), _tensor(x.positions)
    return lambda: ((F.embedding(tokens, table) + positions).view(x.s.N, x.s.d),)


def _embedding_backward(x):
    tokens = _tensor(x.tokens)
    table, positions = torch.zeros(x.s.V, x.s.d, requires_grad=True), torch.zeros(x.s.T, x.s.d, requires_grad=True)
    y = (F.embedding(tokens, table) + positions).view(x.s.N, x.s.d)
    return _backward(y, (table, positions), _tensor(x.dx))


def _cross_entropy(x):
    logits, targets = _tensor(x.logits), _tensor(x.targets)
    return lambda: (F.cross_entropy(logits, targets, reduction="none"),)


def _cross_entropy_gradient(x):
    logits, targets = _leaf(x.logits), _tensor(x.targets)

    def call():
        losses = F.cross_entropy(logits, targets, reduction="none")
        return losses, torch.autograd.grad(losses.mean(), logits)[0]

    return call


def _residual(x):
    a, f = _tensor(x.x), _tensor(x.f)
    return _out(lambda out: torch.add(a, f, out=out), a.numel())


def _residual_backward(x):
    dy, dx, df = _tensor(x.dy), _tensor(x.dx), _tensor(x.df)
    return lambda: (dx.add_(dy), df.add_(dy))


def _optimizer(x, make):
    """An optimizer over one parameter that shares the inputs' memory; clipping is the gallery's `factor`, left out here."""
    p = _tensor(x.p).requires_grad_()
    p.grad = _tensor(x.g)
    optimizer = make([p])

    def call():
        optimizer.step()
        return (p.detach(),)

    return call


def _sgd(x):
    return _optimizer(x, lambda p: torch.optim.SGD(p, LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True))


def _adam(x):
    settings = {"betas": (BETA1, BETA2), "eps": EPS, "weight_decay": WEIGHT_DECAY, "fused": True}
    return _optimizer(x, lambda p: torch.optim.AdamW(p, LEARNING_RATE, **settings))


def _norm(x):
    g = _tensor(x.g)
    return lambda: (torch.linalg.vector_norm(g).item(),)


def _decode(x):
    from .worker_torch import Model

    s = x.s
    sizes = {"vocab_size": s.V, "d_model": s.d, "n_layers": s.L, "n_heads": s.H, "d_ff": s.ff, "length": s.T}
    model = Model(sizes)
    w = {name: _tensor(values) for name, values in x.weights.items()}
    with torch.no_grad():
        model.tokens.weight.copy_(w["token_embed"])
        model.positions.weight.copy_(w["pos_embed"])
        model.norm.weight.copy_(w["norm_final_gamma"])
        for layer, block in enumerate(model.blocks):
            at = f"blocks.{layer}."
            block.norm1.weight.copy_(w[at + "norm1_gamma"])
            block.norm2.weight.copy_(w[at + "norm2_gamma"])
            for module, role in ((block.qkv, "w_qkv"), (block.out, "w_o"), (block.up, "w_ff1"), (block.down, "w_ff2")):
                module.weight.copy_(w[at + role].T)
    shape = (1, s.H, s.T, s.d // s.H)
    caches = [(torch.zeros(shape), torch.zeros(shape)) for _ in range(s.L)]
    first, token = len(x.prompt), torch.tensor([[x.token]])
    with torch.inference_mode():
        model(_tensor(x.prompt)[None], caches, 0)

    @torch.inference_mode()
    def call():
        return (model(token, caches, first)[0, -1],)

    return call


PREPARE = {
    "product A·B": _product,
    "product A·Bᵀ": _product_b_transposed,
    "product Aᵀ·B": _product_a_transposed,
    "attention": _attention,
    "attention backward": _attention_backward,
    "norm + projection": _norm_projection,
    "feed-forward": _feed_forward,
    "feed-forward backward": _feed_forward_backward,
    "softmax": _softmax,
    "softmax backward": _softmax_backward,
    "RMSNorm": _rmsnorm,
    "RMSNorm backward": _rmsnorm_backward,
    "GELU": _gelu,
    "GELU backward": _gelu_backward,
    "rope": _rope,
    "embedding": _embedding,
    "embedding backward": _embedding_backward,
    "cross-entropy": _cross_entropy,
    "cross-entropy + gradient": _cross_entropy_gradient,
    "residual add": _residual,
    "residual add backward": _residual_backward,
    "SGD with momentum": _sgd,
    "AdamW": _adam,
    "gradient norm": _norm,
    "decode token": _decode,
}
