"""Interpolated modified Kneser-Ney in fractions, written from the formulas with dictionaries: slow, exact, and independent."""

from collections import Counter, defaultdict
from fractions import Fraction


def histories(tokens, end_id, length):
    """(context, token) of every position; a context holds the nearest `length` tokens, oldest first, none before an end_id."""
    found, previous = [], [end_id]
    for token in tokens:
        start = max(i for i, t in enumerate(previous) if t == end_id)
        found.append((tuple(previous[start:])[-length:] if length else (), token))
        previous.append(token)
    return found


class KneserNeyByHand:
    """p(token, context) as a Fraction; context: a tuple of tokens, oldest first."""

    def __init__(self, tokens, vocab_size, end_id, order):
        self.V, self.end_id, self.m = vocab_size, end_id, order - 1
        observed = histories(tokens, end_id, self.m)
        self.counts = [defaultdict(Counter) for _ in range(order)]
        for k in range(order):
            before = defaultdict(set)
            for context, token in observed:
                if len(context) < k:
                    continue
                short = context[len(context) - k :]
                if k == self.m or (k and short[0] == end_id):
                    self.counts[k][short][token] += 1
                else:
                    before[short, token].add(context[-k - 1])
            for (short, token), symbols in before.items():
                self.counts[k][short][token] = len(symbols)
        self.discounts = [self._discounts(k) for k in range(order)]

    def _discounts(self, k):
        n = Counter(c for continuations in self.counts[k].values() for c in continuations.values())
        if all(n[r] for r in (1, 2, 3, 4)):
            y = Fraction(n[1], n[1] + 2 * n[2])
            found = [r - (r + 1) * y * Fraction(n[r + 1], n[r]) for r in (1, 2, 3)]
            if all(0 < d <= r for r, d in enumerate(found, 1)):
                return found
        return [Fraction(1, 2), Fraction(1), Fraction(3, 2)]

    def p(self, token, context):
        ends = [i for i, t in enumerate(context) if t == self.end_id]
        context = context[ends[-1] :] if ends else context
        return self._p(token, context[max(0, len(context) - self.m) :])

    def _p(self, token, context):
        continuations = self.counts[len(context)].get(context)
        shorter = self._p(token, context[1:]) if context else Fraction(1, self.V)
        if not continuations:
            return shorter
        discount = lambda c: self.discounts[len(context)][min(c, 3) - 1]  # noqa: E731
        total = sum(continuations.values())
        gamma = sum(discount(c) for c in continuations.values()) / total
        c = continuations[token]
        return ((c - discount(c)) / total if c else 0) + gamma * shorter
