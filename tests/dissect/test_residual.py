"""The residual-attention analysis as a whole, its statistics and its neighbouring measures."""

import json

import numpy as np
import pytest
from small_models import small_model, token_text

from toylm.counts.language_model import CountsLM
from toylm.dissect import Reading, intrinsic, residual, two_nn
from toylm.dissect.attention_heads import run_blocks
from toylm.dissect.blocks_of_text import cut_blocks
from toylm.dissect.bootstrap import interval, resampled_means, unit_sums
from toylm.dissect.measures import attention_measures, pairwise_overlap, random_overlap, second_ratio, without_norm
from toylm.dissect.residual_pictures import draw_residual

RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def result():
    return residual(
        small_model("float32"),
        token_text(),
        end_id=0,
        length=16,
        calibration_blocks=10,
        evaluation_blocks=30,
        resamples=200,
    )


def test_every_row_has_its_figures(result):
    table = result.table()
    original = next(row for row in table if row["kind"] == "original")
    by_kind = {
        kind: [row for row in table if row["kind"] == kind] for kind in ("top-k", "full", "low-rank", "predicted")
    }
    assert all(by_kind.values())
    for row in table[1:]:
        assert row["change"] == pytest.approx(row["perplexity"] - original["perplexity"])
        low, high = row["change_interval"]
        assert low <= row["change"] + 1e-6 and row["change"] - 1e-6 <= high
    single = [row["layers"] for row in by_kind["top-k"] if row["scope"] == "single"]
    assert single == [(0,), (1,), (2,)]
    ranks = [r for r, _ in result.curve("difference", "centred")]
    assert ranks == [0, 1, 2, 4, 6]
    assert {row["definition"] for row in by_kind["predicted"]} == {"difference", "tail", "normalised-tail"}


def test_full_rank_is_exact(result):
    assert result.exactness["perplexity"] < 1e-6 * result.table()[0]["perplexity"]
    assert result.exactness["logits_float64"] < 1e-10
    assert result.exactness["full_float64"] < 1e-10


def test_recovered_share_is_of_the_same_layers(result):
    table = result.table()
    top1 = next(row for row in table if row["kind"] == "top-k" and row["k"] == 1 and row["scope"] == "chosen")
    for row in table:
        if row["scope"] == "chosen" and row.get("recovered") is not None:
            share = (top1["perplexity"] - row["perplexity"]) / (top1["perplexity"] - table[0]["perplexity"])
            assert row["recovered"] == pytest.approx(share, abs=1e-6)


def test_untrained_side_and_json(result):
    figures = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert figures["untrained"]["replacements"][0]["perplexity"] == pytest.approx(50, rel=0.2)
    assert np.shape(figures["trained"]["spectra"]["tail"]["centred"]["r90"]) == (3, 4)
    assert np.shape(figures["trained"]["measures"]["entropy"]) == (3, 4)
    assert {v["answer"] for v in figures["verdicts"]} <= {"yes", "no", "point estimate only", "nothing to recover"}
    assert len(figures["verdicts"]) == 5  # three bases of the first definition, the first basis of the two others


def test_verdict_says_so_where_there_is_nothing_to_recover():
    """With all values equal, V* is the head's output, and no basis has anything to recover."""
    model = small_model("float32")
    for i in range(3):
        for mat in model.head_mats("v", i):
            mat.array[:] = 0
    found = residual(model, token_text(), end_id=0, length=16, untrained=False, resamples=100)
    assert {v["answer"] for v in found.verdicts()} == {"nothing to recover"}
    assert found.curve("difference", "uncentred")[0][1]["recovered"] is None


def test_pictures_where_only_other_blocks_have_something_to_recover(tmp_path):
    pytest.importorskip("matplotlib")
    model = small_model("float32")
    for mat in model.head_mats("v", 2):
        mat.array[:] = 0
    found = residual(model, token_text(), end_id=0, layers=[2], length=16, untrained=False, resamples=100)
    found.trained.sums[found.trained.find(kind="top-k", k=1, scope="single", layers=(0,))] *= 1.2
    assert any(row.get("recovered") is not None for row in found.table())
    assert {v["answer"] for v in found.verdicts()} == {"nothing to recover"}
    assert all(path.is_file() for path in draw_residual(found, tmp_path).values())


def test_the_untrained_model_has_the_same_counts():
    model = small_model("float32", counts=True)
    model.counts = CountsLM.fit(token_text(), 50, 0, order=3)
    for name, weight in (("counts_scale", 0.5), ("transformer_scale", 0.7)):
        model.parameters[name].flat[:] = weight
    found = residual(model, token_text(), end_id=0, length=16, resamples=50)
    assert found.exactness["logits_float64"] < 1e-10
    assert found.table("untrained")[1]["change"] != 0


def test_random_basis_alone_is_not_called_low_rank(result):
    """A verdict needs the control: with the random basis as good as the chosen one, the answer is not yes."""
    side = result.trained
    saved = side.sums.copy()
    side.sums[side.find(kind="top-k", k=1, scope="chosen")] *= 1.2  # top-1 costs something for certain
    for i, row in enumerate(side.rows):
        if row.kind == "low-rank" and row.scope == "chosen" and row.rank:
            side.sums[i] = side.sums[0]  # everything recovers everything, the random basis as well
    try:
        assert {v["answer"] for v in result.verdicts() if v["rank"] != 0} == {"point estimate only"}
    finally:
        side.sums[:] = saved


def test_the_random_control_runs_whatever_bases_are_asked_for():
    found = residual(small_model("float32"), token_text(), end_id=0, length=16, calibration_blocks=10, evaluation_blocks=10,
                     resamples=50, bases=("uncentred",), untrained=False)  # fmt: skip
    side = found.trained
    for definition in found.definitions:
        side.find(kind="low-rank", scope="chosen", definition=definition, basis="random", rank=1)
    # A basis that recovers everything where the random one recovers nothing can be told so.
    top1, original = side.find(kind="top-k", k=1, scope="chosen"), side.sums[0]
    side.sums[top1] = 1.2 * original
    for i, row in enumerate(side.rows):
        if row.kind == "low-rank" and row.scope == "chosen":
            side.sums[i] = side.sums[top1] if row.basis == "random" else original
    assert {verdict["answer"] for verdict in found.verdicts()} == {"yes"}
    assert {verdict["basis"] for verdict in found.verdicts()} == {"uncentred"} and found.bases == ("uncentred",)


def test_bad_arguments(result):
    model, text = small_model("float32"), token_text()
    with pytest.raises(ValueError, match="no block 3; its blocks are 0 to 2"):
        residual(model, text, layers=[1, 3])
    with pytest.raises(ValueError, match="basis is 'pca'"):
        residual(model, text, bases=("pca",))
    with pytest.raises(ValueError, match="at least 6 are needed"):
        residual(model, text[:90], length=16)
    with pytest.raises(KeyError, match="no row with"):
        result.trained.find(kind="nothing")


def test_calibration_and_evaluation_share_no_document():
    text = token_text()
    text[text != 0] = np.cumsum(text == 0)[text != 0] + 1  # every token names its document
    calibration, evaluation = cut_blocks(text, 16, 10, 30, end_id=0)
    assert not set(calibration.tokens.ravel()) & set(evaluation.tokens.ravel()) - {0}
    assert evaluation.unit == "document" and evaluation.tokens.shape[0] >= 25
    np.testing.assert_array_equal(evaluation.tokens[0, 1:], evaluation.targets[0, :-1])
    for document in np.unique(evaluation.units):
        words = evaluation.targets[evaluation.units == document]
        assert len(set(words) - {0}) == 1 and (words == 0).sum() <= 1
    undivided = cut_blocks(np.arange(1, 500), 16, 10, 10, end_id=0)[1]
    assert undivided.unit == "block" and undivided.tokens[0, 0] == 161


@pytest.mark.parametrize("end", [97, 99])
def test_evaluation_does_not_wait_for_a_document_that_comes_late(end):
    text = np.full(100 * 32 + 1, 7)
    text[[10, end * 32]] = 0
    calibration, evaluation = cut_blocks(text, 32, 16, 30, end_id=0)
    assert len(calibration.tokens) == 16 and evaluation.n_units == len(evaluation.tokens) == 30
    text[32 * 32] = 0
    assert cut_blocks(text, 32, 16, 30, end_id=0)[1].tokens[0, 0] == 0  # a document that comes in time is waited for


@pytest.mark.parametrize("blocks", [6, 7, 11, 17])
def test_a_short_text_leaves_four_blocks_for_evaluation(blocks):
    for end in range(1, blocks):
        text = np.full(blocks * 8 + 1, 7)
        text[[3, end * 8]] = 0
        calibration, evaluation = cut_blocks(text, 8, 16, 4, end_id=0)
        assert len(calibration.tokens) >= 2 and len(evaluation.tokens) == 4


def test_bootstrap_is_paired_and_weighted():
    values, units = RNG.random((2, 60)), np.repeat(np.arange(6), [3, 17, 10, 10, 15, 5])
    values[1] = values[0] + 0.5
    sums, counts = unit_sums(values, units)
    np.testing.assert_allclose(sums.sum(axis=1) / counts.sum(), values.mean(axis=1))
    draws = resampled_means(sums, counts, 500)
    np.testing.assert_allclose(draws[1] - draws[0], 0.5)
    low, high = interval(draws[0])
    assert low < values[0].mean() < high
    assert np.isnan(interval(np.full(5, np.nan))[0])


def test_two_nn_measures_a_swiss_roll_as_two_dimensional():
    t, y = 1.5 * np.pi * (1 + 2 * RNG.random(3000)), 21 * RNG.random(3000)
    roll = np.stack([t * np.cos(t), y, t * np.sin(t)], axis=1)
    turned = np.hstack([roll, np.zeros((3000, 27))]) @ np.linalg.qr(RNG.standard_normal((30, 30)))[0]
    for estimator in ("censored", "regression"):
        assert two_nn(roll, estimator) == pytest.approx(2.0, abs=0.12)
        assert two_nn(turned, estimator) == pytest.approx(two_nn(roll, estimator), rel=1e-6)
    assert two_nn(roll, "trimmed") == pytest.approx(1.344 * two_nn(roll), rel=0.03)  # the bias of the trimmed estimate
    assert two_nn(roll, discard=0.0) == pytest.approx(2.0, abs=0.12)
    assert two_nn(np.repeat(roll, 2, axis=0)) == pytest.approx(two_nn(roll))  # repeated points count once
    assert np.isnan(two_nn(roll[:5]))
    with pytest.raises(ValueError, match="valid: censored"):
        two_nn(roll, "mle")


def test_the_censored_estimate_has_no_bias(monkeypatch):
    """Of few exponential values: the maximum-likelihood estimate would be 20 / 19 of the dimension."""
    drawn = np.exp(np.random.default_rng(0).exponential(1 / 3, (4000, 22)))
    draws = iter(drawn)
    monkeypatch.setattr(intrinsic, "neighbour_ratios", lambda points: next(draws))
    found = [two_nn(None) for _ in drawn]
    assert np.mean(found) == pytest.approx(3, abs=4 * np.std(found) / len(found) ** 0.5)
    assert np.mean(found) < 3 * 20 / 19 - 4 * np.std(found) / len(found) ** 0.5


def test_attention_measures_on_distributions_known_by_hand():
    reading = Reading(run_blocks(small_model(), RNG.integers(0, 50, (1, 8))).blocks[0])
    reading.probabilities = np.tril(np.ones((8, 8)))[None, None] / np.arange(1, 9)[:, None]
    reading.values = np.eye(8)[None, None]
    reading.star = np.zeros((1, 1, 8), int)
    found = attention_measures(reading)
    n = np.arange(2, 9)
    assert found["entropy"][0] == pytest.approx(np.log(n).mean())
    assert found["effective_temperature"][0] == pytest.approx(n.mean())
    assert found["purity"][0] == pytest.approx((1 / n).mean())  # n orthogonal directions, equally
    assert found["second_ratio"][0] == pytest.approx(1)
    assert found["star_distance"][0] == pytest.approx((n - 1).mean())
    assert second_ratio(np.array([0.1, 0.6, 0.3])) == pytest.approx(0.5)


def test_reading_without_the_norm_leaves_the_activations_alone():
    model = small_model()
    a = run_blocks(model, RNG.integers(0, 50, (2, 12))).blocks[1]
    a.residual_in *= 100  # scores grow with the stream where the norm is missing
    before = {name: getattr(a, name).copy() for name in ("qkv", "head_outputs", "log_sums", "residual_mid")}
    ratio, largest = without_norm(model, 1, a)
    assert largest.min() > 1000 and ratio.max() < 1e-3
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(a, name), array)


def test_overlap_of_random_subspaces_is_not_zero():
    """Seven of 64 random directions overlap by 0.28: an observed 0.284 would say nothing."""
    mean, spread = random_overlap(64, 7, samples=200)
    assert mean == pytest.approx(0.278, abs=0.01) and spread < 0.05
    frames = np.linalg.qr(RNG.standard_normal((2, 64, 7)))[0]
    found = pairwise_overlap(np.stack([frames[0], frames[0] @ np.linalg.qr(RNG.standard_normal((7, 7)))[0], frames[1]]))
    assert found[0, 1] == pytest.approx(1) and found[0, 2] == pytest.approx(mean, abs=4 * spread)
