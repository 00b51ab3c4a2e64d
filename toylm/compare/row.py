"""One row of a comparison: a contestant at a budget, the mean of its seeds."""

from dataclasses import dataclass

import numpy as np

from ..evaluation import perplexity
from .contestants import CONTESTANTS
from .measure import paired_interval

REFERENCE = "adamw"


@dataclass(frozen=True)
class Row:
    """losses: test nats per token by seed; against: (difference to AdamW of the same budget, low, high), or None."""

    contestant: str
    budget: float | None
    megabytes: float | None
    choice: dict
    losses: tuple
    bits_per_byte: float | None
    seconds: float
    parameters: int
    n_bytes: int
    against: tuple | None = None
    sample: str = ""

    @property
    def loss(self):
        """The mean over seeds, nats per token."""
        return float(np.mean(self.losses))

    @property
    def perplexity(self):
        """exp(loss)."""
        return perplexity(self.loss)

    @property
    def clock(self):
        """The seconds to hold against others': the budget, or what was taken where that is more, as by counting a long text."""
        return max(self.budget or 0.0, self.seconds if self.budget is None or self.seconds > 1.05 * self.budget else 0.0)

    @property
    def kind(self):
        """Of the contestant."""
        return CONTESTANTS[self.contestant].kind

    @property
    def spread(self):
        """Half of the distance between the best and the worst seed."""
        return (max(self.losses) - min(self.losses)) / 2


def rows_of(runs, counts):
    """The rows of the runs on test text, best loss last. counts: (documents,) counted tokens of each."""
    groups = {}
    for run in runs:
        if not run.trial:
            groups.setdefault((run.contestant, run.budget, run.megabytes), []).append(run)
    rows = []
    for (name, budget, megabytes), found in groups.items():
        reference = groups.get((REFERENCE, budget, megabytes)) if budget is not None and name != REFERENCE else None
        against = None
        if reference and all(run.documents for run in (*found, *reference)):
            against = paired_interval([r.documents for r in found], [r.documents for r in reference], counts)
        bits = [run.bits_per_byte for run in found if run.bits_per_byte is not None]
        first, losses, seconds = found[0], tuple(run.loss for run in found), float(np.median([run.seconds for run in found]))
        rows.append(Row(name, budget, megabytes, first.choice, losses, float(np.mean(bits)) if bits else None, seconds,
                        first.parameters, first.n_bytes, against, first.sample))  # fmt: skip
    return sorted(rows, key=lambda row: -row.loss)


def envelope(rows, contestant):
    """(seconds, loss) of a contestant's budgets on all of the text, each the best that so much time has reached."""
    points = sorted((row.clock, row.loss) for row in rows if row.contestant == contestant and row.megabytes is None)
    best, found = float("inf"), []
    for seconds, loss in points:
        best = min(best, loss)
        found.append((seconds, best))
    return found
