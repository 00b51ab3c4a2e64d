"""PyTorch's side: the same model from its own best parts (fused attention, fused AdamW), eager, compiled or in bf16."""

import contextlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .sides import serve


class Block(nn.Module):
    def __init__(self, d, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(d, eps=1e-5), nn.RMSNorm(d, eps=1e-5)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, d_ff, bias=False), nn.Linear(d_ff, d, bias=False)

    def forward(self, x, cache=None):
        B, T, d = x.shape
        q, k, v = (
            part.reshape(B, T, self.heads, d // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        causal = True
        if cache is not None:
            k_all, v_all, at = cache
            k_all[:, :, at : at + T], v_all[:, :, at : at + T] = k, v
            k, v, causal = k_all[:, :, : at + T], v_all[:, :, : at + T], T > 1
        z = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + self.out(z.transpose(1, 2).reshape(B, T, d))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Model(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.tokens = nn.Embedding(s["vocab_size"], s["d_model"])
        self.positions = nn.Embedding(s["length"], s["d_model"])
        blocks = [Block(s["d_model"], s["n_heads"], s["d_ff"]) for _ in range(s["n_layers"])]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(s["d_model"], eps=1e-5)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02 if p.shape[0] >= s["length"] and p.shape[1] == s["d_model"] else 0.05)

    def forward(self, ids, caches=None, first=0):
        x = self.tokens(ids) + self.positions.weight[first : first + ids.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, None if caches is None else (*caches[i], first))
        return self.norm(x) @ self.tokens.weight.T


def prepare(task):
    side, s = task["side"], task["shape"]
    torch.manual_seed(0)
    torch.set_num_threads(task["threads"])
    model = Model(s)
    if task["kind"] == "generate":
        return _generator(model, s, task)
    decayed = [p for p in model.parameters() if p.ndim == 2]
    plain = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=True)
    batch = np.random.default_rng(0).integers(0, s["vocab_size"], (s["batch"], s["length"] + 1))
    x, y = torch.tensor(batch[:, :-1].copy()), torch.tensor(batch[:, 1:].copy())
    autocast = torch.autocast("cpu", torch.bfloat16) if side.endswith("bf16") else contextlib.nullcontext()

    def loss_of(x, y):
        with autocast:
            logits = model(x)
        return F.cross_entropy(logits.flatten(0, 1).float(), y.flatten())

    if "compile" in side:
        loss_of = torch.compile(loss_of)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


def _generator(model, s, task):
    """Greedy decoding with a preallocated key-value cache, prompt in one pass."""
    shape = (1, s["n_heads"], s["length"], s["d_model"] // s["n_heads"])
    caches = [(torch.zeros(shape), torch.zeros(shape)) for _ in range(s["n_layers"])]

    @torch.inference_mode()
    def generate():
        ids, first, made = torch.tensor([task["prompt"]]), 0, 0
        while made < task["tokens"]:
            logits = model(ids, caches, first)
            first += ids.shape[1]
            ids = logits[:, -1:].argmax(-1)
            made += 1
        return made

    return generate


if __name__ == "__main__":
    serve(prepare)
