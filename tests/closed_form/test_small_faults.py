"""Faults that were found by use: each of these failed before it was mended."""

import warnings

import numpy as np
import pytest

from toylm.closed_form import (
    ELM,
    GramAccumulator,
    KernelRidge,
    KernelRidgePath,
    LinearRegression,
    PathEdgeWarning,
    Ridge,
    RidgePath,
    Whitening,
)
from toylm.closed_form.deep_elm_sweep import curves


def problem(n=200, d=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]


class Named(np.ndarray):
    """Rows with names of columns, as a data frame has them."""

    @classmethod
    def of(cls, X, columns):
        named = X.view(cls)
        named.columns = columns
        return named


def test_an_accumulator_without_rows_has_no_moments():
    empty = GramAccumulator()
    for name in ("gram", "cross", "squares", "mean_x", "mean_y", "raw_gram", "raw_cross"):
        assert not hasattr(empty, name)
        with pytest.raises(ValueError, match="has no rows: add some first"):
            getattr(empty, name)
    assert hasattr(empty.add(np.ones((2, 3))), "gram")


@pytest.mark.parametrize("kind", ["features", "full", "zca"])
@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_a_constant_feature_is_only_centred(kind, noise):
    X, y = problem()
    column = 20.0 * (1 + noise * np.random.default_rng(1).standard_normal((200, 1)))
    X = np.hstack([X, column])
    moved = X + np.array([0, 0, 0, 0, 0, 1e-3])
    whitening = Whitening(kind).fit(X)
    assert np.abs(whitening.transform(moved) - whitening.transform(X)).max() < 1.1e-3
    elm = ELM(60, whiten=kind, lambda_reg=1e-3).fit(X, y)
    assert np.abs(elm.predict(moved) - elm.predict(X)).max() < 0.1
    kernel = KernelRidge(1e-3, length_scale=3.0, whiten=kind).fit(X, y)
    assert np.abs(kernel.predict(moved) - kernel.predict(X)).max() < 0.1


@pytest.mark.parametrize("kind", ["features", "full", "zca"])
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e9])
def test_scaling_all_of_x_changes_nothing_for_whitening(kind, scale):
    X, y = problem()
    X = np.hstack([X, np.full((200, 1), 3.0)])
    plain, scaled = Whitening(kind).fit_transform(X), Whitening(kind).fit_transform(scale * X)
    np.testing.assert_allclose(scaled, plain, atol=1e-9)
    errors = [ELM(60, whiten=kind, lambda_reg=1e-3).fit(s * X, y).score(s * X, y) for s in (1.0, scale)]
    assert errors[1] == pytest.approx(errors[0], abs=1e-6)


def test_a_large_mean_is_no_constant():
    X = 1e6 + np.random.default_rng(0).standard_normal((300, 2))
    assert np.allclose(Whitening().fit_transform(X).std(axis=0), 1)
    constant = np.full((300, 1), np.float32(20.1)) * (1 + np.float32(1e-7) * np.eye(1, 300).T.astype(np.float32))
    assert Whitening().fit(constant.astype(np.float32)).scale_[0] == 1


@pytest.mark.parametrize("estimator", [Ridge(), LinearRegression(), RidgePath()])
def test_blocks_forget_the_names_of_an_earlier_fit(estimator):
    X, y = problem(40)
    X = np.ascontiguousarray(X[:, :2])
    estimator.fit(Named.of(X, ["a", "b"]), y)
    assert estimator.feature_names_in_.tolist() == ["a", "b"]
    estimator.fit_blocks([(X, y)])
    assert not hasattr(estimator, "feature_names_in_")
    estimator.fit_blocks([(Named.of(X, ["c", "d"]), y)])
    assert estimator.feature_names_in_.tolist() == ["c", "d"]
    estimator.predict(Named.of(X, ["c", "d"]))


def test_a_best_lambda_at_the_end_of_a_given_path_is_said():
    X, y = problem(100)
    for lambdas, what in (([1e5, 1e6, 1e7], "smallest"), ([1e-9, 1e-8, 1e-7], "largest")):
        noisy = y if what == "smallest" else np.random.default_rng(2).standard_normal(100)
        with pytest.warns(PathEdgeWarning, match=f"best lambda is .* the {what} of the path"):
            RidgePath(lambdas).fit(X, noisy)
        with pytest.warns(PathEdgeWarning, match=f"best lambda is .* the {what} of the path"):
            RidgePath(lambdas, per_target=True).fit(X, np.column_stack([noisy, noisy]))
    with pytest.warns(PathEdgeWarning, match="best length scale is 100"):
        KernelRidgePath(length_scales=[100.0, 200.0, 300.0]).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RidgePath().fit(X, y)
        RidgePath([1.0]).fit(X, y)
        RidgePath([1.0, 1e9]).fit(X, y)


def test_moments_that_rounding_has_eaten_are_named():
    X, y = problem()
    gram = GramAccumulator().add(X, y)
    gram.gram = gram.gram - 1.5 * np.eye(5) * gram.gram.max()
    with pytest.raises(ValueError, match="no longer those of any rows.*rounding has eaten"):
        gram.solve()
    gram.gram[0, 0] = np.nan
    with pytest.raises(ValueError, match="the moments contain NaN or infinity"):
        gram.solve()


def test_the_plots_of_deep_elm_show_what_leave_one_out_chose():
    def row(depth, hidden, value, loo, test):
        return {"depth": depth, "hidden": hidden, "lambda": value, "loo_mse": loo, "test_mse": test}

    rows = [row(1, 8, 0.1, 1.0, 5.0), row(1, 8, 0.2, 2.0, 3.0), row(1, 16, 0.1, 4.0, 1.0), row(1, 16, 0.2, 3.0, 2.0)]
    found = curves(rows)
    assert found["hidden", "lambda"] == {1: [(8, 5.0), (16, 2.0)]}  # never 3 and 1, the least of the test
    assert found["lambda", "hidden"] == {1: [(0.1, 5.0), (0.2, 3.0)]}
