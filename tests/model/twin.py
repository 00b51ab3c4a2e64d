"""The same model in plain PyTorch: the oracle of the golden numbers and of the parity tests. Needs torch; toylm does not."""

import math

import torch
from torch.nn import functional as F


def forward(p, config, tokens):
    """Logits (B, T, V). p: name -> tensor in toylm's names and (inputs, outputs) orientation."""
    B, T = tokens.shape
    H, h = config["n_heads"], config["d_model"] // config["n_heads"]
    x = p["token_embed"][tokens]
    if config["positions"] == "learned":
        x = x + p["pos_embed"][:T]

    def norm(x, gamma):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + config["norm_eps"]) * gamma[0]

    def rope(x):  # (B, H, T, h), rotate-half
        frequency = config["rope_theta"] ** (-torch.arange(0, h, 2, dtype=torch.float64) / h)
        angle = torch.arange(T, dtype=torch.float64)[:, None] * frequency
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        a, b = x[..., : h // 2], x[..., h // 2 :]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    causal = torch.ones(T, T, dtype=torch.bool).tril()
    for i in range(config["n_layers"]):
        q, k, v = (
            part.reshape(B, T, H, h).transpose(1, 2)
            for part in (norm(x, p[f"blocks.{i}.norm1_gamma"]) @ p[f"blocks.{i}.w_qkv"]).chunk(3, dim=-1)
        )
        if config["positions"] == "rope":
            q, k = rope(q), rope(k)
        scores = (q @ k.transpose(-1, -2) / math.sqrt(h)).masked_fill(~causal, -torch.inf)
        z = (scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, H * h)
        x = x + z @ p[f"blocks.{i}.w_o"]
        hidden = F.gelu(norm(x, p[f"blocks.{i}.norm2_gamma"]) @ p[f"blocks.{i}.w_ff1"], approximate="tanh")
        x = x + hidden @ p[f"blocks.{i}.w_ff2"]
    return norm(x, p["norm_final_gamma"]) @ p["token_embed"].T


def loss(p, config, tokens, targets):
    """Mean nats per counted target."""
    logits = forward(p, config, tokens)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


def gradients(p, config, tokens, targets):
    """(loss, name -> gradient); p's tensors are leaves."""
    for tensor in p.values():
        tensor.requires_grad_(True)
        tensor.grad = None
    value = loss(p, config, tokens, targets)
    value.backward()
    return float(value.detach()), {name: tensor.grad.detach().clone() for name, tensor in p.items()}


def optimizer(kind, p):
    """torch's SGD or AdamW with the settings of the golden runs; decay on matrices only."""
    tensors = [t.requires_grad_(True) for t in p.values()]
    if kind == "sgd":
        return torch.optim.SGD(tensors, lr=0.1, momentum=0.9)
    groups = [
        {"params": [t for t in tensors if t.shape[0] > 1], "weight_decay": 0.1},
        {"params": [t for t in tensors if t.shape[0] == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-8)


def run(kind, p, config, tokens, targets, steps=3, max_norm=0.5):
    """Losses of `steps` clipped optimizer steps; p is updated in place."""
    steps_optimizer, losses = optimizer(kind, p), []
    for _ in range(steps):
        steps_optimizer.zero_grad()
        value = loss(p, config, tokens, targets)
        value.backward()
        norm = math.sqrt(sum(float(t.grad.pow(2).sum()) for t in p.values()))
        for t in p.values():  # torch's own clipping adds 1e-6 to the norm
            t.grad *= min(1.0, max_norm / norm)
        steps_optimizer.step()
        losses.append(float(value.detach()))
    return losses
