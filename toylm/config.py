"""What a model is made of: ModelConfig, a frozen dataclass, checked when it is made, kept as JSON in every checkpoint."""

import dataclasses
import math
from dataclasses import dataclass

from .errors import UsageError, nearest
from .fields import check, setting
from .kinds import FEED_FORWARDS, NORMS, POSITIONS


def _kinds(registry):
    return "; ".join(f"{name}: {kind.help}" for name, kind in registry.items())


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a TransformerLM. Raises UsageError (a ValueError) naming the field, the value and the limit.

    The block is pre-norm: x += attention(norm(x)); x += feed_forward(norm(x)). Three combinations are known elsewhere:
    GPT-2 (layer, learned, gelu, biases), Llama (rms, rope, swiglu) and Arcee (rms, rope, gelu | relu2 | silu), the default.
    A size that is left out follows the others, also in `replace`. Every field but the vocabulary is a flag of `toylm train`.
    """

    # The one size that the tokenizer decides.
    vocab_size: int = setting(dataclasses.MISSING, "V, number of token ids", flag=False, at_least=1)
    d_model: int = setting(128, "width of the residual stream", at_least=1)
    d_ff: int | None = setting(
        None, "hidden width of the feed-forward; none: 4 d_model, for swiglu's three matrices 8/3 d_model (by 32)", at_least=1)
    n_heads: int = setting(4, "attention heads", at_least=1)
    n_layers: int = setting(4, "blocks", at_least=1)
    context_length: int = setting(256, "tokens in a sequence, at most", at_least=1)
    positions: str = setting("rope", _kinds(POSITIONS), choices=POSITIONS)
    smear: bool = setting(
        False, "token shift: every channel adds a learned share of the token before; faster, but opens in no transformers class")
    rope_theta: float = setting(10000.0, "base of the rotary frequencies", above=0, of={"positions": ("rope",)})
    norm_eps: float = setting(1e-5, "added to the mean square inside the norm", above=0)
    init: str = setting(
        "normal", "initial matrices; normal: by fan-in and depth; zero: the same, but w_o and w_ff2 are zero, so that every block "
        "starts by passing its input on; uniform: on ±1/sqrt(d_model)", choices=("normal", "zero", "uniform"))
    norm: str = setting("rms", _kinds(NORMS), choices=NORMS)
    feed_forward: str = setting("gelu", _kinds(FEED_FORWARDS), choices=FEED_FORWARDS)
    biases: bool = setting(False, "a bias in every linear layer of the blocks, as in GPT-2")
    n_kv_heads: int | None = setting(None, "heads of keys and values, shared in groups; none: n_heads", at_least=1)
    d_head: int | None = setting(None, "values per head; none: d_model / n_heads", at_least=1)
    tied: bool = setting(True, "the output matrix is the token embedding; false: one of its own, unembed")
    output_bias: bool = setting(False, "a trained number for every token on top of the logits, b_unembed")
    # Set where the counts are made (toylm train --counts N).
    counts: bool = setting(False, "a counts model's log-probabilities times counts_scale on top of the logits", flag=False)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.name in _FOLLOWS:
                value = _FOLLOWS[field.name](self)
                if value is None:  # only d_head can be without a default
                    raise UsageError(
                        f"d_model {self.d_model} is not divisible by n_heads {self.n_heads}: the heads share it equally; "
                        f"n_heads {_nearest_divisor(self.d_model, self.n_heads)} would do, or give d_head"
                    )
            object.__setattr__(self, field.name, check(field, value))
        if self.n_heads % self.n_kv_heads:
            raise UsageError(
                f"n_heads {self.n_heads} is not divisible by n_kv_heads {self.n_kv_heads}: every key-value head serves "
                f"equally many heads; n_kv_heads {_nearest_divisor(self.n_heads, self.n_kv_heads)} would do"
            )
        if POSITIONS[self.positions].rotary and self.d_head % 2:
            raise UsageError(
                f"the head size d_model / n_heads is {self.d_head}, which is odd; rotary positions turn pairs of "
                f"values, so it must be even (or choose positions='learned')"
            )

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
        return 2 * self.d_ff if FEED_FORWARDS[self.feed_forward].gated else self.d_ff

    def to_dict(self):
        """All fields as a JSON-able dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields):
        """The inverse of `to_dict`. Raises UsageError for a key that is no field, with the nearest valid one."""
        valid = [f.name for f in dataclasses.fields(cls)]
        for key in fields:
            if key not in valid:
                raise UsageError(f"ModelConfig has no field {key!r}{nearest(key, valid)}")
        return cls(**fields)

    def replace(self, **changes):
        """A copy with some fields changed. A size that followed from the others (d_ff, n_kv_heads, d_head) goes on doing so."""
        for name, rule in _FOLLOWS.items():
            if getattr(self, name) == rule(self):
                changes.setdefault(name, None)
        return dataclasses.replace(self, **changes)


def _default_d_ff(config):
    # Three matrices of 8/3 d hold as many values as two of 4 d. An unknown kind is refused when the choices are checked.
    gated = config.feed_forward in FEED_FORWARDS and FEED_FORWARDS[config.feed_forward].gated
    return -(-8 * config.d_model // (3 * 32)) * 32 if gated else 4 * config.d_model


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
        return [(f"{name}_gamma", 1, d), *([(f"{name}_beta", 1, d)] if NORMS[c.norm].shift else [])]

    def linear(prefix, role, inputs, outputs):
        return [(f"{prefix}w_{role}", inputs, outputs), *([(f"{prefix}b_{role}", 1, outputs)] if c.biases else [])]

    found = [("token_embed", V, d)]
    if POSITIONS[c.positions].learned:
        found.append(("pos_embed", c.context_length, d))
    if c.smear:
        found.append(("smear", 1, d))
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


def matrix_columns(config, name, columns):
    """The columns of each matrix in the parameter `name`, which holds several side by side: the queries, keys and values of every
    head, gate and up of a gated feed-forward part. `columns`, all of them, for any other parameter."""
    if name.endswith("w_qkv"):
        return config.d_head
    return config.d_ff if name.endswith("w_ff1") else columns
