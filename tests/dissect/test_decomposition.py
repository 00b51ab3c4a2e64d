"""The three definitions of the rest, bases, replaced head outputs: against sums written out and NumPy's SVD."""

import numpy as np
import pytest
from small_models import ARCHITECTURES, small_model

from toylm.dissect import (
    BASES,
    DEFINITIONS,
    Basis,
    Full,
    LowRank,
    Moments,
    Predicted,
    Reading,
    Runner,
    TopK,
    epsilon,
    split,
)
from toylm.dissect.attention_heads import head_output_matrix, join_heads, run_blocks
from toylm.dissect.replacements import fit_predictor

RNG = np.random.default_rng(3)
TOKENS = RNG.integers(0, 50, (2, 17))


def test_epsilon_is_the_sum_each_definition_says():
    model = small_model(n_kv_heads=2)
    reading = Reading(run_blocks(model, TOKENS).blocks[1])
    p, V = reading.probabilities[1, 3, 9], reading.values[1, 3]
    star = int(np.argmax(p))
    tail = sum(p[j] * V[j] for j in range(17) if j != star)
    expected = {
        "difference": tail - (1 - p[star]) * V[star],
        "tail": tail,
        "normalised-tail": tail / (1 - p[star]),
    }
    for name in DEFINITIONS:
        np.testing.assert_allclose(epsilon(reading, name)[0][1, 3, 9], expected[name], atol=1e-13)
        base, rest, weight = split(reading, name)
        np.testing.assert_allclose(base + weight * epsilon(reading, name)[0], reading.context, atol=1e-13)
    assert not epsilon(reading, "normalised-tail")[1][:, :, 0].any()  # at the first token p* is 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_full_rank_and_full_attention_are_the_model_itself(name):
    model = small_model(**ARCHITECTURES[name])
    expected = model.forward(TOKENS)
    moments = calibrated(model)
    runner = Runner(model, TOKENS, (0,))
    layers = range(3)
    np.testing.assert_allclose(runner.logits(), expected, atol=1e-12)
    np.testing.assert_allclose(runner.logits({i: Full() for i in layers}), expected, atol=1e-10)
    h = model.config.d_head
    for definition in DEFINITIONS:
        for basis in BASES:
            bases = [Basis(basis, moments[i][definition], head_output_matrix(model, i)) for i in layers]
            ready = {i: LowRank(definition, bases[i], h) for i in layers}
            np.testing.assert_allclose(runner.logits(ready), expected, atol=1e-10, err_msg=f"{definition}, {basis}")
            less = runner.logits({i: LowRank(definition, bases[i], h - 1) for i in layers})
            assert np.abs(less - expected).max() > 1e-6  # so the test above could fail
    assert np.abs(runner.logits({i: TopK(1) for i in layers}) - expected).max() > 1e-3


def calibrated(model):
    """[layer][definition] -> Moments on random tokens."""
    activations = run_blocks(model, np.random.default_rng(9).integers(0, 50, (6, 17)))
    found = []
    for a in activations.blocks:
        reading = Reading(a)
        moments = {name: Moments(model.config.n_heads, model.config.d_head) for name in DEFINITIONS}
        for name in DEFINITIONS:
            moments[name].add(*epsilon(reading, name))
        found.append(moments)
    return found


def test_replaced_head_outputs_go_through_the_rest_of_the_block():
    """Top-1 in blocks 1 and 2, written out here for the default architecture."""
    model = small_model()
    found = Runner(model, TOKENS, (1,)).logits({1: TopK(1), 2: TopK(1)})
    np.testing.assert_allclose(found, written_out(model, TOKENS, replaced=(1, 2)), atol=1e-10)


def written_out(model, tokens, replaced):
    c, P = model.config, {name: mat.array for name, mat in model.parameters.items()}
    norm = lambda x, g: P[g] * x / np.sqrt((x * x).mean(-1, keepdims=True) + c.norm_eps)  # noqa: E731
    x = P["token_embed"][tokens]
    T, h = tokens.shape[1], c.d_head
    angle = np.arange(T)[:, None] * c.rope_theta ** (-2 * np.arange(h // 2) / h)
    cos, sin = np.cos(angle), np.sin(angle)
    for i in range(c.n_layers):
        qkv = norm(x, f"blocks.{i}.norm1_gamma") @ P[f"blocks.{i}.w_qkv"]
        q, k, v = (part.reshape(*tokens.shape, c.n_heads, h).swapaxes(1, 2) for part in np.split(qkv, 3, axis=-1))
        q, k = (
            np.concatenate([a * cos - b * sin, b * cos + a * sin], -1) for a, b in (np.split(y, 2, -1) for y in (q, k))
        )
        scores = np.where(np.tril(np.ones((T, T), bool)), q @ k.swapaxes(-1, -2) / np.sqrt(h), -np.inf)
        if i in replaced:
            heads = np.take_along_axis(v, scores.argmax(-1)[..., None], axis=2)
        else:
            p = np.exp(scores - scores.max(-1, keepdims=True))
            heads = p / p.sum(-1, keepdims=True) @ v
        x = x + heads.swapaxes(1, 2).reshape(*tokens.shape, -1) @ P[f"blocks.{i}.w_o"]
        pre = norm(x, f"blocks.{i}.norm2_gamma") @ P[f"blocks.{i}.w_ff1"]
        hidden = 0.5 * pre * (1 + np.tanh(np.sqrt(2 / np.pi) * (pre + 0.044715 * pre**3)))
        x = x + hidden @ P[f"blocks.{i}.w_ff2"]
    return norm(x, "norm_final_gamma") @ P["token_embed"].T


def test_top_k_renormalises_the_kept_probabilities():
    reading = Reading(run_blocks(small_model(), TOKENS).blocks[0])
    p, V = reading.probabilities[0, 1, 12], reading.values[0, 1]
    order = np.argsort(p)[::-1][:3]
    np.testing.assert_allclose(TopK(3)(reading)[0, 1, 12], p[order] @ V[order] / p[order].sum(), atol=1e-13)
    np.testing.assert_allclose(TopK(17)(reading), reading.context, atol=1e-12)


def some_vectors():
    E = RNG.standard_normal((2, 3, 40, 6)) * np.array([5, 3, 2, 1, 0.5, 0.1]) + 1.5
    moments = Moments(3, 6)
    moments.add(E, np.ones(E.shape[:3], bool))
    return E.transpose(1, 0, 2, 3).reshape(3, 80, 6), moments


def test_bases_are_the_right_singular_vectors():
    rows, moments = some_vectors()
    for name, matrix in (("uncentred", rows), ("centred", rows - rows.mean(axis=1, keepdims=True))):
        basis = Basis(name, moments)
        for head in range(3):
            _, s, Vt = np.linalg.svd(matrix[head], full_matrices=False)
            np.testing.assert_allclose(basis.energy[head], s**2, rtol=1e-9)
            np.testing.assert_allclose(basis.projection(2)[head], Vt[:2].T @ Vt[:2], atol=1e-9)
            shares = np.cumsum(s**2) / np.sum(s**2)
            np.testing.assert_allclose(basis.spectrum[head], shares, rtol=1e-9)
            assert basis.rank_for(0.9)[head] == int(np.argmax(shares >= 0.9)) + 1


def test_output_weighted_basis_is_the_best_after_the_output_matrix():
    rows, moments = some_vectors()
    W = RNG.standard_normal((3, 6, 20)) * np.array([0.05, 0.2, 1, 2, 4, 8])[:, None]
    weighted, plain = Basis("output-weighted", moments, W), Basis("uncentred", moments)
    for head in range(3):
        seen = rows[head] @ W[head]
        s = np.linalg.svd(seen, compute_uv=False)
        for r in range(1, 6):
            error = np.linalg.norm(seen - rows[head] @ weighted.projection(r)[head] @ W[head])
            assert error == pytest.approx(np.sqrt((s[r:] ** 2).sum()), rel=1e-6)
            assert error <= np.linalg.norm(seen - rows[head] @ plain.projection(r)[head] @ W[head]) * (1 + 1e-9)


def test_output_matrix_without_full_rank_still_gives_the_model_back():
    _, moments = some_vectors()
    W = RNG.standard_normal((3, 6, 4))  # more values in a head than the stream is wide
    W[1] = 0
    basis = Basis("output-weighted", moments, W)
    np.testing.assert_allclose(basis.projection(6), np.broadcast_to(np.eye(6), (3, 6, 6)), atol=1e-8)


def test_predictor_finds_a_linear_relation_and_says_how_well():
    reading = Reading(run_blocks(small_model(), np.random.default_rng(5).integers(0, 50, (20, 17))).blocks[0])
    B, a = RNG.standard_normal((6, 6)), RNG.standard_normal(6)
    reading.context = reading.v_star + reading.v_star @ B + a
    predicted, explained = fit_predictor([reading], "difference")
    assert isinstance(predicted, Predicted)
    np.testing.assert_allclose(predicted(reading), reading.context, atol=1e-6)
    assert (explained > 0.999).all()
    reading.context = reading.v_star + RNG.standard_normal(reading.v_star.shape)
    assert (fit_predictor([reading], "difference")[1] < 0.1).all()


def test_names_are_checked():
    reading = Reading(run_blocks(small_model(), TOKENS).blocks[0])
    with pytest.raises(ValueError, match="valid: difference, tail"):
        split(reading, "rest")
    with pytest.raises(ValueError, match="valid: uncentred"):
        Basis("pca", some_vectors()[1])
    with pytest.raises(ValueError, match="block 0 was not among"):
        Runner(small_model(), TOKENS, (1,)).logits({0: TopK(1)})
    assert join_heads(reading.context).shape == (34, 24)


def test_ids_beyond_the_vocabulary_are_refused():
    model = small_model()
    with pytest.raises(ValueError, match=f"token id {model.config.vocab_size} is out of range"):
        run_blocks(model, [[0, model.config.vocab_size]])
    with pytest.raises(ValueError, match="target id"):
        Runner(model, TOKENS).losses(np.full(TOKENS.shape, model.config.vocab_size))
