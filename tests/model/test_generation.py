import numpy as np
import pytest

import toylm
from toylm.kernels.decode import _likeliest
from toylm.model.generation import KeyValueCache, sample_logits_row, stream

ARCHITECTURES = {
    "learned": dict(positions="learned"),
    "rope": dict(),
    "gpt2": dict(norm="layer", positions="learned", biases=True),
    "llama": dict(feed_forward="swiglu", n_heads=6, n_kv_heads=2, d_head=6, tied=False),
    "arcee": dict(feed_forward="relu2", n_kv_heads=1, biases=True),
    "smear": dict(smear=True, positions="learned"),
    "silu": dict(feed_forward="silu", norm="layer", d_model=10, d_ff=9, n_heads=5),
}


def model(kind="rope", precision="float64", V=13):
    fields = dict(d_model=12, d_ff=20, n_heads=2, n_layers=2, context_length=8)
    config = toylm.ModelConfig(V, **{**fields, **ARCHITECTURES[kind]})
    made = toylm.TransformerLM(config, seed=2, precision=precision)
    made.parameters.flat[:] += 0.2 * np.random.default_rng(0).standard_normal(made.parameters.size)
    return made


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-12), ("float32", 2e-5)])
@pytest.mark.parametrize("kind, slide", [*[("learned", i) for i in (1, 3, 8)], *[(kind, 3) for kind in ARCHITECTURES]])
def test_cached_logits_equal_the_full_forward_pass_also_past_the_context(kind, slide, precision, tolerance):
    m = model(kind, precision)
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


def test_same_seed_same_text_and_stop_ids_end_it():
    m = model()
    text = m.generate([1], 20, seed=3)
    assert text == m.generate([1], 20, seed=3) != m.generate([1], 20, seed=4)
    stop = text[5]
    assert m.generate([1], 20, seed=3, stop_ids=[stop]) == text[: text.index(stop)]
    assert m.generate([1], 0) == []


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_batch_of_prompts_equals_one_by_one(kind):
    m = model(kind, "float32")
    rng = np.random.default_rng(3)
    prompts, lengths = [rng.integers(0, 13, n).tolist() for n in (1, 2, 8, 3, 12)], set()
    for settings in (dict(temperature=0), dict(temperature=0.9), dict(temperature=1.2, top_k=4, top_p=0.9)):
        alone = [m.generate(p, 40, seed=5 + i, stop_ids=[4, 6], **settings) for i, p in enumerate(prompts)]
        assert m.generate_batch(prompts, 40, seed=5, stop_ids=[4, 6], **settings) == alone
        lengths |= {len(text) for text in alone}
    assert len(lengths) > 1  # they end at different places
    assert m.generate_batch([], 5) == [] and m.generate_batch(prompts[:2], 0) == [[], []]
    assert [len(text) for text in m.generate_batch(prompts, 7, temperature=0)] == [7] * 5


def test_many_greedy_steps_equal_single_ones():
    m = model("llama", "float32")
    decoder, single = (KeyValueCache(m, 3).decoder for _ in range(2))
    stops = np.zeros(13, bool)
    token = int(np.argmax(decoder.extend(0, [1, 2])))
    single.extend(0, [1, 2])
    ids = [token]
    while len(ids) < 25:
        ids += decoder.greedy([0], ids[-1:], 25 - len(ids), stops)[0]
    for previous, following in zip(ids, ids[1:]):
        single.append([0], [previous])
        assert int(np.argmax(single.logits[0])) == following


def test_weights_that_are_not_finite_are_named_when_decoding():
    m = model()
    m.parameters.flat[:] = np.nan
    for settings in (dict(temperature=0), dict(temperature=1)):
        with pytest.raises(FloatingPointError, match="not finite"):
            m.generate([1], 5, **settings)
        with pytest.raises(FloatingPointError, match="not finite"):
            m.generate_batch([[1], [2]], 5, **settings)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_hidden_unit_that_is_nan_is_seen_when_decoding(kind):
    m = model(kind)
    m.parameters["blocks.0.w_ff1"].array[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        m.generate([1], 5, temperature=0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("bad, says_so", [(np.nan, True), (np.inf, True), (-np.inf, False)])
def test_one_logit_that_is_not_finite(bad, says_so, precision):
    """All ways to a next token agree: a NaN anywhere or a largest logit of infinity is an error, -infinity is never drawn."""
    m = model(precision=precision)
    logits = np.linspace(1, 2, 13).astype(m.dtype)
    logits[5] = bad
    decoder, stops = KeyValueCache(m).decoder, np.zeros(13, bool)
    decoder.logits[0] = logits
    ways = [lambda: int(_likeliest(logits)), lambda: decoder._likeliest(0)[0]]
    ways += [lambda settings=settings: sample_logits_row(logits, **settings) for settings in (dict(temperature=0), dict(top_k=1))]
    if not says_so:
        assert [way() for way in ways] == [12] * 4
        rng = np.random.default_rng(0)
        assert 5 not in {sample_logits_row(logits, rng=rng) for _ in range(400)}
        return
    assert [way() for way in ways[:2]] == [-1, -1]
    settings = dict(temperature=1), dict(top_k=3), dict(top_p=0.5)
    for way in (*ways[2:], *(lambda chosen=chosen: sample_logits_row(logits, **chosen) for chosen in settings)):
        with pytest.raises(FloatingPointError, match="not finite"):
            way()
    m.parameters["token_embed"].array[5] = bad  # the logit of token 5 alone
    with pytest.raises(FloatingPointError, match="not finite"):
        decoder.greedy([0], [1], 3, stops)


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
