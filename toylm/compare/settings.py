"""What the contestants of a comparison have in common; the flags of `toylm compare` are generated from these fields."""

import math
from dataclasses import dataclass, fields

from ..config import ModelConfig
from ..errors import UsageError
from ..fields import check, setting

TUPLES = {"budgets": float, "seeds": int, "megabytes": float}  # and what they hold


@dataclass(frozen=True)
class Settings:
    """Raises UsageError for what is out of bounds. Rows of one comparison have all of these in common."""

    budgets: tuple[float, ...] = setting((5.0, 15.0, 60.0), "seconds; each gradient run is tuned and scheduled for one")
    seeds: tuple[int, ...] = setting((0, 1, 2), "of weights, batches and draws: each chosen setting runs once with each")
    trials: int = setting(4, "settings that every contestant tries on validation text, at most", at_least=1)
    trial_seconds: float = setting(60.0, "a trial lasts as long as its budget, but no longer than this", above=0)
    megabytes: tuple[float, ...] = setting((), "at the longest budget, so much of the training text besides all of it")
    context_length: int = setting(128, "tokens in a window, in training and evaluation", at_least=1)
    batch_size: int = setting(8, "windows a gradient step", at_least=1)
    validation: float = setting(0.05, "share of the training text, from its end, on which settings are chosen", above=0, below=1)
    order: int = setting(6, "longest n-gram of the counts, and two more or fewer", at_least=3)
    folds: int = setting(8, "parts of the text for cross-fitting the counts inside a transformer", at_least=2)

    def __post_init__(self):
        for f in fields(self):
            if f.name not in TUPLES:
                object.__setattr__(self, f.name, check(f, getattr(self, f.name)))
        for name in ("budgets", "megabytes"):
            for value in getattr(self, name):
                if not 0 < value < math.inf:
                    raise UsageError(f"{name} has {value:g}; it must be above 0")
        if not self.budgets:
            raise UsageError("budgets names no seconds; give at least one")
        if not self.seeds or min(self.seeds) < 0:
            raise UsageError(f"seeds is {self.seeds}; give at least one, none below 0")

    def model_config(self, vocab_size, **changes):
        """The ModelConfig of a transformer: the default architecture in the shape that `changes` name."""
        return ModelConfig(vocab_size=vocab_size, context_length=self.context_length, init="zero", **changes)
