"""An output bias and a counts model on top of the logits: gradients, the zero start, decoding, files."""

import numpy as np
import pytest

import toylm


class RandomCounts:
    """Stands for a CountsLM: log-probabilities that depend on the last two tokens, and on what is left out."""

    def __init__(self, vocab_size):
        rng = np.random.default_rng(5)
        self.table = rng.standard_normal((2, vocab_size, vocab_size, vocab_size))
        self.table -= np.log(np.exp(self.table).sum(-1, keepdims=True))

    def log_probabilities(self, tokens, folds=None, out=None):
        before = np.concatenate([np.zeros_like(tokens[:, :1]), tokens[:, :-1]], axis=1)
        left_out = np.zeros(len(tokens), np.int64) if folds is None else np.asarray(folds) + 1
        found = self.table[left_out[:, None], before, tokens].reshape(tokens.size, -1).astype(np.float32)
        if out is None:
            return found
        out[...] = found
        return out

    def next_log_probabilities(self, window):
        tokens = np.atleast_2d(window)
        return self.log_probabilities(tokens)[-1:]


def offset_model(precision="float64", **changes):
    fields = dict(vocab_size=7, d_model=8, d_ff=10, n_heads=2, n_layers=1, context_length=9, counts=True, output_bias=True)
    model = toylm.TransformerLM(toylm.ModelConfig(**{**fields, **changes}), seed=1, precision=precision)
    model.counts = RandomCounts(7)
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_gradients_against_central_differences(tied):
    model = offset_model(tied=tied)
    rng = np.random.default_rng(0)
    model.parameters.flat[:] += 0.3 * rng.standard_normal(model.parameters.size)
    tokens, targets = rng.integers(0, 7, (3, 6)), rng.integers(-1, 7, (3, 6))
    folds = np.array([-1, 0, -2])  # all counts, those without a part, the transformer alone

    def loss():
        return model.loss_and_gradients(tokens, targets, folds=folds)

    assert loss() != pytest.approx(model.loss(tokens, targets), rel=1e-3)  # the evaluation leaves nothing out
    gradients, h = model.gradients.flat.copy(), 1e-5
    for name in ("counts_scale", "transformer_scale", "unembed", "b_unembed", "token_embed", "norm_final_gamma"):
        if name == "unembed" and tied:
            continue
        mat = model.parameters[name].flat
        numeric = np.empty(mat.size)
        for i in range(mat.size):
            original, values = mat[i], []
            for offset in (-h, h):
                mat[i] = original + offset
                values.append(loss())
            mat[i] = original
            numeric[i] = (values[1] - values[0]) / (2 * h)
        model.gradients.flat[:] = gradients
        assert np.abs(model.gradients[name].flat - numeric).max() <= 1e-7 * max(1, np.abs(numeric).max()), name


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_starts_as_the_counts_and_learns_beyond_them(tied):
    model = offset_model(tied=tied)
    model.parameters["b_unembed"].fill_random(1.0)
    tokens = np.random.default_rng(0).integers(0, 7, (4, 9))
    expected = model.counts.log_probabilities(tokens, None, np.empty((36, 7)))
    np.testing.assert_allclose(model.forward(tokens).reshape(36, 7), expected, atol=1e-6)
    optimizer, first = toylm.Adam(model.parameters, 1e-2), model.loss(tokens[:, :-1], tokens[:, 1:])
    for _ in range(60):
        model.loss_and_gradients(tokens[:, :-1], tokens[:, 1:])
        optimizer.step(model.gradients)
        model.gradients.zero_()
    assert model.loss(tokens[:, :-1], tokens[:, 1:]) < first - 0.5


def test_decoding_equals_the_forward_pass_also_when_the_window_slides():
    model = offset_model("float64", context_length=5, tied=False)
    model.parameters.flat[:] += 0.5 * np.random.default_rng(2).standard_normal(model.parameters.size)
    for slide in (1, 2):
        ids, window = [3], [3]
        for token in model_ids(model, slide):
            assert token == int(np.argmax(model.forward(np.array(window))[-1]))
            ids.append(token)
            window.append(token)
            if len(window) > 5:
                window = window[slide:] if slide == 1 else window[2:]
        assert len(ids) == 13


def model_ids(model, slide):
    from toylm.model.generation import stream

    return stream(model, [3], 12, temperature=0, slide=slide)


def test_without_its_counts_the_model_says_what_it_lacks():
    model = offset_model()
    model.counts = None
    with pytest.raises(ValueError, match="set model.counts to a CountsLM"):
        model.forward([1, 2])
