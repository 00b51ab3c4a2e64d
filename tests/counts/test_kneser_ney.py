"""Kneser-Ney against hand-counted fractions, and what must hold of its counts whatever the text."""

from fractions import Fraction

import numpy as np
import pytest
from counts_by_hand import KneserNeyByHand

from toylm.counts.backoff import add_distribution, find_chain, token_probability
from toylm.counts.kneser_ney import FALLBACK_DISCOUNTS, SortedRows, build_tables, discounts_of
from toylm.counts.language_model import CountsLM
from toylm.counts.ngram import history_contexts, sort_rows

END = 0


def text(documents, length, vocab_size, seed=0):
    """Documents with much repetition (drawn from a sparse random Markov chain), each closed by END."""
    rng = np.random.default_rng(seed)
    following = rng.integers(1, vocab_size, (vocab_size, 3))
    ids = []
    for _ in range(documents):
        token = END
        for _ in range(int(rng.integers(1, length))):
            token = int(following[token, rng.integers(3)]) if rng.random() < 0.9 else int(rng.integers(1, vocab_size))
            ids.append(token)
        ids.append(END)
    return np.array(ids)


def contexts_of(tokens, order):
    contexts = np.empty((len(tokens), order - 1), np.uint32)
    history_contexts(np.array(tokens)[None], END, contexts)
    return contexts


def tables_of(tokens, vocab_size, order):
    contexts = contexts_of(np.append(END, tokens[:-1]), order)
    return build_tables([SortedRows(contexts, tokens).counts()], vocab_size)


def distribution(tables, context, vocab_size, order):
    """The kernels' distribution after `context`, a sequence of tokens, oldest first."""
    symbols = contexts_of(context, order)[-1]
    chain, p = np.empty(order, np.int64), np.zeros(vocab_size)
    depth = find_chain(tables, 0, symbols, chain)
    add_distribution(tables, 0, chain, depth, 1.0, p)
    singly = [token_probability(tables, 0, chain, depth, w) for w in range(vocab_size)]
    assert np.allclose(p, singly, rtol=1e-14, atol=0)
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("documents, vocab_size", [(1, 3), (12, 6), (60, 40)])
def test_equals_hand_counted_fractions(order, documents, vocab_size):
    tokens = text(documents, 30, vocab_size)
    by_hand = KneserNeyByHand(tokens.tolist(), vocab_size, END, order)
    tables = tables_of(tokens, vocab_size, order)
    rng = np.random.default_rng(1)
    contexts = [tuple(tokens[i : i + 6].tolist()) for i in rng.integers(0, max(1, len(tokens) - 6), 12)]
    contexts += [tuple(rng.integers(0, vocab_size, 5).tolist()) for _ in range(8)] + [(END,), (1,), (END, 1)]
    for context in contexts:
        expected = [by_hand.p(w, context) for w in range(vocab_size)]
        assert sum(expected) == 1
        found = distribution(tables, context, vocab_size, order)
        assert np.abs(found - np.array([float(p) for p in expected])).max() < 1e-14
        assert abs(found.sum() - 1) < 1e-12


def test_a_corpus_counted_on_paper():
    """Two documents, "1 2" and "1 3", bigrams. After 1: 2 and 3 once each; after the start: 1 twice."""
    tokens = np.array([1, 2, END, 1, 3, END])
    tables = tables_of(tokens, 4, 2)
    # Continuation counts: 1 follows END (1 symbol), 2 follows 1, 3 follows 1, END follows 2 and 3: total 5; D = 1/2, 1, 3/2.
    shortest = {1: Fraction(1, 2) / 5, 2: Fraction(1, 2) / 5, 3: Fraction(1, 2) / 5, END: Fraction(2 - 1, 5)}
    taken = (3 * Fraction(1, 2) + 1) / 5
    shortest = {w: p + taken / 4 for w, p in shortest.items()}
    assert sum(shortest.values()) == 1
    after_1 = {w: Fraction(1, 2) * shortest[w] + (Fraction(1, 4) if w in (2, 3) else 0) for w in range(4)}
    assert np.allclose(distribution(tables, (1,), 4, 2), [float(after_1[w]) for w in range(4)], rtol=1e-14)
    after_start = {w: Fraction(1, 2) * shortest[w] + (Fraction(1, 2) if w == 1 else 0) for w in range(4)}
    assert np.allclose(distribution(tables, (END,), 4, 2), [float(after_start[w]) for w in range(4)], rtol=1e-14)


def test_discounts():
    assert np.allclose(discounts_of([10, 5, 3, 2]), [0, 0.5, 1.1, 3 - 4 * 0.5 * 2 / 3])
    for counts_of_counts in ([0, 0, 0, 0], [3, 0, 1, 1], [5, 1, 40, 1]):
        assert tuple(discounts_of(counts_of_counts)) == FALLBACK_DISCOUNTS


@pytest.mark.parametrize("largest", [1, 5, 2047, 2048, 70_000, 2**32 - 1])
def test_rows_are_sorted_as_lexsort_sorts_them(largest):
    rows = np.random.default_rng(0).integers(0, largest, (500, 4), endpoint=True, dtype=np.uint32)
    rows[::7] = rows[0]
    order = np.empty(len(rows), np.int64)
    sort_rows(rows, order)
    assert np.array_equal(order, np.lexsort(rows.T[::-1]))


def test_a_fold_left_out_is_counted_as_if_it_were_not_there():
    tokens = text(40, 25, 20)
    model = CountsLM.fit(tokens, 20, END, order=4, folds=3)
    for fold in range(3):
        kept = tokens[model.fold_of(np.arange(len(tokens))) != fold]
        anew = CountsLM.fit(kept, 20, END, order=4)
        for view, expected in zip(model._fold_ngrams[fold], anew.ngrams, strict=True):
            assert np.array_equal(view.rows, expected.rows) and np.array_equal(view.counts, expected.counts)
        anew.weights, anew.length_weights = model.weights, model.length_weights
        window = tokens[:16][None]
        assert np.array_equal(model.log_probabilities(window, folds=np.array([fold])), anew.log_probabilities(window))


def test_folds_of_a_text_without_documents():
    tokens = text(1, 400, 12)[:-1]
    tokens = np.concatenate([tokens] * 3)
    model = CountsLM.fit(tokens, 12, END, order=3, folds=4)
    folds = model.fold_of(np.arange(len(tokens)))
    assert folds[0] == 0 and folds[-1] == 3 and (np.diff(folds) >= 0).all()
    for fold in range(4):
        assert model._fold_ngrams[fold][0].total == (folds != fold).sum()
    with pytest.raises(ValueError, match="folds are one a row, from -1 to 3"):
        model.log_probabilities(tokens[None, :8], folds=np.array([4]))
