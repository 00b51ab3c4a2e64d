"""One row of a comparison: what a contestant was, what it took, and what it reached."""

from dataclasses import asdict, dataclass, field

from ..evaluation import perplexity


@dataclass
class Row:
    """One contestant's result. seconds: of fitting; curve: (seconds, held-out nats/token) points, the last its result."""

    name: str
    kind: str  # "one-shot", "gradient descent" or "both"
    seconds: float
    parameters: int
    n_bytes: int
    loss: float  # held-out nats per token
    bits_per_byte: float | None
    curve: list = field(default_factory=list)
    details: dict = field(default_factory=dict)
    sample: str = ""

    @property
    def perplexity(self):
        """exp(loss)."""
        return perplexity(self.loss)

    def to_dict(self):
        """All of it, JSON-able."""
        return {**asdict(self), "perplexity": self.perplexity}

    @classmethod
    def from_dict(cls, fields):
        """The inverse of `to_dict`."""
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__})
