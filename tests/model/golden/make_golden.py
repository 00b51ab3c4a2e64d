"""Make the golden numbers of small models with PyTorch's own functions: python tests/model/golden/make_golden.py

A file for each model: its configuration and parameters, a batch with unequal counted targets, logits, loss, gradients, and losses
and parameters of three clipped steps of SGD with momentum and of AdamW, all in float64 on toylm's flat layout.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import toylm

HERE = Path(__file__).parent
SIZES = dict(vocab_size=17, d_model=12, d_ff=20, n_heads=2, n_layers=2, context_length=9)
MODELS = {
    "rope": dict(),
    "learned": dict(positions="learned"),
    "gpt2": dict(positions="learned", norm="layer", biases=True, d_model=10, output_bias=True),
    "llama": dict(feed_forward="swiglu", n_heads=4, n_kv_heads=2, d_head=2, tied=False, rope_theta=77.0, norm_eps=1e-3),
    "llama-biases": dict(feed_forward="swiglu", biases=True, n_kv_heads=1, d_model=8),
    "relu2": dict(feed_forward="relu2", d_model=9, n_heads=3, d_head=4),
    "silu": dict(feed_forward="silu", norm="layer", tied=False, output_bias=True, n_layers=1),
}
ACTIVATIONS = {
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "relu2": lambda x: F.relu(x).square(),
    "silu": F.silu,
    "swiglu": lambda x: F.silu(x.chunk(2, dim=-1)[0]) * x.chunk(2, dim=-1)[1],
}


def forward(p, c, tokens):
    """Logits (B, T, V). p: name -> tensor in toylm's names and (inputs, outputs) orientation; vectors are one row."""
    (B, T), h = tokens.shape, c.d_head
    x = F.embedding(tokens, p["token_embed"])
    if c.positions == "learned":
        x = x + p["pos_embed"][:T]

    def norm(name, x):
        if c.norm == "layer":
            return F.layer_norm(x, (c.d_model,), p[f"{name}_gamma"][0], p[f"{name}_beta"][0], c.norm_eps)
        return F.rms_norm(x, (c.d_model,), p[f"{name}_gamma"][0], c.norm_eps)

    def linear(name, x):
        bias = p.get(name.replace("w_", "b_"))
        return F.linear(x, p[name].T, None if bias is None else bias[0])

    def rope(x):  # (B, heads, T, h): the pair (m, m + h/2) is a complex number, which is turned
        frequency = c.rope_theta ** (-2 * torch.arange(h // 2, dtype=torch.float64) / h)
        angle = torch.outer(torch.arange(T, dtype=torch.float64), frequency)
        turned = torch.complex(*x.chunk(2, dim=-1)) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([turned.real, turned.imag], dim=-1)

    for i in range(c.n_layers):
        block = f"blocks.{i}."
        qkv = linear(f"{block}w_qkv", norm(f"{block}norm1", x)).split([c.d_q, c.d_kv, c.d_kv], dim=-1)
        q, k, v = (part.reshape(B, T, -1, h).transpose(1, 2) for part in qkv)
        if c.positions == "rope":
            q, k = rope(q), rope(k)
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + linear(f"{block}w_o", z.transpose(1, 2).reshape(B, T, c.d_q))
        hidden = ACTIVATIONS[c.feed_forward](linear(f"{block}w_ff1", norm(f"{block}norm2", x)))
        x = x + linear(f"{block}w_ff2", hidden)
    bias = p["b_unembed"][0] if c.output_bias else None
    return F.linear(norm("norm_final", x), p["token_embed" if c.tied else "unembed"], bias)


def optimizer(kind, p):
    """PyTorch's SGD or AdamW with the settings of the golden runs; decay on matrices only."""
    if kind == "sgd":
        return torch.optim.SGD(p.values(), lr=0.1, momentum=0.9)
    groups = [
        {"params": [t for t in p.values() if t.shape[0] > 1], "weight_decay": 0.1},
        {"params": [t for t in p.values() if t.shape[0] == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-8)


def make(name):
    config = toylm.ModelConfig(**SIZES | MODELS[name])
    model = toylm.TransformerLM(config, seed=5, precision="float64")
    rng = np.random.default_rng(7)
    model.parameters.flat[:] += 0.1 * rng.standard_normal(model.parameters.size)
    tokens, targets = rng.integers(0, 17, (3, 7)), rng.integers(0, 17, (3, 7))
    targets[0, 2:] = -1
    targets[2, :3] = -1
    x, y = torch.tensor(tokens), torch.tensor(targets).flatten()
    numbers = {"config": np.frombuffer(json.dumps(config.to_dict()).encode(), np.uint8)}
    numbers |= {"parameters": model.parameters.flat.copy(), "tokens": tokens, "targets": targets}

    def tensors():
        return {name: torch.tensor(mat.array.copy(), requires_grad=True) for name, mat in model.parameters.items()}

    def flat(named):
        return torch.cat([named[name].detach().flatten() for name in model.parameters.names]).numpy()

    def loss_and_gradients(p):
        logits = forward(p, config, x)
        loss = F.cross_entropy(logits.flatten(0, 1), y, ignore_index=-1)
        loss.backward()
        return logits.detach().numpy(), float(loss.detach())

    p = tensors()
    numbers["logits"], numbers["loss"] = loss_and_gradients(p)
    numbers["gradients"] = flat({name: tensor.grad for name, tensor in p.items()})
    for kind in ("sgd", "adamw"):
        p, losses = tensors(), []
        steps = optimizer(kind, p)
        for _ in range(3):
            steps.zero_grad()
            losses.append(loss_and_gradients(p)[1])
            norm = math.sqrt(sum(float(t.grad.square().sum()) for t in p.values()))
            for t in p.values():  # PyTorch's own clipping adds 1e-6 to the norm
                t.grad *= min(1.0, 0.5 / norm)
            steps.step()
        numbers[f"{kind}_losses"], numbers[f"{kind}_parameters"] = np.array(losses), flat(p)
    np.savez_compressed(HERE / f"{name}.npz", **numbers)


if __name__ == "__main__":
    for name in MODELS:
        make(name)
