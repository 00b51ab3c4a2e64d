"""What the contestants of a comparison have in common; the flags of `toylm compare` are generated from these fields."""

import math
from dataclasses import dataclass, field, fields

from ..config import ModelConfig
from ..errors import UsageError


def _shape(default, help, least=None, most=math.inf):
    """A field with a flag that says what is compared: rows of one table have it in common. least, most: its bounds."""
    return field(default=default, metadata=dict(help=help, bounds=None if least is None else (least, most)))


@dataclass(frozen=True)
class Settings:
    """minutes: of each long run; rates: the learning rates tried, per method. Raises UsageError for what is out of bounds."""

    minutes: float = 7.0
    context_length: int = _shape(256, "tokens in a window, in training and evaluation")
    d_model: int = _shape(128, "width of the transformers")
    n_layers: int = _shape(4, "their blocks")
    n_heads: int = _shape(4, "their attention heads")
    batch_size: int = _shape(16, "windows a gradient step", 1)
    dropout: float = _shape(0.1, "of the gradient runs", 0, 1)
    weight_decay: float = _shape(0.1, "of Adam", 0)
    order: int = _shape(6, "longest n-gram of the counts", 1)
    folds: int = _shape(8, "parts of the text for cross-fitting the counts under Adam", 2)
    counts_share: float = _shape(0.25, "share of the combination's training windows that see the counts", 0, 1)
    seed: int = _shape(0, "of weights, batches and samples", 0)
    sweep: float = 0.1  # share of `minutes` that each learning rate is tried for
    adam_rates: tuple = (1e-3, 3e-3, 1e-2)
    sgd_rates: tuple = (0.03, 0.1, 0.3)
    evaluate_every: float = 2.0

    def __post_init__(self):
        self.model_config(vocab_size=1)  # raises where there is no such shape
        if not self.minutes > 0:
            raise UsageError(f"minutes is {self.minutes:g}; it must be above 0")
        for name in ("adam_rates", "sgd_rates"):
            for rate in getattr(self, name):
                if not rate > 0:
                    raise UsageError(f"{name.replace('_', '-')} has {rate:g}; learning rates are above 0")
        for f in fields(self):
            value, (least, most) = getattr(self, f.name), f.metadata.get("bounds") or (-math.inf, math.inf)
            if f.metadata.get("bounds") and not least <= value <= most:
                limit = f"at least {least}" if most == math.inf else f"from {least} to {most}"
                raise UsageError(f"{f.name} is {value:g}; it must be {limit}")

    def model_config(self, vocab_size, **changes):
        """The ModelConfig of the transformers, with `changes`."""
        return ModelConfig(
            vocab_size=vocab_size, d_model=self.d_model, n_layers=self.n_layers, n_heads=self.n_heads,
            context_length=self.context_length, **changes,
        )  # fmt: skip


SHAPE = {f.name: f for f in fields(Settings) if f.metadata}
