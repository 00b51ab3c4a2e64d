import numpy as np
import pytest

import toylm
from toylm.model.generation import KeyValueCache, sample_logits_row, stream


def model(positions="rope", precision="float64", V=13):
    config = toylm.ModelConfig(V, d_model=12, d_ff=20, n_heads=2, n_layers=2, context_length=8, positions=positions)
    made = toylm.TransformerLM(config, seed=2, precision=precision)
    made.parameters.flat[:] += 0.2 * np.random.default_rng(0).standard_normal(made.parameters.size)
    return made


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("positions", ["learned", "rope"])
@pytest.mark.parametrize("slide", [1, 3, 8])
def test_cached_logits_equal_the_full_forward_pass_also_past_the_context(positions, slide, precision, tolerance):
    m = model(positions, precision)
    tokens = np.random.default_rng(1).integers(0, 13, 30)
    cache = KeyValueCache(m, slide)
    logits = cache.extend(tokens[:3])
    for i in range(3, 30):
        expected = m.forward(np.array(cache.tokens))[-1]
        np.testing.assert_allclose(logits, expected, atol=tolerance)
        assert cache.tokens == tokens[i - len(cache.tokens) : i].tolist()
        if slide == 1:
            assert len(cache.tokens) == min(i, 8)
        logits = cache.append(tokens[i])


def test_greedy_text_equals_the_naive_loop():
    m = model()
    ids = [1, 2]
    for _ in range(25):
        ids.append(int(np.argmax(m.forward(np.array(ids[-8:]))[-1])))
    assert [1, 2, *stream(m, [1, 2], 25, temperature=0, slide=1)] == ids
    assert m.generate_from_ids([1, 2], 5) == ids[:7]


def test_sampling_follows_the_distribution():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    rng = np.random.default_rng(0)

    def shares(**settings):
        draws = [sample_logits_row(logits, rng=rng, **settings) for _ in range(4000)]
        return np.bincount(draws, minlength=4) / 4000

    np.testing.assert_allclose(shares(), [0.5, 0.3, 0.15, 0.05], atol=0.03)
    np.testing.assert_allclose(shares(top_k=2), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(top_p=0.7), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(top_p=0.4), [1, 0, 0, 0])
    np.testing.assert_allclose(shares(temperature=0.5), np.array([0.25, 0.09, 0.0225, 0.0025]) / 0.365, atol=0.03)
    assert shares(temperature=0)[0] == 1 and shares(top_k=1)[0] == 1
    with pytest.raises(FloatingPointError, match="not finite"):
        sample_logits_row(np.array([np.nan, 1.0]))


def test_same_seed_same_text_and_stop_ids_end_it():
    m = model()
    text = m.generate([1], 20, seed=3)
    assert text == m.generate([1], 20, seed=3) != m.generate([1], 20, seed=4)
    stop = text[5]
    assert m.generate([1], 20, seed=3, stop_ids=[stop]) == text[: text.index(stop)]
    assert m.generate([1], 0) == []


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(prompt_ids=[]), "the prompt has no tokens"),
        (dict(prompt_ids=[13]), "token id 13 is out of range"),
        (dict(temperature=-0.5), "temperature is -0.5"),
        (dict(top_p=0.0), "top_p is 0.0"),
        (dict(top_p=1.5), "top_p is 1.5"),
        (dict(top_k=0), "top_k is 0"),
        (dict(max_tokens=-1), "max_tokens is -1"),
        (dict(slide=9), "slide is 9"),
    ],
)
def test_bad_settings_are_named(settings, message):
    settings = {"prompt_ids": [1], "max_tokens": 3, **settings}
    with pytest.raises(ValueError, match=message):
        list(stream(model(), **settings))
