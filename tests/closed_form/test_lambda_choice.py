"""Leave-one-out and GCV against refitting, paths, streams, and the kernel's length scale."""

import numpy as np
import pytest
from closed_form_problems import gap, noisy, refit_without_each_row

from toylm.closed_form import KernelRidge, KernelRidgePath, Ridge, RidgePath, loo_residuals
from toylm.closed_form import ridge_path as module
from toylm.closed_form.bench import ill_conditioned

# The paths here are given on purpose, also where the best value is their end.
pytestmark = pytest.mark.filterwarnings("ignore::toylm.closed_form.PathEdgeWarning")
LAMBDAS = 10.0 ** -np.arange(0, 15)


@pytest.mark.parametrize("shape", [(40, 7), (20, 40), (25, 24)])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_against_brute_force_down_to_1e14(shape, fit_intercept):
    X, Y = noisy(*shape, k=2, seed=4)
    for lambda_reg in LAMBDAS:
        brute = refit_without_each_row(X, Y, lambda_reg, fit_intercept)
        formula = loo_residuals(X, Y, lambda_reg, fit_intercept)
        assert np.abs(formula - brute).max() / np.abs(brute).max() < 1e-11, lambda_reg
    scores = RidgePath(LAMBDAS, fit_intercept=fit_intercept).fit(X, Y).scores_
    np.testing.assert_allclose(scores[-1], (brute**2).mean(axis=0), rtol=1e-11)


def categories(scale):
    """40 categories as indicators, about half of them of one row."""
    rng = np.random.default_rng(0)
    X = np.eye(40)[np.r_[np.arange(40), rng.integers(0, 20, 60)]]
    return scale * X, rng.standard_normal((100, 2))


def one_row_indicator(scale):
    """A feature that is 0 in all rows but one, beside five others."""
    X, Y = noisy()
    return scale * np.hstack([X, np.eye(60)[:, 7:8]]), Y


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("problem", [categories, one_row_indicator])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_rows_that_no_other_row_explains(problem, scale, fit_intercept, monkeypatch):
    X, Y = problem(scale)
    lambdas = [0.0, 1e-14, 1e-10, 1e-6, 1e-2, 1.0, 1e2, 1e6]
    memory = RidgePath(lambdas, fit_intercept=fit_intercept).fit(X, Y)
    blocks = [(X[i : i + 17], Y[i : i + 17]) for i in range(0, len(X), 17)]
    stream = RidgePath(lambdas, fit_intercept=fit_intercept).fit_blocks(blocks)
    monkeypatch.setattr(module, "_FUSED_WORK", 0)
    fused = RidgePath(lambdas, fit_intercept=fit_intercept).fit(X, Y)
    for i, lambda_reg in enumerate(lambdas):
        brute = refit_without_each_row(X, Y, lambda_reg, fit_intercept)
        assert gap(loo_residuals(X, Y, lambda_reg, fit_intercept), brute) < 1e-13, lambda_reg
        for path in (memory, stream, fused):
            np.testing.assert_allclose(path.scores_[i], (brute**2).mean(axis=0), rtol=1e-13)


def test_streams_of_features_of_different_scale():
    X, Y = noisy(n=200, d=6)
    X = X * np.array([1e-4, 1, 1e3, 1, 1e-4, 1])
    memory, stream = RidgePath().fit(X, Y), RidgePath().fit_blocks([(X[:90], Y[:90]), (X[90:], Y[90:])])
    assert stream.solver_ == "cholesky"
    np.testing.assert_allclose(stream.scores_, memory.scores_, rtol=1e-11)
    assert gap(stream.weights_, memory.weights_) < 1e-9


def test_minimum_norm_is_left_out_too():
    X, Y = noisy(n=20, d=40)
    brute = refit_without_each_row(X, Y, 0.0, True)
    path = RidgePath([0.0]).fit(X, Y)
    assert path.best_score_ == pytest.approx((brute**2).mean(), rel=1e-11)
    assert np.isfinite(RidgePath([0.0], criterion="gcv").fit(X, Y).best_score_)


def test_gcv_is_its_definition():
    X, Y = noisy(n=50, d=6)
    model = RidgePath(LAMBDAS[:6], criterion="gcv").fit(X, Y)
    centred = X - X.mean(axis=0)
    for i, lambda_reg in enumerate(LAMBDAS[:6]):
        H = centred @ np.linalg.solve(centred.T @ centred + lambda_reg * np.eye(6), centred.T) + 1 / 50
        residual = Y - H @ Y
        expected = 50 * (residual**2).sum(axis=0) / (50 - np.trace(H)) ** 2
        np.testing.assert_allclose(model.scores_[i], expected, rtol=1e-11)


def test_chosen_model_is_ridge_with_that_lambda():
    X, Y = noisy(n=80, d=10, k=3, noise=3.0)
    shared = RidgePath().fit(X, Y)
    assert gap(shared.weights_, Ridge(shared.lambda_).fit(X, Y).weights_) < 1e-11
    assert shared.best_score_ == shared.scores_.mean(axis=1).min() and len(shared.lambdas_) == 60
    by_target = RidgePath(per_target=True).fit(X, Y)
    assert by_target.lambda_.shape == (3,)
    assert gap(by_target.weights_, Ridge(by_target.lambda_).fit(X, Y).weights_) < 1e-11
    for t in range(3):
        alone = RidgePath(by_target.lambdas_).fit(X, Y[:, t])
        assert alone.lambda_ == by_target.lambda_[t] and alone.predict(X).shape == (80,)
    path = shared.coef_path([0.1, 10.0])
    assert gap(path[1], Ridge(10.0).fit(X, Y).weights_) < 1e-12


@pytest.mark.parametrize("condition", [3.0, 1e5])
def test_streamed_equals_in_memory(condition):
    X, y, _ = ill_conditioned(700, 8, condition)
    Y = np.stack([y, y**2], axis=1) + 0.1 * np.random.default_rng(0).standard_normal((700, 2))
    lambdas = np.logspace(-12, 0, 13)
    memory = RidgePath(lambdas, per_target=True).fit(X, Y)
    stream = RidgePath(lambdas, per_target=True).fit_blocks(lambda: ((X[i : i + 64], Y[i : i + 64]) for i in range(0, 700, 64)))
    assert memory.solver_ == "svd" and stream.solver_ == ("eigh" if condition < 10 else "cholesky_qr")
    np.testing.assert_allclose(stream.scores_, memory.scores_, rtol=1e-10)
    assert gap(stream.weights_, memory.weights_) < 1e-9


def test_streamed_and_rank_deficient():
    X, Y = noisy(n=300, d=6)
    X = np.hstack([X, X[:, :1] - X[:, 1:2]])
    lambdas = np.logspace(-3, 2, 6)
    memory = RidgePath(lambdas).fit(X, Y)
    stream = RidgePath(lambdas).fit_blocks([(X[:100], Y[:100]), (X[100:], Y[100:])])
    assert (memory.solver_, stream.solver_) == ("svd", "tsqr") and memory.rank_ == stream.rank_ == 6
    np.testing.assert_allclose(stream.scores_, memory.scores_, rtol=1e-10)
    assert gap(stream.weights_, memory.weights_) < 1e-11


@pytest.mark.parametrize("rows", [600, 20_000])
def test_fused_errors_equal_plain_ones(rows, monkeypatch):
    X, Y = noisy(n=rows, d=5, k=7)
    X = X * np.logspace(0, -3, 5)
    X[0] *= 30  # one row of high leverage among many of low
    lambdas = np.logspace(-8, 6, 40)
    plain = RidgePath(lambdas).fit(X, Y).scores_
    some = [0, 13, 39]
    slow = np.stack([(loo_residuals(X, Y, value) ** 2).mean(axis=0) for value in lambdas[some]])
    np.testing.assert_allclose(plain[some], slow, rtol=1e-12)
    monkeypatch.setattr(module, "_FUSED_WORK", 0)
    np.testing.assert_allclose(RidgePath(lambdas).fit(X, Y).scores_, plain, rtol=1e-11)


def test_kernel_leave_one_out_is_brute_force():
    X, Y = noisy(n=30, d=3, k=2)
    scales, lambdas = [0.5, 1.0, 3.0], np.array([1e-6, 1e-3, 1.0])
    model = KernelRidgePath(lambdas, scales).fit(X, Y)
    for i, scale in enumerate(scales):
        for j, lambda_reg in enumerate(lambdas):
            errors = [
                KernelRidge(lambda_reg, length_scale=scale).fit(np.delete(X, r, 0), np.delete(Y, r, 0)).predict(X[r : r + 1])[0]
                - Y[r]
                for r in range(30)
            ]
            np.testing.assert_allclose(model.scores_[i, j], (np.array(errors) ** 2).mean(axis=0), rtol=1e-8)
    chosen = KernelRidge(model.lambda_, length_scale=model.length_scale_).fit(X, Y)
    assert gap(model.predict(X), chosen.predict(X)) < 1e-9
    assert model.best_score_ == model.scores_.mean(axis=2).min()


def test_kernel_path_finds_a_sensible_scale():
    rng = np.random.default_rng(0)
    X = rng.uniform(-3, 3, (150, 1))
    y = np.sin(2 * X[:, 0]) + 0.05 * rng.standard_normal(150)
    model = KernelRidgePath().fit(X[:100], y[:100])
    assert ((model.predict(X[100:]) - y[100:]) ** 2).mean() < 0.006
    with pytest.raises(ValueError, match="at least 2 rows"):
        KernelRidgePath().fit(X[:1], y[:1])


def test_bad_input():
    X, Y = noisy()
    with pytest.raises(ValueError, match="lambdas is -1"):
        RidgePath([1.0, -1.0]).fit(X, Y)
    with pytest.raises(ValueError, match="lambdas is empty"):
        RidgePath([]).fit(X, Y)
    with pytest.raises(ValueError, match="criterion is 'aic'"):
        RidgePath(criterion="aic").fit(X, Y)
    with pytest.raises(ValueError, match="at least 2 rows"):
        RidgePath().fit(X[:1], Y[:1])
    with pytest.raises(ValueError, match="at least 2 rows"):
        loo_residuals(X[:1], Y[:1], 1.0)
