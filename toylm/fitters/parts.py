"""Which part of a model a fitter works on, as written on the command line: head, block:3, blocks:2-3, attention:0, all."""

from dataclasses import dataclass

from ..errors import UsageError, nearest

# kind -> what it names
KINDS = {
    "head": "the output matrix",
    "block": "a whole block",
    "blocks": "several blocks",
    "attention": "a block's attention: its output projection",
    "feed-forward": "a block's feed-forward: its second matrix, then its first",
    "all": "every parameter, or every matrix of the blocks",
}


@dataclass(frozen=True)
class Part:
    """`kind`: one of KINDS; `numbers`: the blocks it covers, in order; empty for "head" and "all"."""

    kind: str
    numbers: tuple = ()

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
        numbers = _numbers(which)
        if not numbers or (len(numbers) > 1 and kind != "blocks"):
            wanted = "blocks:2-3 or blocks:1,4" if kind == "blocks" else f"{kind}:0 (blocks count from 0)"
            raise UsageError(f"part {text!r} names no block; write for example {wanted}")
        return cls(kind, numbers)

    def check(self, config):
        """Raise UsageError where the model has no such block; returns self."""
        if self.numbers and self.numbers[-1] >= config.n_layers:
            raise UsageError(f"part {self}: this model has blocks 0 to {config.n_layers - 1}")
        return self

    def __str__(self):
        if not self.numbers:
            return self.kind
        first, last = self.numbers[0], self.numbers[-1]
        if self.kind != "blocks":
            return f"{self.kind}:{first}"
        if len(self.numbers) == last - first + 1:
            return f"blocks:{first}-{last}"
        return f"blocks:{','.join(map(str, self.numbers))}"


def _numbers(text):
    """(2, 3) of "2-3", (1, 4) of "1,4"; empty where it says nothing of the kind."""
    found = []
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            return ()
        found += range(int(first), int(last or first) + 1)
    return tuple(sorted(set(found)))
