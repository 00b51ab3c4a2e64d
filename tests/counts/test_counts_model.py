"""CountsLM: normalised, causal, cold windows, documents added and removed, generation, files."""

import numpy as np
import pytest
from test_kneser_ney import END, tables_of, text

from toylm.counts import language_model
from toylm.counts.language_model import CountsLM
from toylm.counts.mixture import fit_weights, log_likelihood

V = 30


@pytest.fixture(scope="module")
def tokens():
    return text(60, 40, V, seed=3)


@pytest.fixture(scope="module")
def model(tokens):
    return CountsLM.fit(tokens, V, END, order=4, context_length=32)


def test_probabilities_sum_to_one(model, tokens):
    rng = np.random.default_rng(0)
    windows = np.stack([tokens[:32], tokens[40:72], rng.integers(0, V, 32), np.full(32, 7)])
    logs = model.log_probabilities(windows)
    assert logs.dtype == np.float32 and np.isfinite(logs).all()
    assert np.abs(np.exp(logs.astype(np.float64)).sum(axis=1) - 1).max() < 1e-5
    exact = model.probabilities(windows)
    assert np.abs(exact.sum(axis=1) - 1).max() < 1e-12
    assert np.abs(np.log(exact) - logs).max() < 1e-5


def induction_by_hand(tokens, t, length_weights, vocab_size):
    """The induction distribution at t as a dense (V,) float64 array, by comparing suffixes; zeros where nothing matches."""
    p, cap = np.zeros(vocab_size), len(length_weights) - 1
    for s in range(t):
        length = 0
        while length < cap and length <= s and tokens[s - length] == tokens[t - length]:
            length += 1
        p[tokens[s + 1]] += length_weights[length] if length else 0.0
    return p / p.sum() if p.sum() else p


def test_the_mixture_is_put_together_as_the_formula_says(model, tokens):
    """Against the dense induction distribution, and the back-off distribution alone."""
    from test_kneser_ney import distribution

    tables, window = tables_of(tokens, V, 4), np.concatenate([tokens[:15], tokens[:10]])
    p = model.probabilities(window)
    for t in (0, 3, 14, 20, 24):
        copied = induction_by_hand(window, t, model.length_weights, V)
        ngrams = distribution(tables, window[: t + 1], V, 4)
        mixed = p[t]
        # mixed = a · ngrams + (1 - a) · copied for one a
        direction = copied - ngrams
        a = (mixed - ngrams) @ direction / (direction @ direction)
        assert (0 <= a <= 1) if copied.any() else abs(a) < 1e-12
        assert np.abs(ngrams + a * direction - mixed).max() < 1e-13
    assert copied.any()


def test_no_look_ahead_and_rows_are_independent(model, tokens):
    windows = np.stack([tokens[:32], tokens[32:64]])
    before = model.log_probabilities(windows).reshape(2, 32, V)
    for t in range(31):
        changed = windows.copy()
        changed[0, t + 1 :] = (changed[0, t + 1 :] + 1) % V
        after = model.log_probabilities(changed).reshape(2, 32, V)
        assert np.array_equal(before[0, : t + 1], after[0, : t + 1]) and np.array_equal(before[1], after[1])
    assert np.array_equal(before[1], model.forward(windows[1]))


def test_losses_are_those_of_the_distribution(model, tokens):
    windows, targets = tokens[:64].reshape(2, 32), tokens[1:65].reshape(2, 32).copy()
    targets[1, 5] = -1
    losses = model.token_losses(windows, targets)
    logs = model.log_probabilities(windows).reshape(2, 32, V)
    expected = -np.take_along_axis(logs, np.maximum(targets, 0)[..., None], 2)[..., 0]
    assert losses[1, 5] == 0
    assert np.allclose(losses[targets >= 0], expected[targets >= 0], atol=2e-6)
    assert model.loss(windows, targets) == pytest.approx(losses.sum() / 63)


def test_a_stream_is_one_long_window(model, tokens):
    part = tokens[:500]
    inputs = np.append(END, part[:-1])
    whole = model.token_losses(inputs, part)
    assert np.allclose(model.stream_losses(part, window=500), whole, rtol=1e-12)
    assert model.stream_losses(part, window=20).shape == (500,)
    assert (model.stream_losses(part, window=0) > 0).all()
    for window in (-5, 10.5):
        with pytest.raises(ValueError, match=f"window is {window}: it must be a whole number >= 0"):
            model.stream_losses(part, window=window)


def test_em_rises_and_finds_the_weights():
    rng = np.random.default_rng(0)
    probabilities, buckets = rng.random((4000, 3)) + 1e-3, rng.integers(0, 5, 4000)
    history = []
    weights = fit_weights(probabilities, buckets, np.full((5, 3), 1 / 3), strength=7.0, history=history, tolerance=0, max_steps=200)
    assert len(history) > 5 and (np.diff(history) > -1e-9).all()
    assert np.allclose(weights.sum(axis=1), 1)
    unpenalised = fit_weights(probabilities, buckets, np.full((5, 3), 1 / 3), tolerance=0, max_steps=2000)
    best = log_likelihood(probabilities, buckets, unpenalised)
    for _ in range(20):
        other = np.abs(unpenalised + 0.02 * rng.standard_normal(unpenalised.shape))
        assert log_likelihood(probabilities, buckets, other / other.sum(axis=1, keepdims=True)) <= best + 1e-6


def test_copies_help_where_the_window_repeats_itself(model):
    rng = np.random.default_rng(5)
    phrase = rng.integers(1, V, 8)
    window = np.tile(phrase, 4)
    losses = model.token_losses(window[:-1], window[1:])
    assert losses[16:].mean() < 0.7 * losses[:7].mean()


def equal_counts(a, b):
    return all(np.array_equal(x.rows, y.rows) and np.array_equal(x.counts, y.counts) for x, y in zip(a.ngrams, b.ngrams)) and all(
        np.array_equal(x, y) for x, y in zip(a.tables, b.tables)
    )


def test_a_last_document_that_was_not_closed_can_be_removed():
    model = CountsLM.fit([1, 2, END, 3, 4], 5, END)
    model.remove([3, 4])
    assert equal_counts(model, CountsLM.fit([1, 2, END], 5, END))
    assert list(model.documents.values()) == [1]
    model.add([3, 4])
    assert equal_counts(model, CountsLM.fit([1, 2, END, 3, 4, END], 5, END))


def test_adding_and_removing_equals_counting_anew(tokens):
    ends = np.flatnonzero(tokens == END) + 1
    documents = np.split(tokens, ends[:-1])
    model = CountsLM.fit(np.concatenate(documents[:50]), V, END, order=4)
    for document in documents[50:]:
        model.add(document)
    anew = CountsLM.fit(tokens, V, END, order=4)
    assert equal_counts(model, anew) and model.documents == anew.documents
    for document in documents[:5]:
        model.remove(document[:-1])  # with or without the token that closes it
    assert equal_counts(model, CountsLM.fit(np.concatenate(documents[5:]), V, END, order=4))
    with pytest.raises(ValueError, match="is not among those learned"):
        model.remove(documents[0])
    with pytest.raises(ValueError, match="one document at a time"):
        model.add(np.concatenate(documents[:2]))
    with pytest.raises(ValueError, match="empty"):
        model.add([])


def test_text_is_generated_and_the_seed_decides(model):
    ids = model.generate([END], 40, temperature=0.9, seed=4)
    assert len(ids) == 40 and ids == model.generate([END], 40, temperature=0.9, seed=4)
    assert ids != model.generate([END], 40, temperature=0.9, seed=5)
    greedy = model.generate([END, 3], 10, temperature=0)
    logs = model.forward(np.array([END, 3, *greedy]))
    assert greedy == [int(np.argmax(logs[i])) for i in range(1, 11)]
    assert model.generate_batch([[END], [2]], 5, seed=1)[1] == model.generate([2], 5, seed=2)
    with pytest.raises(ValueError, match="the prompt has no tokens"):
        model.generate([], 5)


@pytest.mark.parametrize("ids", [[1], [END], [1, 1], [1, END], [2, 1, 2, END]])
def test_tiny_texts(ids):
    model = CountsLM.fit(ids, 3, END, order=5)
    p = model.probabilities(np.array([[END, 1, 2]]))
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12 and (p > 0).all()


@pytest.mark.parametrize(
    "ids, settings, sentence",
    [
        ([], {}, "no tokens to count"),
        ([1, 9], {}, "token id 9 is out of range"),
        ([1, 2], {"order": 0}, "order is 0; it must be at least 1"),
        ([1, 2], {"folds": 5}, "folds is 5; there can be 2 to 2"),
    ],
)
def test_mistakes(ids, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        CountsLM.fit(np.array(ids, np.int64), 3, END, **settings)


def test_the_last_document_cannot_be_removed():
    model = CountsLM.fit([1, 2, END], 3, END)
    with pytest.raises(ValueError, match="the only document"):
        model.remove([1, 2])


def test_an_order_that_memory_has_no_room_for_is_refused_before_counting(monkeypatch):
    """On 114 kB an order of 1,000 took 17.5 GB."""
    monkeypatch.setattr(language_model, "total_memory", lambda: 8 * 10**9)
    tokens = np.tile([1, 2, 3, 0], 10_000)
    with pytest.raises(ValueError, match="order is 1000: counting 40,000 tokens takes some 16 GB, .* has 8: choose a lower"):
        CountsLM.fit(tokens, 50, 0, order=1000, context_length=8)
