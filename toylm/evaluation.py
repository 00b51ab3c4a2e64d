"""The held-out loss: nats per token, perplexity, and bits per byte, which compares models with different tokenizers."""

import math
import time
from dataclasses import asdict, dataclass

from .errors import UsageError


def perplexity(nats):
    """exp(nats): between how many equally likely tokens a model hesitates. Infinity where that overflows."""
    return math.inf if nats >= 700 else math.exp(nats)


@dataclass(frozen=True)
class Evaluation:
    """A loss on a text. `tokens` were predicted, `bytes` is how much UTF-8 text they stand for, `seconds` it took."""

    loss: float  # nats per token
    tokens: int
    bytes: int
    seconds: float

    @property
    def perplexity(self):
        """exp(loss)."""
        return perplexity(self.loss)

    @property
    def bits_per_byte(self):
        """Total bits over total bytes; None where the tokens stand for no text."""
        return self.loss * self.tokens / math.log(2) / self.bytes if self.bytes else None

    def to_dict(self):
        """All figures as a JSON-able dictionary; what is not finite is None."""
        figures = {**asdict(self), "perplexity": self.perplexity, "bits_per_byte": self.bits_per_byte}
        return {name: None if value is None or not math.isfinite(value) else value for name, value in figures.items()}

    def __str__(self):
        bits = "" if self.bits_per_byte is None else f" | {self.bits_per_byte:.4f} bits/byte"
        return f"{self.loss:.4f} nats/token | perplexity {self.perplexity:,.2f}{bits}"


def evaluate(model, windows):
    """The mean loss of `model` over `windows`: batches (tokens, targets), each (B, T), targets < 0 not counted.

    windows: a TokenFile's `windows(...)`; its `bytes` is the UTF-8 size of the text that the targets stand for (special tokens
    have no bytes: what predicting them costs counts, so that bits per byte is the cost of the whole text). Raises ValueError
    if there is nothing to predict.
    """
    started = time.perf_counter()
    nats, count = 0.0, 0
    for tokens, targets in windows:
        counted = int((targets >= 0).sum())
        if counted:
            nats += model.loss(tokens, targets) * counted
            count += counted
    if not count:
        raise UsageError("the text has no token to predict")
    return Evaluation(nats / count, count, round(windows.bytes), time.perf_counter() - started)
