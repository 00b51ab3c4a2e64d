"""An activation or a norm is one file and one line: training, decoding and saving follow; an unknown kind fails everywhere."""

import numpy as np
import pytest

import toylm
from toylm import kinds
from toylm.model.generation import KeyValueCache

FIELDS = dict(vocab_size=11, d_model=8, d_ff=10, n_heads=2, n_layers=2, context_length=9)


@pytest.fixture
def registered(monkeypatch):
    # modules beside the tests; one of toylm's own is named without its package
    monkeypatch.setitem(kinds.FEED_FORWARDS, "mish", kinds.Kind("own_kinds.mish:mish", "x · tanh(softplus(x))"))
    monkeypatch.setitem(kinds.FEED_FORWARDS, "mishglu", kinds.Kind("own_kinds.mish:mish", "gated", gated=True))
    monkeypatch.setitem(kinds.NORMS, "centred", kinds.Kind("own_kinds.centred:centred", "takes off the mean"))
    monkeypatch.setitem(kinds.POSITIONS, "none", kinds.Kind("embedding:embedding_forward", "no positions"))


@pytest.mark.parametrize("mode", ["numba", "blas"])
@pytest.mark.parametrize("changes", [dict(feed_forward="mish"), dict(feed_forward="mishglu"), dict(norm="centred"),
                                     dict(positions="none")], ids=str)  # fmt: skip
def test_a_kind_of_ones_own_trains_and_decodes(changes, mode, registered, monkeypatch):
    monkeypatch.setattr("toylm.kernels.matmul.matmul_mode", lambda: mode)
    model = toylm.TransformerLM(toylm.ModelConfig(**{**FIELDS, **changes}), seed=1, precision="float64")
    model.parameters.flat[:] += 0.3 * np.random.default_rng(0).standard_normal(model.parameters.size)
    tokens = np.random.default_rng(1).integers(0, 11, (3, 8))
    model.loss_and_gradients(tokens[:, :-1], tokens[:, 1:])
    direction, h = np.random.default_rng(2).standard_normal(model.parameters.size), 1e-6
    slope, start, losses = model.gradients.flat @ direction, model.parameters.flat.copy(), []
    for sign in (1, -1):
        model.parameters.flat[:] = start + sign * h * direction
        losses.append(model.loss(tokens[:, :-1], tokens[:, 1:]))
    model.parameters.flat[:] = start
    assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(slope, rel=1e-6)
    cache = KeyValueCache(model)
    for i, token in enumerate(tokens[0]):
        np.testing.assert_allclose(cache.append(token), model.forward(tokens[0, : i + 1])[-1], atol=1e-12)


def test_an_unknown_kind_fails_everywhere():
    config = toylm.ModelConfig(**FIELDS)
    for name, value in (("feed_forward", "mish"), ("norm", "centred"), ("positions", "none")):
        with pytest.raises(ValueError, match=f"{name} is '{value}'"):
            config.replace(**{name: value})
        object.__setattr__(config, name, value)  # past the check
        with pytest.raises(KeyError, match=value):
            toylm.TransformerLM(config)
        config = toylm.ModelConfig(**FIELDS)
