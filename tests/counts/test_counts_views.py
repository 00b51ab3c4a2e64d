"""The view of words, the pieces under it, and Kneser-Ney beside another implementation."""

import numpy as np
import pytest
from test_kneser_ney import END, tables_of, text

from toylm.counts.backoff import find_chain, token_probability
from toylm.counts.config import CountsConfig
from toylm.counts.em import SMALLEST, expected_counts
from toylm.counts.language_model import CountsLM
from toylm.counts.views import contexts_of, word_symbols
from toylm.kernels.jit import jit
from toylm.kernels.vectors import log


@pytest.fixture(scope="module")
def characters():
    """(ids, tokenizer) of a few documents of English words, in characters."""
    from toylm.data import train_tokenizer

    rng = np.random.default_rng(0)
    words = ["the", "The", "cat", "dog", "sees", "a", "house", "river"]
    documents = [" ".join(rng.choice(words, 12)) + rng.choice([".", "!"]) for _ in range(80)]
    tokenizer = train_tokenizer(documents, "char")
    return np.array([i for text in documents for i in [*tokenizer.encode(text), tokenizer.end_id]]), tokenizer


def symbols_after(text, tokenizer, near=2):
    """The words view's context after `text`, which begins a document."""
    ids = np.array([[tokenizer.end_id, *tokenizer.encode(text)]])
    config = CountsConfig(tokenizer.vocab_size, 4, tokenizer.end_id, near=near)
    return contexts_of(ids, config, word_symbols(tokenizer))[-1, 1].tolist()


def test_contexts_of_words(characters):
    _, tokenizer = characters
    here = symbols_after("the cat sees a ho", tokenizer)
    assert here[:2] == [1 + tokenizer.encode("o")[0], 1 + tokenizer.encode("h")[0]] and all(here)
    assert here == symbols_after("a river sees a ho", tokenizer)  # two whole words back
    assert symbols_after("a The ho", tokenizer) == symbols_after("a the ho", tokenizer)  # whatever the case
    other = symbols_after("the cat sees the ho", tokenizer)
    assert other[:3] == here[:3] and other[3] != here[3] and other[4] == here[4]
    assert symbols_after("sees a! ho", tokenizer)[2] != here[2]  # what stands before the word counts
    assert symbols_after("ho", tokenizer)[3:] == [0, 0]  # no word before the document's first


def test_a_word_cut_off_by_the_window_is_no_word(characters):
    _, tokenizer = characters
    config, words = CountsConfig(tokenizer.vocab_size, 4, tokenizer.end_id, near=1), word_symbols(tokenizer)
    ids = np.array([tokenizer.encode("ouse a ca")])
    contexts = contexts_of(ids, config, words)[:, 1]
    assert (contexts[:4, 1:] == 0).all() and contexts[5, 1] and (contexts[5, 2:] == 0).all()
    assert contexts[8, 2] and contexts[8, 3] == 0
    # an end of text begins anew, whatever stands before
    a, b = (np.array([[*tokenizer.encode(s), tokenizer.end_id, *tokenizer.encode("the ca")]]) for s in ("a dog", "house"))
    assert np.array_equal(contexts_of(a, config, words)[-7:], contexts_of(b, config, words)[-7:])


def test_tokens_that_begin_and_go_on_with_words():
    from toylm.data import train_tokenizer

    tokenizer = train_tokenizer(["the cat the Cat the cat the Cat"] * 9, "bpe", 262)
    words, pieces = word_symbols(tokenizer), tokenizer.token_bytes
    assert words[tokenizer.end_id] == 0 and words[pieces.index(b"c")] == words[pieces.index(b"C")] > 0
    assert words[pieces.index(b".")] == 0 and words[pieces.index(b" the")] < 0


def test_two_views_are_normalised_and_see_nothing_ahead(characters):
    ids, tokenizer = characters
    V, end_id = tokenizer.vocab_size, tokenizer.end_id
    model = CountsLM.fit(ids, V, end_id, words=word_symbols(tokenizer), folds=3, context_length=64)
    windows = np.stack([ids[:64], ids[30:94], np.random.default_rng(0).integers(0, V, 64)])
    p = model.probabilities(windows)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12 and (p > 0).all()
    changed = windows.copy()
    changed[:, 40:] = 2
    assert np.array_equal(model.probabilities(changed).reshape(3, 64, V)[:, :40], p.reshape(3, 64, V)[:, :40])
    targets = np.roll(windows, -1, axis=1)
    expected = -np.log(np.take_along_axis(p, targets.reshape(-1, 1), 1))[:, 0]
    assert np.allclose(model.token_losses(windows, targets).reshape(-1), expected, rtol=1e-12)
    # a fold's counts are those of the text without it, in both views
    kept = ids[model.fold_of(np.arange(len(ids))) != 1]
    anew = CountsLM.fit(kept, V, end_id, words=word_symbols(tokenizer), context_length=64)
    anew.weights, anew.length_weights = model.weights, model.length_weights
    assert np.array_equal(model.log_probabilities(windows, folds=np.full(3, 1)), anew.log_probabilities(windows))


def test_words_must_fit_the_vocabulary():
    with pytest.raises(ValueError, match=r"words has shape \(2,\); it is one number a token, \(3,\)"):
        CountsLM.fit([1, 2, 0], 3, 0, words=np.ones(2, np.int64))


def test_expected_counts_equal_their_numpy_twin():
    rng = np.random.default_rng(0)
    p, buckets, weights = rng.random((101, 3)), rng.integers(0, 4, 101), rng.random((4, 3))
    found = np.empty((4, 3))
    nats = expected_counts(p, buckets, weights, found)
    joint = p * weights[buckets]
    total = np.maximum(joint.sum(axis=1), SMALLEST)
    expected, expected_nats = np.zeros_like(weights), np.log(total).sum()
    np.add.at(expected, buckets, joint / total[:, None])
    assert np.allclose(found, expected, rtol=1e-12) and nats == pytest.approx(expected_nats, rel=1e-12)


def test_log_over_the_range_of_float32():
    @jit
    def logs(x, y):
        for i in range(x.shape[0]):
            y[i] = log(x[i])

    x = np.concatenate([np.geomspace(1.2e-38, 3e38, 20_011), np.linspace(0.5, 2, 10_007), [1.0]]).astype(np.float32)
    y = np.empty_like(x)
    logs(x, y)
    exact = np.log(x.astype(np.float64))
    assert (np.abs(y - exact) <= 2e-7 * np.maximum(np.abs(exact), 0.5)).all() and y[-1] == 0


@pytest.mark.parity
def test_bigrams_equal_nltks_interpolated_kneser_ney():
    """nltk takes one discount for all counts; ours are set to it, and so is the distribution below, which nltk leaves bare."""
    nltk_lm = pytest.importorskip("nltk.lm")

    tokens = text(50, 20, 9, seed=2)
    documents = [[END, *d] for d in np.split(tokens, np.flatnonzero(tokens == END)[:-1] + 1)]
    bigrams = [(str(a), str(b)) for d in documents for a, b in zip(d, d[1:])]
    theirs = nltk_lm.KneserNeyInterpolated(2, discount=0.4)
    theirs.fit([bigrams], vocabulary_text=[str(v) for v in range(9)])
    tables = tables_of(tokens, 9, 2)
    tables.discounts[:] = [0.0, 0.4, 0.4, 0.4]
    root = slice(tables.entry_starts[0], tables.entry_starts[1])
    tables.shortest[0] = 0
    tables.shortest[0, tables.tokens[root]] = tables.counts[root] / tables.counts[root].sum()
    for node in range(1, len(tables.symbols)):
        entries = slice(tables.entry_starts[node], tables.entry_starts[node + 1])
        tables.gammas[node] = 0.4 * (entries.stop - entries.start) * tables.scales[node]
    chain = np.empty(2, np.int64)
    for context in range(9):
        depth = find_chain(tables, 0, np.array([context + 1], np.uint32), chain)
        for token in range(9):
            ours = token_probability(tables, 0, chain, depth, token)
            assert ours == pytest.approx(theirs.score(str(token), [str(context)]), rel=1e-12)
