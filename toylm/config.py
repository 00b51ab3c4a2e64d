"""What a model is made of: ModelConfig, a frozen dataclass, checked when it is made, kept as JSON in every checkpoint."""

import dataclasses
from dataclasses import dataclass

from .errors import nearest

POSITIONS = ("learned", "rope")
INITS = ("normal", "uniform")


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a TransformerLM. Raises ValueError naming the field, the value and the limit.

    The block is pre-norm: x += attention(rms_norm(x)); x += gelu(rms_norm(x)·W1)·W2. No biases; the output matrix is the
    token embedding (tied).
    """

    vocab_size: int  # V, number of token ids
    d_model: int = 128  # d, width of the residual stream
    d_ff: int | None = None  # hidden width of the feed-forward; None: 4 d
    n_heads: int = 4  # H, attention heads; the head size is d / H
    n_layers: int = 4  # L, blocks
    context_length: int = 256  # T, longest sequence
    positions: str = "rope"  # "rope": rotary (rotate-half pairs); "learned": a trained vector a position
    rope_theta: float = 10000.0  # base of the rotary frequencies
    norm_eps: float = 1e-5  # added to the mean square inside RMSNorm
    init: str = "normal"  # "normal": by fan-in and depth; "uniform": on ±1/sqrt(d), for every matrix

    def __post_init__(self):
        for name in ("vocab_size", "d_model", "n_heads", "n_layers", "context_length", "d_ff"):
            value = getattr(self, name)
            if name == "d_ff" and value is None:
                value = 4 * self.d_model
                object.__setattr__(self, name, value)
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise TypeError(f"{name} must be a whole number, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
            object.__setattr__(self, name, int(value))
        if self.d_model % self.n_heads:
            divisors = [h for h in range(1, self.d_model + 1) if self.d_model % h == 0]
            best = min(divisors, key=lambda h: abs(h - self.n_heads))
            raise ValueError(
                f"d_model {self.d_model} is not divisible by n_heads {self.n_heads}: the heads share it equally; "
                f"n_heads {best} would do"
            )
        if self.positions not in POSITIONS:
            raise ValueError(f"positions is {self.positions!r}{nearest(self.positions, POSITIONS)}")
        if self.init not in INITS:
            raise ValueError(f"init is {self.init!r}{nearest(self.init, INITS)}")
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
    def d_head(self):
        """Values per attention head, d_model / n_heads."""
        return self.d_model // self.n_heads

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
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)
