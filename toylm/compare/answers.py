"""What the rows of a contest say when they are held against each other: the questions people ask, answered with figures."""

import math


def loss_at(curve, seconds):
    """The held-out loss that a curve has reached at `seconds`: that of its last point up to then; None before the first."""
    reached = [loss for t, loss in curve if t <= seconds]
    return reached[-1] if reached else None


def seconds_to_reach(curve, loss):
    """When a curve first has at most `loss`, between its points linearly; None where it never has."""
    before = None
    for t, reached in curve:
        if reached <= loss:
            if before is None or before[1] == reached:
                return t
            share = (before[1] - loss) / (before[1] - reached)
            return before[0] + share * (t - before[0])
        before = (t, reached)
    return None


def stays_below(curve, other):
    """Of the points of `other` from the start of `curve` on: (how many `curve` is below before it first is not, when that is).

    Seconds, or None where it is below to the end.
    """
    count = 0
    for t, loss in other:
        mine = loss_at(curve, t)
        if mine is not None and mine >= loss:
            return count, t
        count += mine is not None
    return count, None


def answers(rows, minutes):
    """Sentences about the rows (contest.Row), each with its figures."""
    named = {row.name: row for row in rows}
    adam, combination, counts = (named.get(name) for name in ("adam", "counts + adam", "counts"))
    said = []
    if adam and counts:
        needed = seconds_to_reach(adam.curve, counts.loss)
        start = f"counts reach perplexity {counts.perplexity:.2f} in {counts.seconds:.2f} s; tuned Adam"
        if needed is None:
            least = 60 * minutes / counts.seconds
            said.append(f"{start} does not in {minutes:g} minutes (more than {least:,.0f} times as long)")
        else:
            said.append(f"{start} needs {needed:.0f} s for it ({needed / counts.seconds:,.0f} times as long)")
    if adam and combination:
        points, end = stays_below(combination.curve, adam.curve)
        if end is not None:
            when = f"is below adam until {end:.0f} s" if points else f"is not below adam at {end:.0f} s, when it starts"
        else:
            when = "is below adam at every second of the run" if points else "starts after adam has ended"
        change = 1 - combination.perplexity / adam.perplexity
        best, best_adam = (math.exp(min(loss for _, loss in row.curve)) for row in (combination, adam))
        word = "lower" if change >= 0 else "higher"
        said.append(
            f"counts + adam {when}, and ends {abs(change):.1%} {word} in perplexity "
            f"({combination.perplexity:.2f}, adam {adam.perplexity:.2f}; each at its best: {best:.2f}, {best_adam:.2f})"
        )
    heads = {name: named.get(f"{name} head, random features") for name in ("ridge", "cross-entropy")}
    if all(heads.values()):
        gap = heads["ridge"].loss - heads["cross-entropy"].loss
        said.append(f"on the same random features the cross-entropy head is {gap:.2f} nats below one-hot ridge")
    for row in (adam, named.get("sgd"), combination):
        tried = row and row.details.get("validation_loss_by_rate")
        if tried:
            listed = ", ".join(f"{rate} {loss:.3f}" for rate, loss in tried.items())
            said.append(f"{row.name}: learning rate {row.details['learning_rate']:g}, the best of (validation nats) {listed}")
    return said
