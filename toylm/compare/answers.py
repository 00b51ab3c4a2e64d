"""What the rows of a comparison say when they are held against each other: the questions people ask, answered with figures."""

import math

from .row import envelope

TRANSFORMERS = ("muon", "muon, token shift", "sgd", "counts + adamw", "counts + muon")


def seconds_to_reach(points, loss):
    """When an envelope of (seconds, loss) first has at most `loss`, between its points on a logarithmic clock.

    (seconds, True where the first point already has it, so that it may be less); None where no point has it.
    """
    before = None
    for seconds, reached in points:
        if reached <= loss:
            if before is None or before[1] == reached:
                return seconds, before is None
            share = (before[1] - loss) / (before[1] - reached)
            return math.exp(math.log(before[0]) + share * (math.log(seconds) - math.log(before[0]))), False
        before = (seconds, reached)
    return None


def answers(rows):
    """Sentences about rows (row.Row), each with its figures."""
    whole = [row for row in rows if row.megabytes is None]
    adamw, said = envelope(whole, "adamw"), []
    if adamw:
        longest, loss = adamw[-1]
        for name in TRANSFORMERS:
            points = envelope(whole, name)
            if not points:
                continue
            found = seconds_to_reach(points, loss)
            if found is None:
                said.append(f"{name} does not reach in {points[-1][0]:g} s what adamw reaches in {longest:g} s ({loss:.4f} nats)")
            else:
                seconds, at_most = found
                word = "at most " if at_most else ""
                said.append(f"{name} reaches what adamw reaches in {longest:g} s ({loss:.4f} nats) in {word}{seconds:.3g} s, "
                            f"{word}{seconds / longest:.2f} x")  # fmt: skip
        for name in ("counts", "cross-entropy head", "bigram start"):
            one = next((row for row in whole if row.contestant == name), None)
            if one is None:
                continue
            found = seconds_to_reach(adamw, one.loss)
            reached = "does not reach that" if found is None else (
                f"needs {'at most ' if found[1] else ''}{found[0]:.3g} s for that")  # fmt: skip
            said.append(f"{name} has {one.loss:.4f} nats after {one.seconds:.2f} s; adamw, tuned for each budget, {reached}")
    for row in sorted(whole, key=lambda row: (row.budget or 0, row.loss)):
        if row.against is not None:
            difference, low, high = row.against
            word = "lower" if high < 0 else "higher" if low > 0 else None
            if word:
                said.append(f"{row.contestant}, {row.budget:g} s: {abs(difference):.4f} nats {word} than adamw "
                            f"(95 %: {low:+.4f} to {high:+.4f}, paired by document)")  # fmt: skip
            else:
                said.append(f"{row.contestant}, {row.budget:g} s: no difference to adamw that the documents show "
                            f"({difference:+.4f}, 95 %: {low:+.4f} to {high:+.4f})")  # fmt: skip
    sizes = sorted({row.megabytes for row in rows if row.megabytes is not None})
    for size in sizes:
        here = [row for row in rows if row.megabytes == size]
        best = min(here, key=lambda row: row.loss)
        counts = next((row for row in here if row.contestant == "counts"), None)
        beside = f"; counts {counts.loss:.4f}" if counts and counts is not best else ""
        said.append(f"of {size:g} MB of text: {best.contestant} is best, {best.loss:.4f} nats{beside}")
    return said
