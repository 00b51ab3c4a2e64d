"""The kernels of the gallery: what goes in, and the operations and bytes that each must spend, counted by hand.

Operations: every +, -, ·, /, root and exponential of the plain formula is one, whatever it takes in instructions; a product
of matrices does 2 m k n; attention is counted over the causal half of its scores, and what a backward pass computes a second
time is not counted. Bytes: every input read once, every output written once, a value updated in place read and written, in
float32; tables and vectors that stay in a cache are left out. So both are the least that the operation needs, and a kernel
that moves more shows a lower rate.

Sizes: N rows (tokens), d width, ff feed-forward width, V vocabulary, T sequence length, B sequences, H heads, L blocks,
P parameters.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from ..model.chunks import chunk_rows

F = np.float32
SMALL = {"N": 16, "d": 32, "ff": 48, "V": 64, "T": 16, "B": 1, "H": 2, "L": 1, "P": 2048}
LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, MOMENTUM, STEP, FACTOR = 1e-3, 0.9, 0.95, 1e-8, 0.1, 0.9, 3, 0.5


@dataclass(frozen=True)
class Kernel:
    """One operation. kind: "product", "fused" (products and what is between them), "attention", "row", "element" or "token";
    bound: "copy" or "peak", the roof it is held against; flops, nbytes: functions of the sizes; inputs: function of (sizes,
    generator) returning a dictionary; restored: names of inputs that the operation overwrites.
    """

    name: str
    kind: str
    direction: str
    flops: object
    nbytes: object
    inputs: object
    restored: tuple = ()

    @property
    def bound(self):
        return "peak" if self.kind in ("product", "fused", "attention") else "copy"

    def make(self, sizes, seed=0):
        """The inputs as attributes of an object, the same in every process; sizes under `.s`."""
        rng = np.random.default_rng(seed)
        s = SimpleNamespace(**sizes)
        return SimpleNamespace(s=s, **self.inputs(s, rng))


def _normal(rng, *shape):
    return rng.standard_normal(shape, F)


def _product(rng, a, b):
    return {"a": _normal(rng, *a), "b": _normal(rng, *b)}


def _rows(*names, width):
    def inputs(s, rng):
        n = getattr(s, width)
        return {name: _normal(rng, s.N, n) for name in names}

    return inputs


def _vectors(*names):
    return lambda s, rng: {name: _normal(rng, s.N * s.d) for name in names}


def _softmax_rows(s, rng):
    """(N · H, T): every row of the attention matrices."""
    return {"x": _normal(rng, s.N * s.H, s.T)}


def _softmax_backward(s, rng):
    e = np.exp(_normal(rng, s.N * s.H, s.T))
    return {"y": e / e.sum(axis=1, keepdims=True), "dy": _normal(rng, *e.shape), "dx": np.zeros_like(e)}


def _norm(s, rng):
    return {"x": _normal(rng, s.N, s.d), "gamma": _normal(rng, s.d)}


def _norm_backward(s, rng):
    x = _norm(s, rng)
    rstd = (1 / np.sqrt((x["x"] ** 2).mean(axis=1) + 1e-5)).astype(F)
    return x | {"rstd": rstd, "dy": _normal(rng, s.N, s.d), "dx": np.zeros((s.N, s.d), F)}


def _norm_projection(s, rng):
    return _norm(s, rng) | {"w": _normal(rng, s.d, 3 * s.d) * F(s.d**-0.5)}


def _feed_forward(s, rng):
    w1, w2 = _normal(rng, s.d, s.ff) * F(s.d**-0.5), _normal(rng, s.ff, s.d) * F(s.ff**-0.5)
    return {"h": _normal(rng, s.N, s.d), "w1": w1, "w2": w2}


def _feed_forward_backward(s, rng):
    return _feed_forward(s, rng) | {"dout": _normal(rng, s.N, s.d)}


def _gelu(s, rng):
    return {"x": _normal(rng, s.N * s.ff)}


def _gelu_backward(s, rng):
    return {"x": _normal(rng, s.N * s.ff), "dy": _normal(rng, s.N * s.ff)}


def _attention(s, rng):
    return {"qkv": _normal(rng, s.N, 3 * s.d)}


def _attention_backward(s, rng):
    return {"qkv": _normal(rng, s.N, 3 * s.d), "dz": _normal(rng, s.N, s.d)}


def _embedding(s, rng):
    tokens = rng.integers(0, s.V, (s.N // s.T, s.T))
    return {"tokens": tokens, "table": _normal(rng, s.V, s.d), "positions": _normal(rng, s.T, s.d)}


def _embedding_backward(s, rng):
    x = _embedding(s, rng)
    zeros = {"dtable": np.zeros((s.V, s.d), F), "dpositions": np.zeros((s.T, s.d), F)}
    return {"tokens": x["tokens"], "dx": _normal(rng, s.N, s.d)} | zeros


def _cross_entropy(s, rng):
    return {"logits": 3 * _normal(rng, s.N, s.V), "targets": rng.integers(0, s.V, s.N)}


def _parameters(*states):
    def inputs(s, rng):
        x = {name: _normal(rng, s.P) for name in ("p", "g")}
        for name in states:
            x[name] = np.abs(_normal(rng, s.P)) * F(0.1)
        return x

    return inputs


def _decode(s, rng):
    """Weights by name, a prompt of half the context, and the token whose successor is asked for."""
    weights = {"token_embed": (s.V, s.d), "pos_embed": (s.T, s.d), "norm_final_gamma": (s.d,)}
    roles = {"norm1_gamma": (s.d,), "w_qkv": (s.d, 3 * s.d), "w_o": (s.d, s.d), "norm2_gamma": (s.d,)}
    roles |= {"w_ff1": (s.d, s.ff), "w_ff2": (s.ff, s.d)}
    for layer in range(s.L):
        weights |= {f"blocks.{layer}.{role}": shape for role, shape in roles.items()}
    arrays = {name: _normal(rng, *shape) * F(0.3 / np.sqrt(shape[0])) for name, shape in weights.items()}
    for name in arrays:
        if name.endswith("gamma"):
            arrays[name] += 1
    return {"weights": arrays, "prompt": rng.integers(0, s.V, s.T // 2), "token": int(rng.integers(s.V))}


def decode_values(s):
    """(weights read by one token, cached keys and values read and written)."""
    return s.L * (4 * s.d**2 + 2 * s.d * s.ff) + s.V * s.d, 2 * s.L * s.d * (s.T // 2 + 1)


def _decode_flops(s):
    weights, cached = decode_values(s)
    return 2 * (weights + cached)


_KERNELS = [
    Kernel("product A·B", "product", "forward", lambda s: 2 * s.N * s.d * s.ff,
           lambda s: 4 * (s.N * s.d + s.d * s.ff + s.N * s.ff), lambda s, r: _product(r, (s.N, s.d), (s.d, s.ff))),
    Kernel("product A·Bᵀ", "product", "backward", lambda s: 2 * s.N * s.d * s.ff,
           lambda s: 4 * (s.N * s.d + s.d * s.ff + s.N * s.ff), lambda s, r: _product(r, (s.N, s.ff), (s.d, s.ff))),
    Kernel("product Aᵀ·B", "product", "backward", lambda s: 2 * s.N * s.d * s.ff,
           lambda s: 4 * (s.N * s.d + s.d * s.ff + s.N * s.ff), lambda s, r: _product(r, (s.N, s.d), (s.N, s.ff))),
    Kernel("attention", "attention", "forward", lambda s: 2 * s.N * s.d * (s.T + 1),
           lambda s: 4 * (4 * s.N * s.d + s.N * s.H), _attention),
    Kernel("attention backward", "attention", "backward", lambda s: 4 * s.N * s.d * (s.T + 1),
           lambda s: 4 * (8 * s.N * s.d + s.N * s.H), _attention_backward),
    # 4 a value of the norm, then the product
    Kernel("norm + projection", "fused", "forward", lambda s: 4 * s.N * s.d + 6 * s.N * s.d**2,
           lambda s: 4 * (2 * s.N * s.d + 3 * s.d**2 + 3 * s.N * s.d), _norm_projection),
    # two products and GELU's 8; h, both matrices, pre, out
    Kernel("feed-forward", "fused", "forward", lambda s: 4 * s.N * s.d * s.ff + 8 * s.N * s.ff,
           lambda s: 4 * (2 * s.N * s.d + 2 * s.d * s.ff + s.N * s.ff), _feed_forward),
    # two products, GELU's 8 and the 17 of its backward pass; dout, both matrices, pre, hidden, dpre, dh
    Kernel("feed-forward backward", "fused", "backward", lambda s: 4 * s.N * s.d * s.ff + 25 * s.N * s.ff,
           lambda s: 4 * (2 * s.N * s.d + 2 * s.d * s.ff + 3 * s.N * s.ff), _feed_forward_backward),
    # max, -, exp, sum, ·
    Kernel("softmax", "row", "forward", lambda s: 5 * s.N * s.H * s.T, lambda s: 8 * s.N * s.H * s.T, _softmax_rows),
    # dy · y, sum; -, ·, +
    Kernel("softmax backward", "row", "backward", lambda s: 5 * s.N * s.H * s.T, lambda s: 16 * s.N * s.H * s.T,
           _softmax_backward, ("dx",)),
    # x·x, sum; · scale, · gamma
    Kernel("RMSNorm", "row", "forward", lambda s: 4 * s.N * s.d, lambda s: 8 * s.N * s.d, _norm),
    # dy·gamma·x, sum; dy·x·scale, sum; dy·gamma, x·inner, -, ·scale, +
    Kernel("RMSNorm backward", "row", "backward", lambda s: 11 * s.N * s.d, lambda s: 16 * s.N * s.d, _norm_backward,
           ("dx",)),
    # x + k·x·x·x, ·c, exp, +1, /
    Kernel("GELU", "element", "forward", lambda s: 8 * s.N * s.ff, lambda s: 8 * s.N * s.ff, _gelu),
    # the 8 above, then dy·(s + x·s·(1 - s)·(a + b·x·x))
    Kernel("GELU backward", "element", "backward", lambda s: 17 * s.N * s.ff, lambda s: 12 * s.N * s.ff, _gelu_backward,
           ("dy",)),
    # 4 products and 2 sums for two values, over q and k
    Kernel("rope", "row", "forward", lambda s: 6 * s.N * s.d, lambda s: 16 * s.N * s.d, _attention, ("qkv",)),
    Kernel("embedding", "row", "forward", lambda s: s.N * s.d, lambda s: 8 * s.N * s.d + 8 * s.N, _embedding),
    # a row is added to a row of the table, and to the position's
    Kernel("embedding backward", "row", "backward", lambda s: 2 * s.N * s.d, lambda s: 12 * s.N * s.d + 8 * s.N,
           _embedding_backward, ("dtable", "dpositions")),
    # max, -, exp, sum
    Kernel("cross-entropy", "row", "forward", lambda s: 4 * s.N * s.V, lambda s: 4 * s.N * s.V, _cross_entropy),
    # the same and the gradient in one: · factor
    Kernel("cross-entropy + gradient", "row", "backward", lambda s: 5 * s.N * s.V, lambda s: 8 * s.N * s.V, _cross_entropy,
           ("logits",)),
    Kernel("residual add", "element", "forward", lambda s: s.N * s.d, lambda s: 12 * s.N * s.d, _vectors("x", "f")),
    Kernel("residual add backward", "element", "backward", lambda s: 2 * s.N * s.d, lambda s: 20 * s.N * s.d,
           _vectors("dy", "dx", "df"), ("dx", "df")),
    # p·keep; v·mu, g·f, +; ·rate, -
    Kernel("SGD with momentum", "element", "update", lambda s: 6 * s.P, lambda s: 20 * s.P, _parameters("v"), ("p", "v")),
    # g·f; b1·m, (1-b1)·g, +; b2·v, (1-b2)·g·g, +; root, ·, +, ·step, /; keep·p, -
    Kernel("AdamW", "element", "update", lambda s: 15 * s.P, lambda s: 28 * s.P, _parameters("m", "v"), ("p", "m", "v")),
    Kernel("gradient norm", "element", "update", lambda s: 2 * s.P, lambda s: 4 * s.P, _parameters()),
    Kernel("decode token", "token", "forward", _decode_flops, lambda s: 4 * sum(decode_values(s)), _decode),
]  # fmt: skip
KERNELS = {kernel.name: kernel for kernel in _KERNELS}


@dataclass(frozen=True)
class Case:
    """A kernel at one size. label: what the table calls the size ("tiny", "memory")."""

    kernel: str
    label: str
    sizes: tuple

    @property
    def flops(self):
        return float(KERNELS[self.kernel].flops(SimpleNamespace(**dict(self.sizes))))

    @property
    def nbytes(self):
        return float(KERNELS[self.kernel].nbytes(SimpleNamespace(**dict(self.sizes))))

    @property
    def intensity(self):
        """Operations a byte."""
        return self.flops / self.nbytes

    def to_dict(self):
        return {"kernel": self.kernel, "label": self.label, "sizes": dict(self.sizes)}


def sizes_of(shape):
    """The sizes of a preset (presets.Shape), by their letters."""
    s = {"N": shape.tokens, "d": shape.d_model, "ff": shape.d_ff, "V": shape.vocab_size, "T": shape.length}
    s |= {"B": shape.batch, "H": shape.n_heads, "L": shape.n_layers}
    matrices = s["L"] * (4 * s["d"] ** 2 + 2 * s["d"] * s["ff"]) + (s["V"] + s["T"]) * s["d"]
    return s | {"P": matrices + (2 * s["L"] + 1) * s["d"]}


def cases_of(preset, presets, memory_bytes):
    """The gallery's list: products at every preset, all other kernels at `preset`, and those that the copy bounds once
    more on arrays of at least `memory_bytes` altogether, which no cache holds (0: leave those out)."""
    cases = [Case(k.name, name, _sizes(sizes_of(shape))) for name, shape in presets.items() for k in _KERNELS[:3]]
    here = sizes_of(presets[preset])
    chunk = here | {"N": min(here["N"], chunk_rows(here["V"], 4))}  # what cross-entropy meets in training
    for kernel in _KERNELS[3:]:
        cases.append(Case(kernel.name, preset, _sizes(chunk if "entropy" in kernel.name else here)))
    for kernel in _KERNELS if memory_bytes else ():
        if kernel.kind in ("row", "element"):
            scale = -(-memory_bytes // int(Case(kernel.name, "", _sizes(here)).nbytes))
            cases.append(Case(kernel.name, "memory", _sizes(here | {x: here[x] * scale for x in ("N", "B", "P")})))
    return cases


def _sizes(sizes):
    return tuple(sorted(sizes.items()))
