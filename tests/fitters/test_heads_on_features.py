"""Heads on frozen features: what is written into the model is what was fitted, and cross-entropy pays."""

import numpy as np
import pytest
from small_fits import SHAPES, VOCABULARY, small_data, trained_model

from toylm.errors import UsageError
from toylm.fitters import make_fitter
from toylm.fitters.activations import head_features
from toylm.fitters.probabilities import best_beta, best_floor, clipped_loss, softmax_loss
from toylm.fitters.surgery import copy_of
from toylm.fitters.token_gram import TokenGram


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.fixture(scope="module")
def model(data):
    return trained_model(data, steps=60)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cross_entropy_head_from_zero_is_better_than_ridge(data, shape):
    model = trained_model(data, steps=40, **SHAPES[shape])
    other = copy_of(model)
    report = make_fitter("head", "cross-entropy", start="zero", l2=1e-4).fit(model, data)
    ridge = make_fitter("head", "ridge").fit(other, data)
    clipped = ridge.details["held_out_loss_of_clipped_scores"]
    assert report.loss_after < min(ridge.loss_after, clipped) - 0.01
    assert not model.config.tied and report.changed[0] == "unembed"
    assert ridge.loss_after == pytest.approx(ridge.details["held_out_loss_of_softmax"], rel=1e-6)


def test_the_head_goes_to_the_minimum_on_the_models_own_features(data, model):
    fitted = copy_of(model)
    report = make_fitter("head", "cross-entropy", validate=False, iterations=400, tolerance=1e-12, l2=1e-2).fit(fitted, data)
    assert report.details["gradient"] <= 1e-8
    X, y = head_features(fitted, data.batches())
    W, start = fitted.parameters["unembed"].array, model.parameters["token_embed"].array
    z = X @ W.T
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    assert np.abs(p.T @ X / len(y) + 1e-2 * (W - start)).max() <= 1e-8
    np.testing.assert_array_equal(fitted.parameters["token_embed"].array, start)  # the features' embedding stays


def test_validation_text_never_lets_the_head_get_worse_there(data, model):
    fitted = copy_of(model)
    before = data.validation_loss(model)
    make_fitter("head", "cross-entropy").fit(fitted, data)
    assert data.validation_loss(fitted) <= before + 1e-12


def test_bohning_head_lowers_the_training_loss_step_by_step(data, model):
    report = make_fitter("head", "bohning", iterations=5).fit(copy_of(model), data)
    curve = report.details["objective_curve"]
    assert all(b <= a for a, b in zip(curve, curve[1:]))


def test_ridge_head_is_ridge_on_one_hot_targets(data, model):
    X, y = head_features(model, data.batches())
    Y = np.eye(VOCABULARY)[y]
    W, _, _ = TokenGram(X.shape[1], VOCABULARY).add(X, y).solve(1e-3)
    by_hand = np.linalg.solve(X.T @ X / len(X) + 1e-3 * np.eye(X.shape[1]), X.T @ Y / len(X))
    np.testing.assert_allclose(W.T, by_hand, rtol=1e-9, atol=1e-12)
    fitted = copy_of(model)
    report = make_fitter("head", "ridge", lambda_reg=1e-3).fit(fitted, data)
    np.testing.assert_allclose(fitted.parameters["unembed"].array, report.details["beta"] * W, rtol=1e-12)


def test_fitting_a_ridge_head_reads_no_held_out_text(model):
    data = small_data()
    data.held_out_batches = lambda: pytest.fail("held-out text was read")  # its time would be that of fitting
    make_fitter("head", "ridge")._fit(copy_of(model), data, None)


def test_the_temperature_and_the_floor_are_the_best(data, model):
    X, y = head_features(model, data.batches())
    W, _, _ = TokenGram(X.shape[1], VOCABULARY).add(X, y).solve(1e-4)
    scores = X @ W.T
    beta = best_beta(scores, y)
    assert all(softmax_loss(scores, y, beta) <= softmax_loss(scores, y, beta * f) + 1e-6 for f in (0.5, 0.9, 1.1, 2))
    p = np.maximum(scores, best_floor(scores, y))
    p /= p.sum(axis=1, keepdims=True)
    assert clipped_loss(scores, y, best_floor(scores, y)) == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean(), rel=1e-12)


@pytest.mark.parametrize("name,settings", [
    ("kernel-ridge", {"landmarks": 60}), ("elm", {"hidden_units": 64}), ("deep-elm", {"hidden_units": 48, "depth": 2}),
])  # fmt: skip
def test_heads_that_are_no_matrix_leave_the_model_alone(data, model, name, settings):
    fitted = copy_of(model)
    report = make_fitter("head", name, **settings).fit(fitted, data)
    np.testing.assert_array_equal(fitted.parameters.flat, model.parameters.flat)
    assert not report.model_changed and report.changed == () and report.parameters > 0
    assert np.isfinite(report.loss_after) and report.loss_after < np.log(VOCABULARY)
    smaller = min(report.details["held_out_loss_of_softmax"], report.details["held_out_loss_of_clipped_scores"])
    assert report.loss_after >= smaller  # which of the two is taken, validation text says


def test_nystroem_with_every_row_a_landmark_is_kernel_ridge(data, model):
    from toylm.closed_form import KernelRidge

    X, y = head_features(model, data.batches(160))
    head = make_fitter("head", "kernel-ridge", landmarks=1000, length_scale=4.0)
    phi, details, _ = head._features(X, data)
    assert details["exact"]
    W, _, _ = TokenGram(len(X), VOCABULARY).add(phi(X), y).solve(1e-3)
    exact = KernelRidge(lambda_reg=1e-3 * len(X), length_scale=4.0).fit(X, np.eye(VOCABULARY)[y])
    unseen, _ = head_features(model, data.validation_batches())
    np.testing.assert_allclose(phi(unseen) @ W.T, exact.predict(unseen), atol=1e-6)


def test_settings_that_do_not_fit_together(data, model):
    with pytest.raises(UsageError, match="elm has no setting depth"):
        make_fitter("head", "elm", depth=3)
    with pytest.raises(UsageError, match="start is 'here'"):
        make_fitter("head", "cross-entropy", start="here")
    with pytest.raises(UsageError, match="landmarks is 0"):
        make_fitter("head", "kernel-ridge", landmarks=0)
