"""Interpolated modified Kneser-Ney over any order (Chen & Goodman 1999, An empirical study of smoothing techniques).

    p(w | h) = (c(hw) - D(c(hw))) / c(h .) + gamma(h) p(w | h'),     gamma(h) = (D1 N1(h) + D2 N2(h) + D3 N3+(h)) / c(h .)

h' is h without its farthest symbol; c is the count at the longest contexts and, below, the number of different symbols seen
before h w. D_k = k - (k + 1) Y n_{k+1} / n_k with Y = n_1 / (n_1 + 2 n_2), from the counts of counts of each length; where a
text is too small for them, D = (0.5, 1, 1.5). The shortest distribution is interpolated with the uniform one over all V ids.

Where a document begins: its first token is predicted from end_id alone, and no context reaches beyond an end_id. Contexts
that begin with end_id count occurrences, since nothing stands before them.
"""

from typing import NamedTuple

import numpy as np

from ..errors import UsageError
from . import ngram

FALLBACK_DISCOUNTS = (0.0, 0.5, 1.0, 1.5)


class NgramCounts:
    """The distinct rows (context symbols f_1..f_m, token) of a text, sorted, and how often each occurs.

    rows: (n, m + 1) uint32; counts: (n,) int64. Equal texts give equal arrays, in whatever order they were added.
    """

    def __init__(self, rows, counts):
        self.rows, self.counts = rows, counts

    @property
    def order(self):
        """Length of the n-grams, contexts of order - 1 symbols and a token."""
        return self.rows.shape[1]

    @property
    def total(self):
        """Tokens counted."""
        return int(self.counts.sum())

    def plus(self, other):
        """The counts of both, a new NgramCounts."""
        return self._merged(other, 1)

    def minus(self, other):
        """These counts without `other`'s. Raises ValueError if they do not contain them."""
        return self._merged(other, -1)

    def _merged(self, other, sign):
        rows = np.empty((len(self.rows) + len(other.rows), self.order), np.uint32)
        counts = np.empty(len(rows), np.int64)
        n = ngram.merge_rows(self.rows, self.counts, other.rows, other.counts, sign, rows, counts)
        if n < 0:
            raise UsageError("the counts do not contain this text: it cannot be removed from them")
        return NgramCounts(rows[:n].copy(), counts[:n].copy())


class SortedRows:
    """All rows of a text, sorted once; `counts` then counts any part of them.

    contexts: (N, m) uint32; targets: (N,) token ids; group: (N,) int64, the part each row belongs to.
    """

    def __init__(self, contexts, targets, group=None):
        self.rows = np.empty((len(contexts), contexts.shape[1] + 1), np.uint32)
        self.rows[:, :-1], self.rows[:, -1] = contexts, targets
        self.group = np.zeros(len(contexts), np.int64) if group is None else group
        self.order = np.empty(len(contexts), np.int64)
        ngram.sort_rows(self.rows, self.order)

    def counts(self, left_out=-1, group=None):
        """NgramCounts of all rows but those whose group is `left_out` (groups count from 0)."""
        distinct, counts = np.empty_like(self.rows), np.empty(len(self.rows), np.int64)
        group = self.group if group is None else group
        n = ngram.unique_rows(self.rows, self.order, group, left_out, distinct, counts)
        return NgramCounts(distinct[:n].copy(), counts[:n].copy())


class BackoffTables(NamedTuple):
    """Every context of one or several counted texts ("sets"), in the arrays that the kernels read.

    Contexts are numbered set by set, level by level, sorted; the children of one are consecutive. The arrays have one
    element more than there are contexts where they are starts.
    """

    roots: np.ndarray  # (sets,) int64: the empty context of each set
    symbols: np.ndarray  # (C,) uint32: a context's farthest symbol
    child_starts: np.ndarray  # (C + 1,) int32
    entry_starts: np.ndarray  # (C + 1,) int32
    scales: np.ndarray  # (C,) float64: 1 / c(h .)
    gammas: np.ndarray  # (C,) float64
    tokens: np.ndarray  # (E,) uint32: continuations, ascending in each context
    counts: np.ndarray  # (E,) int32
    discounts: np.ndarray  # (sets, m + 1, 4) float64, m the longest set's
    shortest: np.ndarray  # (sets, V) float64: the distribution after the empty context

    @property
    def nbytes(self):
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self)


def discounts_of(found):
    """(4,) float64: D(0) = 0, D(1), D(2), D(3 or more) from the counts of counts n_1..n_4."""
    n1, n2, n3, n4 = (float(n) for n in found)
    if min(n1, n2, n3, n4) > 0:
        y = n1 / (n1 + 2 * n2)
        discounts = (0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < d <= k for k, d in enumerate(discounts) if k):
            return np.array(discounts)
    return np.array(FALLBACK_DISCOUNTS)


def build_tables(sets, vocab_size):
    """BackoffTables of a list of NgramCounts, of any orders. Raises ValueError for one without tokens."""
    most = max(counts.order for counts in sets)
    built = [_build(counts, vocab_size) for counts in sets]
    parts, contexts, entries, roots = [], 0, 0, []
    for levels, _, _ in built:
        roots.append(contexts)
        for symbols, child_starts, entry_starts, scales, gammas, tokens, counts in levels:
            below = contexts + len(symbols)
            parts.append((symbols, below + child_starts, entries + entry_starts[:-1], scales, gammas, tokens, counts))
            contexts, entries = below, entries + len(tokens)
    if max(contexts, entries) + 2 >= 2**31:
        raise UsageError(f"{entries:,} counted n-grams are more than the tables can number (2^31): choose a lower order")
    columns = [np.concatenate(column) for column in zip(*parts)]
    symbols, child_starts, entry_starts, scales, gammas, tokens, counts = columns
    return BackoffTables(
        np.array(roots, np.int64), symbols,
        np.append(child_starts, contexts).astype(np.int32), np.append(entry_starts, entries).astype(np.int32),
        scales, gammas, tokens, counts.astype(np.int32),
        np.array([np.pad(discounts, ((0, most - len(discounts)), (0, 0))) for _, discounts, _ in built]),
        np.array([shortest for _, _, shortest in built]),
    )  # fmt: skip


def _build(ngrams, vocab_size):
    """(levels from short to long, discounts (m + 1, 4), shortest distribution (V,)) of one NgramCounts."""
    rows, m = ngrams.rows, ngrams.order - 1
    if not len(rows):
        raise UsageError("there are no tokens to count; give more text")
    shared = np.empty(len(rows), np.int64)
    ngram.common_columns(rows, shared)
    tally, levels, discounts = np.zeros(vocab_size, np.int64), [], np.empty((m + 1, 4))
    longer = None
    for level in range(m, -1, -1):
        n = int(np.count_nonzero(shared < level)) if level else 1
        symbols, child_starts = np.empty(n, np.uint32), np.empty(n, np.int64)
        ngram.level_contexts(rows, shared, level, symbols, child_starts)
        room = len(rows) if longer is None else len(longer[5])
        entries = ngram.Entries(np.empty(n + 1, np.int64), np.empty(room, np.uint32), np.empty(room, np.int64))
        starts, tokens, counts = entries
        if longer is None:
            ngram.top_level_entries(rows, ngrams.counts, shared, level, entries)
        else:
            children = ngram.Entries(longer[2], longer[5], longer[6])
            used = ngram.shorter_level_entries(child_starts, longer[0], children, tally, entries)
            tokens, counts = tokens[:used].copy(), counts[:used].copy()
        found = np.zeros(4, np.int64)
        ngram.count_of_counts(symbols, level, starts, counts, found)
        discounts[level] = discounts_of(found)
        scales, gammas = np.empty(n), np.empty(n)
        ngram.backoff_weights(starts, counts, discounts[level], scales, gammas)
        if level == m:
            child_starts = np.zeros(n, np.int64)  # nothing is longer
        longer = (symbols, child_starts, starts, scales, gammas, tokens, counts)
        levels.append(longer)
    levels.reverse()
    _, _, _, scales, gammas, tokens, counts = levels[0]
    shortest = np.full(vocab_size, gammas[0] / vocab_size)
    shortest[tokens] += (counts - discounts[0][np.minimum(counts, 3)]) * scales[0]
    return levels, discounts, shortest
