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

from ..reference import attention_forward, split_qkv

F = np.float32
SMALL = {"N": 16, "d": 32, "ff": 48, "V": 64, "T": 16, "B": 1, "H": 2, "L": 1, "P": 2048}
LEARNING_RATE, BETA1, BETA2, EPS, WEIGHT_DECAY, MOMENTUM, STEP, FACTOR = 1e-3, 0.9, 0.95, 1e-8, 0.1, 0.9, 3, 0.5
NORM_EPS, THETA = 1e-5, 10000.0
CHUNK_BYTES = 4 * 2**20  # of logits: as many rows as training computes at a time


@dataclass(frozen=True)
class Kernel:
    """One operation. kind: "product", "fused" (products and what is between them), "attention", "row" or "element";
    flops, nbytes: functions of the sizes; inputs: function of (sizes, generator) returning a dictionary of arrays, those that a
    side may write to among them; results: names of the arrays that hold the results; restored: those of them that are
    inputs as well.
    """

    name: str
    kind: str
    direction: str
    flops: object
    nbytes: object
    inputs: object
    results: tuple
    restored: tuple = ()

    @property
    def bound(self):
        """The roof it is held against: "copy" or "peak"."""
        return "copy" if self.kind in ("row", "element") else "peak"

    def make(self, sizes, seed=0):
        """The arrays as attributes of an object, the same in every process; sizes under `.s`."""
        s = SimpleNamespace(**sizes)
        return SimpleNamespace(s=s, **self.inputs(s, np.random.default_rng(seed)))


def _normal(rng, *shape):
    return rng.standard_normal(shape, F)


def _product(a, b, c):
    """Inputs of c = a · b, either of them transposed; a, b, c: the letters of their sizes."""

    def inputs(s, rng):
        a_shape, b_shape, c_shape = (tuple(getattr(s, size) for size in sizes) for sizes in (a, b, c))
        return {"a": _normal(rng, *a_shape), "b": _normal(rng, *b_shape), "c": np.empty(c_shape, F)}

    return inputs


def _norm(s, rng):
    x = _normal(rng, s.N, s.d)
    rstd = (1 / np.sqrt((x**2).mean(axis=1) + NORM_EPS)).astype(F)
    return {"x": x, "gamma": _normal(rng, s.d), "rstd": rstd, "y": np.empty_like(x)}


def _norm_backward(s, rng):
    return _norm(s, rng) | {"dy": _normal(rng, s.N, s.d), "dx": np.zeros((s.N, s.d), F), "dgamma": np.zeros(s.d, F)}


def _feed_forward(s, rng):
    h, w1, w2 = _normal(rng, s.N, s.d), _normal(rng, s.d, s.ff) * F(s.d**-0.5), _normal(rng, s.ff, s.d) * F(s.ff**-0.5)
    return {"h": h, "w1": w1, "w2": w2, "pre": h @ w1, "hidden": np.empty((s.N, s.ff), F), "out": np.empty_like(h)}


def _feed_forward_backward(s, rng):
    x = _feed_forward(s, rng)
    return x | {"dout": _normal(rng, s.N, s.d), "dpre": np.empty_like(x["pre"]), "dh": np.empty_like(x["h"])}


def _gelu(s, rng):
    return {"x": _normal(rng, s.N * s.ff), "dy": _normal(rng, s.N * s.ff), "y": np.empty(s.N * s.ff, F)}


def rope_tables(T, h):
    """(cos, sin), each (T, h/2): of the angles t · theta^(-2 m / h)."""
    angles = np.arange(T)[:, None] * THETA ** (-2 * np.arange(h // 2) / h)
    return np.cos(angles).astype(F), np.sin(angles).astype(F)


def _rope(s, rng):
    cos, sin = rope_tables(s.T, s.d // s.H)
    return {"qkv": _normal(rng, s.N, 3 * s.d), "cos": cos, "sin": sin}


def _attention(s, rng):
    """p: the probabilities, which the loops keep."""
    p = np.zeros((s.N // s.T * s.H, s.T, s.T), F)
    return {"qkv": _normal(rng, s.N, 3 * s.d), "z": np.empty((s.N, s.d), F), "log_sums": np.empty((s.N, s.H), F), "p": p}


def _attention_backward(s, rng):
    """With what forward passes keep: the outputs, and the probabilities or the logarithms of the scores' sums."""
    x = _attention(s, rng)
    z, p = attention_forward(x["qkv"], s.T, s.H, s.H)
    q, k, _ = split_qkv(x["qkv"], s.T, s.H, s.H)
    sums = np.where(np.tri(s.T, dtype=bool), np.exp(q @ k.swapaxes(-1, -2) / F((s.d // s.H) ** 0.5)), 0).sum(-1)
    log_sums = np.log(sums.transpose(0, 2, 1).reshape(s.N, s.H))
    kept = {"z": z, "p": p.reshape(-1, s.T, s.T), "log_sums": log_sums}
    kept = {name: np.ascontiguousarray(array, F) for name, array in kept.items()}
    return x | kept | {"dz": _normal(rng, s.N, s.d), "dqkv": np.empty_like(x["qkv"])}


def _embedding(s, rng):
    tables = {"table": _normal(rng, s.V, s.d), "positions": _normal(rng, s.T, s.d)}
    return {"tokens": rng.integers(0, s.V, (s.N // s.T, s.T)), **tables, "x": np.empty((s.N, s.d), F)}


def _embedding_backward(s, rng):
    gradients = {"dtable": np.zeros((s.V, s.d), F), "dpositions": np.zeros((s.T, s.d), F)}
    return {"tokens": rng.integers(0, s.V, (s.N // s.T, s.T)), "dx": _normal(rng, s.N, s.d)} | gradients


def _cross_entropy(s, rng):
    return {"logits": 3 * _normal(rng, s.N, s.V), "targets": rng.integers(0, s.V, s.N), "losses": np.empty(s.N)}


def _parameters(s, rng):
    p, g, m, v = rng.standard_normal((4, s.P), F)
    return {"p": p, "g": g, "m": np.abs(m) * F(0.1), "v": np.abs(v) * F(0.1), "norm": np.empty(1)}


_KERNELS = [
    Kernel("product A·B", "product", "forward", lambda s: 2 * s.N * s.d * s.ff,
           lambda s: 4 * (s.N * s.d + s.d * s.ff + s.N * s.ff), _product(("N", "d"), ("d", "ff"), ("N", "ff")), ("c",)),
    Kernel("product A·Bᵀ", "product", "backward", lambda s: 2 * s.N * s.d * s.ff,
           lambda s: 4 * (s.N * s.d + s.d * s.ff + s.N * s.ff), _product(("N", "ff"), ("d", "ff"), ("N", "d")), ("c",)),
    Kernel("product Aᵀ·B", "product", "backward", lambda s: 2 * s.N * s.d * s.ff,
           lambda s: 4 * (s.N * s.d + s.d * s.ff + s.N * s.ff), _product(("N", "d"), ("N", "ff"), ("d", "ff")), ("c",)),
    Kernel("attention", "attention", "forward", lambda s: 2 * s.N * s.d * (s.T + 1),
           lambda s: 4 * (4 * s.N * s.d + s.N * s.H), _attention, ("z",)),
    Kernel("attention backward", "attention", "backward", lambda s: 4 * s.N * s.d * (s.T + 1),
           lambda s: 4 * (8 * s.N * s.d + s.N * s.H), _attention_backward, ("dqkv",)),
    # two products and GELU's 8; h, both matrices, pre, out
    Kernel("feed-forward", "fused", "forward", lambda s: 4 * s.N * s.d * s.ff + 8 * s.N * s.ff,
           lambda s: 4 * (2 * s.N * s.d + 2 * s.d * s.ff + s.N * s.ff), _feed_forward, ("out",)),
    # two products, GELU's 8 and the 17 of its backward pass; dout, both matrices, pre, hidden, dpre, dh
    Kernel("feed-forward backward", "fused", "backward", lambda s: 4 * s.N * s.d * s.ff + 25 * s.N * s.ff,
           lambda s: 4 * (2 * s.N * s.d + 2 * s.d * s.ff + 3 * s.N * s.ff), _feed_forward_backward, ("dh",)),
    # x·x, sum; · scale, · gamma
    Kernel("RMSNorm", "row", "forward", lambda s: 4 * s.N * s.d, lambda s: 8 * s.N * s.d, _norm, ("y",)),
    # dy·gamma·x, sum; dy·x·scale, sum; dy·gamma, x·inner, -, ·scale, +
    Kernel("RMSNorm backward", "row", "backward", lambda s: 11 * s.N * s.d, lambda s: 16 * s.N * s.d, _norm_backward,
           ("dx", "dgamma"), ("dx", "dgamma")),
    # x + k·x·x·x, ·c, exp, +1, /
    Kernel("GELU", "element", "forward", lambda s: 8 * s.N * s.ff, lambda s: 8 * s.N * s.ff, _gelu, ("y",)),
    # the 8 above, then dy·(s + x·s·(1 - s)·(a + b·x·x))
    Kernel("GELU backward", "element", "backward", lambda s: 17 * s.N * s.ff, lambda s: 12 * s.N * s.ff, _gelu, ("dy",), ("dy",)),
    # 4 products and 2 sums for two values, over q and k
    Kernel("rope", "row", "forward", lambda s: 6 * s.N * s.d, lambda s: 16 * s.N * s.d, _rope, ("qkv",), ("qkv",)),
    Kernel("embedding", "row", "forward", lambda s: s.N * s.d, lambda s: 8 * s.N * s.d + 8 * s.N, _embedding, ("x",)),
    # a row is added to a row of the table, and to the position's
    Kernel("embedding backward", "row", "backward", lambda s: 2 * s.N * s.d, lambda s: 12 * s.N * s.d + 8 * s.N,
           _embedding_backward, ("dtable", "dpositions"), ("dtable", "dpositions")),
    # max, -, exp, sum
    Kernel("cross-entropy", "row", "forward", lambda s: 4 * s.N * s.V, lambda s: 4 * s.N * s.V, _cross_entropy, ("losses",)),
    # the same and the gradient in one: · factor
    Kernel("cross-entropy + gradient", "row", "backward", lambda s: 5 * s.N * s.V, lambda s: 8 * s.N * s.V, _cross_entropy,
           ("losses", "logits"), ("logits",)),
    # p·keep; v·mu, g·f, +; ·rate, -
    Kernel("SGD with momentum", "element", "update", lambda s: 6 * s.P, lambda s: 20 * s.P, _parameters, ("p", "v"), ("p", "v")),
    # g·f; b1·m, (1-b1)·g, +; b2·v, (1-b2)·g·g, +; root, ·, +, ·step, /; keep·p, -
    Kernel("AdamW", "element", "update", lambda s: 15 * s.P, lambda s: 28 * s.P, _parameters, ("p", "m", "v"), ("p", "m", "v")),
    Kernel("gradient norm", "element", "update", lambda s: 2 * s.P, lambda s: 4 * s.P, _parameters, ("norm",)),
]  # fmt: skip
KERNELS = {kernel.name: kernel for kernel in _KERNELS}


@dataclass(frozen=True)
class Case:
    """A kernel at one size. label: what the table calls the size ("tiny", "memory"); sizes: a dictionary by letter."""

    kernel: str
    label: str
    sizes: dict

    @property
    def flops(self):
        """Operations."""
        return float(KERNELS[self.kernel].flops(SimpleNamespace(**self.sizes)))

    @property
    def nbytes(self):
        """Bytes moved."""
        return float(KERNELS[self.kernel].nbytes(SimpleNamespace(**self.sizes)))

    @property
    def intensity(self):
        """Operations a byte."""
        return self.flops / self.nbytes


def sizes_of(shape):
    """The sizes of a preset (presets.Shape), by their letters."""
    s = {"N": shape.tokens, "d": shape.d_model, "ff": shape.d_ff, "V": shape.vocab_size, "T": shape.length}
    s |= {"B": shape.batch, "H": shape.n_heads, "L": shape.n_layers}
    matrices = s["L"] * (4 * s["d"] ** 2 + 2 * s["d"] * s["ff"]) + (s["V"] + s["T"]) * s["d"]
    return s | {"P": matrices + (2 * s["L"] + 1) * s["d"]}


def cases_of(preset, presets, memory_bytes):
    """The gallery's list: products at every preset, all other kernels at `preset`, and those that the copy bounds once
    more on arrays of at least `memory_bytes` altogether, which no cache holds (0: leave those out)."""
    cases = [Case(k.name, name, sizes_of(shape)) for name, shape in presets.items() for k in _KERNELS[:3]]
    here = sizes_of(presets[preset])
    chunk = here | {"N": min(here["N"], CHUNK_BYTES // (4 * here["V"]))}  # what cross-entropy meets in training
    cases += [Case(k.name, preset, chunk if "entropy" in k.name else here) for k in _KERNELS[3:]]
    for kernel in _KERNELS if memory_bytes else ():
        if kernel.bound == "copy":
            scale = -(-memory_bytes // int(Case(kernel.name, "", here).nbytes))
            cases.append(Case(kernel.name, "memory", here | {x: here[x] * scale for x in ("N", "B", "P")}))
    return cases
