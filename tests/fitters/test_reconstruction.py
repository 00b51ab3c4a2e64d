"""Layer-wise reconstruction, collapse of blocks, low-rank corrections: exact where the maths says so."""

import numpy as np
import pytest
from small_fits import SHAPES, VOCABULARY, small_data, small_model, trained_model

from toylm.closed_form import GramAccumulator, solve_output_projection_from_attn
from toylm.errors import UsageError
from toylm.fitters import make_fitter
from toylm.fitters.lora import eckart_young
from toylm.fitters.own_gradient import TailLoss
from toylm.fitters.streams import Stream, batches_of
from toylm.fitters.surgery import copy_of, drop_blocks, untie
from toylm.formats.adapters import Adapter


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.fixture(scope="module")
def model(data):
    return trained_model(data, steps=60)


def logits(model, seed=0):
    return model.forward(np.random.default_rng(seed).integers(0, VOCABULARY, (3, 16)))


# -- surgery and streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_untying_and_copying_keep_every_logit(shape):
    model = small_model(**SHAPES[shape])
    before = logits(model)
    np.testing.assert_array_equal(logits(copy_of(model)), before)
    np.testing.assert_array_equal(logits(untie(model)), before)
    assert not model.config.tied


def test_the_stream_is_the_models(data, model):
    batches = batches_of(data, 300)
    stream = Stream(model, batches).advance(2)
    for b, (tokens, _) in enumerate(batches):
        model.forward(tokens)
        wanted = model.activations.blocks[2].residual_in.copy()
        np.testing.assert_allclose(stream.rows[b], wanted, rtol=1e-12)


# -- w_o, w_ff2, w_ff1 from a teacher ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("part,settings", [
    ("attention:1", {}), ("feed-forward:2", {}), ("feed-forward:0", {"matrices": "all"}), ("block:1", {}), ("all", {}),
])  # fmt: skip
def test_a_reset_matrix_comes_back_from_the_teachers_stream(data, shape, part, settings):
    model = small_model(**SHAPES[shape])
    before = logits(model)
    report = make_fitter(part, "ridge", reset=True, **settings).fit(model, data)
    np.testing.assert_allclose(logits(model), before, atol=1e-5)
    assert report.details["loss_of_the_whole_model"] == pytest.approx(report.loss_after, abs=1e-6)
    assert min(report.details["r2"].values()) > 1 - 1e-9


def test_w_o_is_the_closed_forms_solution(data, model):
    fitted = copy_of(model)
    teacher = trained_model(data, steps=40, d_ff=24)
    make_fitter("attention:1", "ridge", teacher=teacher, lambda_reg=1e-4).fit(fitted, data)
    batches = batches_of(data, 20_000)
    student, teaching = Stream(model, batches).advance(1), Stream(teacher, batches).advance(1)
    Z, H = [], []
    for b in range(len(batches)):
        rows, a = student.counted(b), student.run(b)
        Z.append(a.head_outputs[rows])
        H.append((teaching.run(b).residual_mid - a.residual_in)[rows])
    Z, H = np.vstack(Z), np.vstack(H)
    by_hand = solve_output_projection_from_attn(Z, H, lambda_reg=1e-4 * len(Z))
    np.testing.assert_allclose(fitted.parameters["blocks.1.w_o"].array, by_hand, atol=1e-9)


# -- from the model's own loss -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_tail_loss_and_its_gradient_are_the_models(data, shape):
    model = small_model(**SHAPES[shape])
    batches, names = batches_of(data, 200), ["blocks.1.w_o", "blocks.2.w_ff1"]
    loss, gradients = TailLoss(model, batches, names, 1).value_and_gradients()
    total = sum(int((y >= 0).sum()) for _, y in batches)
    model.gradients.zero_()
    whole = 0.0
    for x, y in batches:
        share = int((y >= 0).sum()) / total
        whole += share * model.loss_and_gradients(x, y, scale=share)
    assert loss == pytest.approx(whole, rel=1e-12)
    for name in names:
        np.testing.assert_allclose(gradients[name], model.gradients[name].array, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("part,settings", [("block:1", {}), ("feed-forward:1", {"matrices": "all"})])
def test_without_a_teacher_the_own_gradient_brings_much_back(data, model, part, settings):
    fitted = copy_of(model)
    report = make_fitter(part, "ridge", reset=True, targets="gradient", **settings).fit(fitted, data)
    curve = report.details["training_loss_curve"]
    assert all(b <= a for a, b in zip(curve, curve[1:])) and curve[-1] < curve[0]
    assert report.loss_after < report.loss_before
    moved = {name for name, mat in fitted.parameters.items() if (mat.array != model.parameters[name].array).any()}
    assert moved == set(report.changed)


# -- collapse ----------------------------------------------------------------------------------------------------------------


def silenced(model, *blocks):
    """A copy in which these blocks add nothing to the stream."""
    quiet = copy_of(model)
    for i in blocks:
        for role in ("w_o", "w_ff2", "b_o", "b_ff2"):
            if f"blocks.{i}.{role}" in quiet.parameters:
                quiet.parameters[f"blocks.{i}.{role}"].array[:] = 0
    return quiet


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["refit", "linear", "none"])
@pytest.mark.parametrize("part,blocks", [("block:1", (1,)), ("blocks:1-2", (1, 2)), ("block:2", (2,))])
def test_a_block_that_is_the_identity_goes_without_a_trace(data, shape, way, part, blocks):
    model = silenced(small_model(**SHAPES[shape]), *blocks)
    before = logits(model)
    report = make_fitter(part, "collapse", replacement=way, lambda_reg=1e-12).fit(model, data)
    assert model.config.n_layers == 3 - len(blocks)
    np.testing.assert_allclose(logits(model), before, atol=2e-4)
    assert report.loss_after == pytest.approx(report.loss_before, abs=1e-5)


def test_a_linear_block_folds_into_the_embedding_exactly(data):
    """Block 0 given as x -> x T by the teacher's stream: the linear replacement finds T, whatever T is."""

    model = small_model()
    T = np.random.default_rng(0).standard_normal((16, 16))
    batches = batches_of(data)
    student, teaching = Stream(model, batches), Stream(model, batches)
    mapped = [rows @ T for rows in teaching.rows]
    teaching.out = lambda b: mapped[b]
    E = model.parameters["token_embed"].array.copy()
    make_fitter("block:0", "collapse", replacement="linear", lambda_reg=1e-14)._fold_into_embedding(model, student, teaching, {})
    np.testing.assert_allclose(model.parameters["token_embed"].array, E @ T, atol=1e-6)


def test_more_freedom_fits_the_teacher_better(data, model):
    losses = {}
    for way, settings in {"none": {"replacement": "none"}, "linear": {"replacement": "linear", "repair": False},
                          "refit": {"repair": False}, "repair": {}, "head": {"head": True}}.items():  # fmt: skip
        fitted = copy_of(model)
        losses[way] = make_fitter("block:1", "collapse", **settings).fit(fitted, data).loss_after
        assert fitted.config.n_layers == 2 and fitted.generate([0], 5)
    assert min(losses["refit"], losses["repair"], losses["head"]) < losses["none"]


@pytest.mark.parametrize("numbers", [(0,), (0, 1), (0, 2)])
def test_the_first_blocks_go_into_the_embedding(data, model, numbers):
    fitted, dropped = copy_of(model), drop_blocks(copy_of(model), set(numbers))
    report = make_fitter(f"blocks:{','.join(map(str, numbers))}", "collapse").fit(fitted, data)
    assert fitted.config.n_layers == 3 - len(numbers) and "token_embed" in report.changed and not fitted.config.tied
    assert report.loss_after < data.evaluate(dropped).loss


def test_deep_linear_factors_are_balanced_and_full_rank_is_the_linear_map(data, model):
    a, b = copy_of(model), copy_of(model)
    make_fitter("block:1", "collapse", replacement="linear").fit(a, data)
    full = make_fitter("block:1", "deep-linear", depth=3).fit(b, data)
    np.testing.assert_allclose(logits(b), logits(a), atol=1e-6)
    low = make_fitter("block:1", "deep-linear", depth=3, rank=4).fit(copy_of(model), data)
    assert max(full.details["imbalance"], low.details["imbalance"]) < 1e-10
    assert full.details["excess_squared_error_a_row"] == 0 < low.details["excess_squared_error_a_row"]
    assert low.details["factor_parameters"] == 16 * 4 + 4 * 4 + 4 * 16


def test_a_low_rank_map_with_a_bias_is_the_best_about_the_mean(data):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6)) + 30 * rng.standard_normal(6)
    Y = X @ rng.standard_normal((6, 6)) + rng.standard_normal((400, 6)) + 5
    gram, fitter = GramAccumulator().add(X, Y), make_fitter("block:1", "deep-linear", rank=2, lambda_reg=0.0)
    T, details = fitter._factor(gram.solve(0.0), gram, True)

    def error(T):
        return float((((X - X.mean(axis=0)) @ T - (Y - Y.mean(axis=0))) ** 2).sum())

    full = gram.solve(0.0).coef
    s = np.linalg.svd((X - X.mean(axis=0)) @ full, compute_uv=False)
    assert np.linalg.matrix_rank(T) == 2
    assert error(T) - error(full) == pytest.approx((s[2:] ** 2).sum(), rel=1e-8)  # reduced-rank regression, no less
    assert details["excess_squared_error_a_row"] == pytest.approx((s[2:] ** 2).sum() / 400, rel=1e-8)


# -- low-rank corrections ----------------------------------------------------------------------------------------------------


def test_activation_aware_corrections_miss_less_of_the_data(data, model):
    teacher = trained_model(data, steps=60, seed=0, init="uniform")
    reports = {}
    for name in ("lora-svd", "lora-activation"):
        fitted = copy_of(model)
        reports[name] = make_fitter("blocks:0-1", name, teacher=teacher, rank=3).fit(fitted, data)
    missed = [reports[name].details["missed_on_data"] for name in ("lora-activation", "lora-svd")]
    assert all(missed[0][matrix] <= missed[1][matrix] + 1e-9 for matrix in missed[0])
    assert any(missed[0][matrix] < missed[1][matrix] - 1e-6 for matrix in missed[0])
    r = reports["lora-svd"]
    assert r.parameters == sum(3 * sum(model.parameters[name].shape) for name in r.changed) < r.details["values_of_the_matrices"]


def test_full_rank_corrections_reach_the_teacher(data, model):
    """Blocks before it equal, every matrix of a block goes to the teacher's own as the rank allows all of it."""
    teacher = copy_of(model)
    rng = np.random.default_rng(0)
    for role in ("w_qkv", "w_o", "w_ff1", "w_ff2"):
        mat = teacher.parameters[f"blocks.0.{role}"].array
        mat += 0.1 * rng.standard_normal((mat.shape[0], 2)) @ rng.standard_normal((2, mat.shape[1]))
    fitted = copy_of(model)
    report = make_fitter("attention:0", "lora-svd", teacher=teacher, rank=2, lambda_reg=1e-12).fit(fitted, data)
    np.testing.assert_allclose(
        fitted.parameters["blocks.0.w_qkv"].array, teacher.parameters["blocks.0.w_qkv"].array, atol=1e-6
    )
    assert report.details["eckart_young_error"]["blocks.0.w_qkv"] < 1e-5


def test_eckart_young_is_the_error_of_the_best_low_rank_matrix():
    D = np.random.default_rng(0).standard_normal((7, 5))
    U, s, Vt = np.linalg.svd(D)
    best = (U[:, :2] * s[:2]) @ Vt[:2]
    assert eckart_young(D, 2) == pytest.approx(np.linalg.norm(D - best) / np.linalg.norm(D), rel=1e-12)


def test_one_gradient_lowers_the_validation_loss(data):
    model = trained_model(data, steps=15)
    before = data.validation_loss(model, 8192)
    fitted = copy_of(model)
    fitter = make_fitter("all", "lora-gradient", rank=2)
    report = fitter.fit(fitted, data)
    assert report.details["length"] > 0
    assert data.validation_loss(fitted, 8192) < before
    for name, (A, B) in fitter.adapter.factors.items():
        change = fitted.parameters[name].array - model.parameters[name].array
        np.testing.assert_allclose(change, A.astype(np.float64) @ B, atol=1e-12)
        assert np.linalg.matrix_rank(change, tol=1e-7) <= 2


def test_adapters_are_merged_and_taken_out_again(tmp_path, model):
    rng = np.random.default_rng(0)
    adapter = Adapter({"blocks.1.w_o": (rng.standard_normal((16, 2)), rng.standard_normal((2, 16)))})
    adapter.save(tmp_path / "adapter", model.config)
    other, fitted = Adapter.load(tmp_path / "adapter", model.config), copy_of(model)
    other.merge(fitted)
    assert np.abs(fitted.parameters["blocks.1.w_o"].array - model.parameters["blocks.1.w_o"].array).max() > 0.1
    other.merge(fitted, -1)
    np.testing.assert_allclose(fitted.parameters.flat, model.parameters.flat, atol=1e-12)


# -- mistakes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part,name,settings,words", [
    ("block:0", "ridge", {"targets": "teacher"}, "targets of a teacher need one"),
    ("attention:0", "ridge", {"matrices": "all"}, "w_o alone"),
    ("block:0", "ridge", {"targets": "own"}, "targets is 'own'"),
    ("block:0", "collapse", {"replacement": "nothing"}, "replacement is 'nothing'"),
    ("blocks:0-2", "collapse", {}, "all 3 blocks"),
    ("block:0", "deep-linear", {"rank": 17}, "rank is 17"),
    ("block:0", "lora-svd", {}, "towards a teacher"),
    ("block:0", "lora-gradient", {"rank": 17}, "rank is 17; the smallest matrix"),
    ("block:0", "lora-gradient", {"rank": 0}, "rank is 0"),
    ("block:2", "ridge", {"teacher": "shallow"}, "the teacher has blocks 0 to 0 only"),
    ("block:0", "lora-svd", {"teacher": "shallow"}, "the model's own shape"),
])  # fmt: skip
def test_mistakes_get_a_sentence(data, part, name, settings, words):
    if settings.get("teacher") == "shallow":
        settings = settings | {"teacher": small_model(n_layers=1)}
    model = small_model()
    with pytest.raises(UsageError, match=words):
        make_fitter(part, name, **settings).fit(model, data)
    np.testing.assert_array_equal(logits(model), logits(small_model()))


def test_a_teacher_that_is_not_there_costs_the_model_nothing(data):
    model = small_model()
    with pytest.raises(FileNotFoundError, match="nosuch does not exist"):
        make_fitter("attention:1", "ridge", reset=True, teacher="nosuch").fit(model, data)
    np.testing.assert_array_equal(logits(model), logits(small_model()))
