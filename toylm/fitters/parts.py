"""Which part of a model a fitter works on, as written on the command line: head, block:3, blocks:2-3, attention:0, all."""

from dataclasses import dataclass

from ..errors import UsageError, nearest

# kind -> what it names
KINDS = {
    "head": "the output matrix",
    "block": "a whole block",
    "blocks": "neighbouring blocks, first-last",
    "attention": "a block's attention: its output projection",
    "feed-forward": "a block's feed-forward: its second matrix, then its first",
    "all": "every parameter, or every matrix of the blocks",
}


@dataclass(frozen=True)
class Part:
    """`kind`: one of KINDS; `first`, `last`: the blocks it covers, None for "head" and "all"."""

    kind: str
    first: int | None = None
    last: int | None = None

    @classmethod
    def parse(cls, text):
        """The Part that `text` names. Raises UsageError with the nearest valid kind."""
        if isinstance(text, cls):
            return text
        kind, colon, which = str(text).partition(":")
        if kind not in KINDS:
            raise UsageError(f"no part {kind!r}{nearest(kind, KINDS)}")
        if kind in ("head", "all"):
            if colon:
                raise UsageError(f"part {text!r}: {kind} takes no number")
            return cls(kind)
        first, dash, last = which.partition("-")
        numbers = [first, last] if dash else [first]
        if not all(number.isdecimal() for number in numbers) or (dash and kind != "blocks"):
            wanted = f"{kind}:2-3" if kind == "blocks" else f"{kind}:0 (blocks count from 0)"
            raise UsageError(f"part {text!r} names no block; write for example {wanted}")
        first, last = int(numbers[0]), int(numbers[-1])
        if last < first:
            raise UsageError(f"part {text!r}: the last block is before the first")
        return cls(kind, first, last)

    def check(self, config):
        """Raise UsageError where the model has no such block; returns self."""
        if self.last is not None and self.last >= config.n_layers:
            raise UsageError(f"part {self}: this model has blocks 0 to {config.n_layers - 1}")
        return self

    @property
    def count(self):
        """How many blocks it covers."""
        return 0 if self.first is None else self.last - self.first + 1

    @property
    def prefix(self):
        """The prefix of the first block's parameters, "blocks.N."."""
        return f"blocks.{self.first}."

    def __str__(self):
        if self.first is None:
            return self.kind
        return f"{self.kind}:{self.first}" + (f"-{self.last}" if self.kind == "blocks" else "")
