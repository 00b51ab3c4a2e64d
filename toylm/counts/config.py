"""CountsConfig: the shape of a counts model, as kept in its config.json."""

from dataclasses import asdict, dataclass

from ..errors import InputTypeError, UsageError


@dataclass(frozen=True)
class CountsConfig:
    """What a CountsLM is. order: of its n-grams; end_id: what closes a document; context_length: of its windows; near: the
    tokens that come before the words in the contexts of words (toylm.counts.views).
    """

    vocab_size: int
    order: int
    end_id: int
    context_length: int = 256
    near: int = 3

    def __post_init__(self):
        for name, least in (("vocab_size", 1), ("order", 1), ("end_id", 0), ("context_length", 1), ("near", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise InputTypeError(f"{name} must be a whole number, not {value!r}")
            if value < least:
                raise UsageError(f"{name} is {value}; it must be at least {least}")
            object.__setattr__(self, name, int(value))
        if self.end_id >= self.vocab_size:
            raise UsageError(f"end_id is {self.end_id}; a vocabulary of {self.vocab_size} has the ids 0 to {self.vocab_size - 1}")

    def to_dict(self):
        """All fields as a JSON-able dictionary."""
        return asdict(self)
