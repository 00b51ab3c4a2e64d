"""Closed-form starts: against hand-counted fractions, and the loss that they promise at step 0."""

import math

import numpy as np
import pytest

import toylm
from toylm.fitters.start import log_pmi, log_unigram, start_from_counts

TEXT = np.array([1, 2, 1, 2, 1, 3, 0, 1, 2, 0])


def test_log_unigram_and_pmi_against_hand_counts():
    # c = (2, 4, 3, 1), one pseudo-count in all over five tokens, the last of which never occurs
    p = [(2 + 0.2) / 11, (4 + 0.2) / 11, (3 + 0.2) / 11, (1 + 0.2) / 11, 0.2 / 11]
    np.testing.assert_allclose(log_unigram(TEXT, 5), np.log(p), rtol=1e-14)
    # 1 is followed by 2, 2, 3, 2: p(2 | 1) = (3 + 5 p(2)) / (4 + 5)
    m = log_pmi(TEXT, 5)
    assert m[1, 2] == pytest.approx(math.log((3 + 5 * p[2]) / 9) - math.log(p[2]), rel=1e-12)
    assert m[4, 1] == pytest.approx(0, abs=1e-12)  # an unseen context says nothing
    np.testing.assert_allclose((np.exp(m) * p).sum(axis=1), 1, rtol=1e-12)  # every row is a distribution


def _model(**changes):
    config = toylm.ModelConfig(vocab_size=24, d_model=32, n_heads=2, n_layers=1, context_length=16, **changes)
    return toylm.TransformerLM(config, seed=0, precision="float64")


@pytest.fixture(scope="module")
def chain():
    """A long text of a Markov chain, and its transition matrix."""
    rng = np.random.default_rng(0)
    steps = rng.dirichlet(np.full(24, 0.2), 24)
    text = [0]
    for _ in range(20_000):
        text.append(int(rng.choice(24, p=steps[text[-1]])))
    return np.array(text), steps


def test_the_model_starts_as_what_was_counted(chain):
    text, _ = chain
    windows = text[:16_000].reshape(-1, 16)
    tokens, targets = windows[:, :-1], windows[:, 1:]
    p = np.exp(log_unigram(text, 24))
    pair = np.exp(log_pmi(text, 24)) * p
    unigram, bigram = (-np.log(q).mean() for q in (p[targets], pair[tokens, targets]))
    model = _model(output_bias=True)
    start_from_counts(model, text, "unigram")
    assert model.loss(tokens, targets) == pytest.approx(unigram, abs=0.02)  # random embeddings still add a little noise
    model = _model(output_bias=True, tied=False)
    written = start_from_counts(model, text, "bigram")
    assert model.loss(tokens, targets) == pytest.approx(bigram, abs=0.01)  # d is above the rank: nothing is lost
    assert {"b_unembed", "token_embed", "unembed", "blocks.0.w_o"} <= set(written)
    model.loss_and_gradients(tokens, targets)
    assert all(model.gradients[name].flat.any() for name in ("blocks.0.w_o", "blocks.0.w_ff2"))  # zero, but not stuck


def test_what_a_start_needs_is_said():
    with pytest.raises(ValueError, match="which this model lacks: set output_bias"):
        start_from_counts(_model(), TEXT, "unigram")
    with pytest.raises(ValueError, match="set tied false"):
        start_from_counts(_model(output_bias=True), TEXT, "bigram")
    with pytest.raises(ValueError, match="valid: random, unigram, bigram"):
        start_from_counts(_model(), TEXT, "trigram")
