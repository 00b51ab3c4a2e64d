"""Jacobians against the engine's backward pass and central differences; the metric's invariants and null levels."""

import json
import threading
import time

import numpy as np
import pytest
from small_models import ARCHITECTURES, small_model

from toylm.commands.coupling import say_level
from toylm.dissect import (
    PARTS,
    VARIANTS,
    LinearisedBlock,
    coupling,
    coupling_matrix,
    depth_coupling,
    exponential_spacing,
    growth,
    line_shape_score,
    m_K,
    null_level,
    token_pairs,
)
from toylm.dissect.attention_heads import run_blocks
from toylm.dissect.coupling_analysis import linearise, rotated_levels, same_token_jacobians, spread
from toylm.dissect.coupling_metric import choose_ks, in_threads
from toylm.threads import get_threads, set_threads

RNG = np.random.default_rng(6)
TOKENS = RNG.integers(0, 50, 11)


def random_jacobians(n=2, d=24):
    return RNG.standard_normal((n, d, d))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_vjp_is_the_engines_backward_pass(name):
    model = small_model(**ARCHITECTURES[name])
    a = run_blocks(model, TOKENS)
    block = LinearisedBlock(model, 1)
    cotangents = RNG.standard_normal((11, 24))
    expected = cotangents.copy()
    a = model.workspace.activations(*a.tokens.shape, training=True)  # the same memory, with that of the backward pass
    model.blocks[1].backward(model.parameters, model.gradients, a.blocks[1], expected)
    every = np.arange(11)
    found = cotangents + sum(block.vjp(cotangents[t : t + 1], t, every)[0] for t in every)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_forward_mode_and_central_differences_agree_with_reverse_mode(name):
    model = small_model(**ARCHITECTURES[name])
    a = run_blocks(model, TOKENS).blocks[1]
    block, x = LinearisedBlock(model, 1), a.residual_in.copy()
    tangent = RNG.standard_normal((11, 24))

    def contributions(x):
        a.residual_in[...] = x
        model.blocks[1].forward(model.parameters, a)
        return {"block": a.residual_out - x, "attention": a.residual_mid - x}

    step = 1e-6
    plus, minus = contributions(x + step * tangent), contributions(x - step * tangent)
    for part in ("block", "attention"):
        forward = block.jvp(tangent[None], part)[0]
        difference = (plus[part] - minus[part]) / (2 * step)
        np.testing.assert_allclose(forward, difference, atol=1e-7 * np.abs(difference).max())
    for part in PARTS:
        forward = block.jvp(tangent[None], part)[0]
        for t in (0, 4, 10):
            jacobians = block.jacobians(t, range(11), part)
            np.testing.assert_allclose(np.einsum("nij,nj->i", jacobians, tangent), forward[t], atol=1e-9)
            assert not jacobians[t + 1 :].any()  # nothing comes from later tokens
            np.testing.assert_allclose(block.same_token(t)[part], jacobians[t], atol=1e-11)


def test_linearising_takes_one_sequence_and_known_parts():
    model = small_model()
    run_blocks(model, np.stack([TOKENS, TOKENS]))
    with pytest.raises(ValueError, match="along one sequence"):
        LinearisedBlock(model, 0)
    run_blocks(model, TOKENS)
    with pytest.raises(ValueError, match="valid: block, attention"):
        LinearisedBlock(model, 0).vjp(np.eye(24), 3, [0], part="norm")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("normalisation", ["norm", "trace"])
def test_invariants(signed, normalisation):
    J1, J2 = random_jacobians()
    m = lambda a, b: m_K(a, b, 7, signed=signed, normalisation=normalisation)  # noqa: E731
    assert m(J1, J1) < 1e-12
    left, right = np.linalg.qr(random_jacobians())[0]
    assert m(left @ J1 @ right, left @ J2 @ right) == pytest.approx(m(J1, J2), rel=1e-9)
    assert m(3.7 * J1, J2) == pytest.approx(m(J1, J2), rel=1e-9)
    assert m(J1, 0.2 * J2) == pytest.approx(m(J1, J2), rel=1e-9)
    assert m(J1, J2) != pytest.approx(m(J2, J1), rel=1e-3)  # not symmetric


def test_sign_is_seen_by_the_signed_metric_only():
    J = random_jacobians(1)[0]
    assert m_K(J, -J, 7) < 1e-12
    assert m_K(J, -J, 7, signed=True) == pytest.approx(2)


def test_metric_is_what_its_formula_says():
    J1, J2 = random_jacobians()
    U, _, Vt = np.linalg.svd(J2)
    s = np.linalg.svd(J1, compute_uv=False)[:5]
    inner = U[:, :5].T @ J1 @ Vt[:5].T
    swapped = Vt[:5] @ J1 @ U[:, :5]
    assert m_K(J1, J2, 5) == pytest.approx(np.linalg.norm(abs(inner) - np.diag(s)) / np.linalg.norm(s))
    assert m_K(J1, J2, 5, signed=True) == pytest.approx(np.linalg.norm(inner - np.diag(s)) / np.linalg.norm(s))
    assert m_K(J1, J2, 5, normalisation="trace") == pytest.approx(np.linalg.norm(abs(inner) - np.diag(s)) / s.sum())
    assert m_K(J1, J2, 5, swapped=True) == pytest.approx(np.linalg.norm(abs(swapped) - np.diag(s)) / np.linalg.norm(s))
    matrix = coupling_matrix(np.stack([J1, J2]), 5)
    assert matrix[0, 1] == pytest.approx(m_K(J1, J2, 5)) and matrix[1, 0] == pytest.approx(m_K(J2, J1, 5))
    assert np.abs(np.diag(matrix)).max() < 1e-12


@pytest.mark.parametrize(
    ("d", "K", "absolute", "signed"),
    [
        (64, 5, 0.955, 1.006),
        (64, 10, 0.963, 1.017),
        (64, 30, 1.046, 1.104),
        (256, 10, 0.976, 1.011),
        (32, 30, 1.286, 1.373),
    ],
)
def test_null_levels_of_gaussian_matrices(d, K, absolute, signed):
    samples = 8 if d == 256 else 24
    assert null_level(d, K, samples=samples)[0] == pytest.approx(absolute, abs=0.012)
    assert null_level(d, K, True, samples=samples)[0] == pytest.approx(signed, abs=0.02)


def test_ks_fit_the_width():
    assert choose_ks(256) == (10, 26, 30, 50, 64, 128)
    assert choose_ks(24) == (2, 6, 10, 12)
    assert choose_ks(8) == (1, 2, 4)
    with pytest.raises(ValueError, match="from 1 to d_model, 8"):
        choose_ks(8, [9])


def test_depth_maps_hold_every_variant():
    model = small_model()
    jacobians, states, _ = same_token_jacobians(model, TOKENS, np.array([3, 10]))
    assert states.shape == (4, 11, 24)
    found = depth_coupling(jacobians["attention"], (3, 6))
    assert set(found) == set(VARIANTS)
    J = jacobians["attention"][:, 1]
    for sign, normalisation, order in VARIANTS:
        expected = m_K(J[0], J[2], 6, sign == "signed", normalisation, order == "vu")
        assert found[sign, normalisation, order][1, 1, 0, 2] == pytest.approx(expected, rel=1e-9)


def test_token_pairs_are_the_jacobians_they_name():
    model = small_model()
    blocks, _ = linearise(model, TOKENS)
    found = token_pairs(blocks, 11, count=4)
    assert set(found) == {"same token", "output fixed", "input fixed", "both moving"}
    assert all(b == 10 for _, b in found["output fixed"][0]) and all(a == 0 for a, _ in found["input fixed"][0])
    for pairs, jacobians in found.values():
        for i in (0, len(pairs) - 1):
            t1, t2 = pairs[i]
            np.testing.assert_allclose(jacobians[2, i], blocks[2].jacobians(t2, [t1])[0], atol=1e-12)


def test_trajectories_known_by_hand():
    direction = RNG.standard_normal(5)
    line = direction * np.array([1, 2, 4, 8, 16])[:, None]
    assert line_shape_score(line) == pytest.approx(1)
    assert exponential_spacing(line) == pytest.approx(0, abs=1e-20)
    corner = np.array([[1.0, 0], [2, 0], [2, 1]])
    assert line_shape_score(corner) == pytest.approx(np.sqrt(2))
    logs = np.array([np.log(2), 0.5 * np.log(5 / 4)])
    assert exponential_spacing(corner) == pytest.approx(logs.var() / logs.mean() ** 2)
    found = growth(np.exp(0.3 * np.arange(5))[:, None])
    assert found["log_fit"]["slope"] == pytest.approx(0.3) and found["log_fit"]["r2"] == pytest.approx(1)
    assert growth(np.ones((2, 1)))["log_fit"] is None


def test_the_analysis_as_a_whole():
    model = small_model("float32")
    result = coupling(model, [TOKENS, TOKENS[:6]], tokens=5)
    figures = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert np.shape(figures["trained"]["maps"]["feed-forward"]["signed/trace/vu"]) == (len(result.ks), 3, 3)
    assert np.abs(np.diag(result.map("attention", K=6))).max() < 1e-5
    rows = result.summary()
    assert [row["K"] for row in rows] == list(result.ks)
    for row in rows:
        assert row["absolute"] <= row["signed"] + 1e-6
        assert {"absolute_random", "signed_random", "absolute_untrained", "absolute_rotated", "absolute_rotated_error"} <= set(row)
    assert result.trained.pair_levels("both moving").shape == (2, 3, len(result.ks))
    assert figures["settings"]["positions"] == [[0, 2, 5, 8, 10], [0, 1, 2, 4, 5]]
    with pytest.raises(ValueError, match="at least one token"):
        coupling(model, [[]])
    with pytest.raises(ValueError, match="out of range"):
        coupling(model, [50])


def test_identical_blocks_couple_and_rotated_ones_do_not():
    s = np.linspace(3, 0.1, 24)
    assert rotated_levels(np.stack([s, s]), (5,)).min() > 0.8
    model = small_model("float32", n_layers=2)
    for name, mat in model.parameters.items():
        if name.startswith("blocks.1"):
            mat.flat[:] = model.parameters[name.replace("blocks.1", "blocks.0")].flat
        if name.endswith(("w_o", "w_ff2")):
            mat.flat[:] *= 1e-4  # the stream hardly moves, so the two blocks are the same map at the same place
    found = coupling(model, [TOKENS], ks=[4], untrained=True)
    assert found.map()[0, 1] < 0.2 < 0.8 < found.map(side="untrained")[0, 1]


def test_the_level_of_random_directions_hardly_depends_on_the_seed():
    s = np.exp(-np.arange(24) / 6)
    a, b = (rotated_levels(np.stack([s, s, s]), (4, 8), seed) for seed in (0, 1))
    assert len(np.unique(a[..., 0])) == a[..., 0].size  # every layer has draws of its own
    error = a.mean(axis=1).std(axis=0) / len(a) ** 0.5
    np.testing.assert_array_less(np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1))), 4 * error)
    assert error.max() < 0.01


def test_the_verdict_counts_the_uncertainty_of_its_levels():
    row = {"absolute": 0.94, "absolute_random": 0.96, "absolute_random_std": 0.01, "absolute_rotated": 0.97, "pairs": 20}
    row["absolute_error"] = 0.001
    assert say_level(row | {"absolute_rotated_error": 0.001}).endswith("coupled, 2.1 % of the way from chance to identical blocks")
    assert "no coupling" in say_level(row | {"absolute_rotated_error": 0.02})


def test_the_verdict_counts_how_much_prompts_differ():
    row = {"absolute": 0.94, "absolute_random": 0.96, "absolute_random_std": 0.01, "absolute_rotated": 0.97, "pairs": 20,
           "absolute_rotated_error": 0.001}  # fmt: skip
    assert "no coupling that can be told from chance" in say_level(row | {"absolute_error": 0.02})
    assert "less alike" not in say_level(row | {"absolute": 1.0, "absolute_error": 0.05})
    assert "of one prompt: how much prompts differ is not known" in say_level(row | {"absolute_error": None})


def test_the_error_over_prompts_is_that_of_their_mean():
    model, prompts = small_model("float32"), [np.arange(i, i + 8) % 50 for i in range(3)]
    result = coupling(model, prompts, ks=(4,), tokens=2, untrained=False, resamples=20)
    values = result.trained.off_diagonal()[:, 0]
    assert result.summary()[0]["absolute_error"] == pytest.approx(np.std(values, ddof=1) / 3**0.5)
    one = coupling(model, prompts[:1], ks=(4,), tokens=2, untrained=False, resamples=20)
    assert one.summary()[0]["absolute_error"] is None


def test_work_is_spread_over_as_many_threads_as_were_asked_for():
    before = get_threads()
    set_threads(1)
    try:
        assert len(set(in_threads(lambda _: (time.sleep(0.001), threading.get_ident()), range(20)))) == 1
    finally:
        set_threads(before)


def test_positions_are_spread_and_end_at_the_last():
    assert spread(64, 64).tolist() == list(range(64))
    assert spread(10, 3).tolist() == [0, 4, 9]
    assert spread(5, 1).tolist() == [4]
