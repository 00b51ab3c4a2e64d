"""What a fit did: FitReport, the same for one solve and for a thousand gradient steps."""

import dataclasses
import math
from dataclasses import dataclass, field

from ..evaluation import perplexity


@dataclass(frozen=True)
class FitReport:
    """What was fitted, how, how long it took, and what it was worth on held-out text.

    Losses are nats per token. `loss_before` is None where there was no model before. `changed` names the parameters that were
    written; it is empty where the fitted part is no part of the model's architecture: then `loss_after` is that of the
    model with the fitted part, `model_changed` is False, and the model is what it was.
    """

    fitter: str  # "cross-entropy", "ridge", "adam" ...
    part: str  # "head", "attention:3", "blocks:2-3", "all" ...
    changed: tuple = ()  # names of the Mats (or tables) that were written
    solver: str = ""  # what really solved it: "cholesky", "lbfgs", "svd" ...
    rcond: float | None = None  # reciprocal condition number of the system, where there was one
    seconds: float = 0.0  # of fitting: without evaluation, without compiling kernels
    parameters: int = 0  # values fitted
    n_bytes: int = 0  # memory of what was fitted
    loss_before: float | None = None
    loss_after: float | None = None
    tokens: int = 0  # held-out tokens behind the losses
    bits_per_byte_before: float | None = None
    bits_per_byte_after: float | None = None
    details: dict = field(default_factory=dict)  # JSON-able, by fitter

    @property
    def model_changed(self):
        """Whether the model's parameters are other ones now."""
        return bool(self.changed)

    @property
    def perplexity_before(self):
        """exp(loss_before), or None."""
        return _perplexity(self.loss_before)

    @property
    def perplexity_after(self):
        """exp(loss_after), or None."""
        return _perplexity(self.loss_after)

    def to_dict(self):
        """All figures as a JSON-able dictionary."""
        figures = dataclasses.asdict(self) | {"changed": list(self.changed)}
        figures |= {"perplexity_before": self.perplexity_before, "perplexity_after": self.perplexity_after}
        return {k: _finite(v) for k, v in figures.items()} | {"model_changed": self.model_changed}

    def __str__(self):
        rcond = "" if self.rcond is None else f", rcond {self.rcond:.1e}"
        solver = f" ({self.solver}{rcond})" if self.solver else ""
        first = f"{self.fitter} on {self.part}{solver}: {self.parameters:,} values in {self.seconds:.2f} s"
        before = "" if self.loss_before is None else f"{self.loss_before:.4f} -> "
        if self.loss_after is None:
            return first
        bits = "" if self.bits_per_byte_after is None else f" | {self.bits_per_byte_after:.4f} bits/byte"
        second = f"held-out {before}{self.loss_after:.4f} nats/token | perplexity {self.perplexity_after:,.2f}{bits}"
        return f"{first}\n{second}" + ("" if self.model_changed else " | the model is not changed")


def _perplexity(nats):
    return None if nats is None else perplexity(nats)


def _finite(value):
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
