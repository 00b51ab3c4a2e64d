"""What a model is made of: ModelConfig, a frozen dataclass, checked when it is made, kept as JSON in every checkpoint."""

import dataclasses
import math
from dataclasses import dataclass

from .errors import nearest
from .kinds import FEED_FORWARDS, NORMS, POSITIONS

# the choices, field by field
CHOICES = {
    "positions": tuple(POSITIONS),
    "norm": tuple(NORMS),
    "feed_forward": tuple(FEED_FORWARDS),
    "init": ("normal", "uniform"),
}


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a TransformerLM. Raises ValueError naming the field, the value and the limit.

    The block is pre-norm: x += attention(norm(x)); x += feed_forward(norm(x)). Three combinations are known elsewhere:
    GPT-2 (layer, learned, gelu, biases), Llama (rms, rope, swiglu) and Arcee (rms, rope, gelu | relu2 | silu), the default.
    A size that is left out follows the others, also in `replace`.
    """

    vocab_size: int  # V, number of token ids
    d_model: int = 128  # d, width of the residual stream
    d_ff: int | None = None  # hidden width of the feed-forward; None: 4 d, or 8/3 d in steps of 32 for swiglu's three matrices
    n_heads: int = 4  # H, attention heads
    n_layers: int = 4  # L, blocks
    context_length: int = 256  # T, longest sequence
    positions: str = "rope"  # "rope": rotary (rotate-half pairs); "learned": a trained vector a position
    rope_theta: float = 10000.0  # base of the rotary frequencies
    norm_eps: float = 1e-5  # added to the mean square inside the norm
    init: str = "normal"  # "normal": by fan-in and depth; "uniform": on ±1/sqrt(d), for every matrix
    norm: str = "rms"  # "rms": RMSNorm, a gain; "layer": LayerNorm, a gain and a shift
    feed_forward: str = "gelu"  # "gelu" (tanh form), "relu2", "silu": act(x·W1)·W2; "swiglu": (silu(x·Wg) * x·Wu)·W2
    biases: bool = False  # a bias in every linear layer of the blocks
    n_kv_heads: int | None = None  # K, heads of keys and values, each shared by H / K heads; None: H
    d_head: int | None = None  # h, values per head; None: d / H
    tied: bool = True  # the output matrix is the token embedding; False: a matrix of its own, `unembed`
    output_bias: bool = False  # a trained number for every token on top of the logits, `b_unembed`
    counts: bool = False  # a counts model's log-probabilities times the trained `counts_scale` on top of the logits

    def __post_init__(self):
        for name in ("vocab_size", "d_model", "n_heads", "n_layers", "context_length", "d_ff", "n_kv_heads", "d_head"):
            value = getattr(self, name)
            if value is None and name in _FOLLOWS:
                value = _FOLLOWS[name](self)
                if value is None:  # only d_head can be without a default
                    raise ValueError(
                        f"d_model {self.d_model} is not divisible by n_heads {self.n_heads}: the heads share it equally; "
                        f"n_heads {_nearest_divisor(self.d_model, self.n_heads)} would do, or give d_head"
                    )
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise TypeError(f"{name} must be a whole number, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
            object.__setattr__(self, name, int(value))
        for name, valid in CHOICES.items():
            if getattr(self, name) not in valid:
                raise ValueError(f"{name} is {getattr(self, name)!r}{nearest(getattr(self, name), valid)}")
        for name in ("biases", "tied", "output_bias", "counts"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be true or false, not {getattr(self, name)!r}")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_heads {self.n_heads} is not divisible by n_kv_heads {self.n_kv_heads}: every key-value head serves "
                f"equally many heads; n_kv_heads {_nearest_divisor(self.n_heads, self.n_kv_heads)} would do"
            )
        if self.positions == "rope" and self.d_head % 2:
            raise ValueError(
                f"the head size d_model / n_heads is {self.d_head}, which is odd; rotary positions turn pairs of "
                f"values, so it must be even (or choose positions='learned')"
            )
        if not self.rope_theta > 0:
            raise ValueError(f"rope_theta is {self.rope_theta}; it must be above 0")
        if not self.norm_eps > 0:
            raise ValueError(f"norm_eps is {self.norm_eps}; it must be above 0")

    @property
    def d_q(self):
        """Width of all heads' queries, n_heads · d_head."""
        return self.n_heads * self.d_head

    @property
    def d_kv(self):
        """Width of all keys (and of all values), n_kv_heads · d_head."""
        return self.n_kv_heads * self.d_head

    @property
    def d_qkv(self):
        """Columns of the fused projection: queries | keys | values."""
        return self.d_q + 2 * self.d_kv

    @property
    def d_ff_in(self):
        """Columns of w_ff1: d_ff, or gate | up."""
        return 2 * self.d_ff if self.feed_forward == "swiglu" else self.d_ff

    def to_dict(self):
        """All fields as a JSON-able dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields):
        """The inverse of `to_dict`. Raises ValueError for a key that is no field, with the nearest valid one."""
        valid = [f.name for f in dataclasses.fields(cls)]
        for key in fields:
            if key not in valid:
                raise ValueError(f"ModelConfig has no field {key!r}{nearest(key, valid)}")
        return cls(**fields)

    def replace(self, **changes):
        """A copy with some fields changed. A size that followed from the others (d_ff, n_kv_heads, d_head) goes on doing so."""
        for name, rule in _FOLLOWS.items():
            if getattr(self, name) == rule(self):
                changes.setdefault(name, None)
        return dataclasses.replace(self, **changes)


def _default_d_ff(config):
    # Three matrices of 8/3 d hold as many values as two of 4 d.
    return -(-8 * config.d_model // (3 * 32)) * 32 if config.feed_forward == "swiglu" else 4 * config.d_model


def _default_d_head(config):
    return None if config.d_model % config.n_heads else config.d_model // config.n_heads


_FOLLOWS = {"d_ff": _default_d_ff, "n_kv_heads": lambda config: config.n_heads, "d_head": _default_d_head}


def _nearest_divisor(n, wanted):
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return min(sorted({*small, *(n // d for d in small)}), key=lambda d: abs(d - wanted))


def layout_of(config):
    """(name, rows, columns) of every parameter of a TransformerLM, in the order of its parts; vectors are one row.

    Weights are (inputs, outputs): y = x·W.
    """
    c, d, V = config, config.d_model, config.vocab_size

    def norm(name):
        return [(f"{name}_gamma", 1, d), *([(f"{name}_beta", 1, d)] if c.norm == "layer" else [])]

    def linear(prefix, role, inputs, outputs):
        return [(f"{prefix}w_{role}", inputs, outputs), *([(f"{prefix}b_{role}", 1, outputs)] if c.biases else [])]

    found = [("token_embed", V, d)]
    if c.positions == "learned":
        found.append(("pos_embed", c.context_length, d))
    for i in range(c.n_layers):
        block = f"blocks.{i}."
        found += norm(f"{block}norm1") + linear(block, "qkv", d, c.d_qkv) + linear(block, "o", c.d_q, d)
        found += norm(f"{block}norm2") + linear(block, "ff1", d, c.d_ff_in) + linear(block, "ff2", c.d_ff, d)
    found += norm("norm_final")
    if not c.tied:
        found.append(("unembed", V, d))
    if c.output_bias:
        found.append(("b_unembed", 1, V))
    if c.counts:
        found += [("counts_scale", 1, 1), ("transformer_scale", 1, 1)]
    return found
