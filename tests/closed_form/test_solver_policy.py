"""Which solver answers, how accurately, and what it says about itself."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from closed_form_problems import gap, noisy

from toylm.closed_form import ArraySource, LinearRegression, RankWarning, Ridge, StreamSource, least_squares
from toylm.closed_form.bench import exact_least_squares, ill_conditioned
from toylm.closed_form.gram import GramAccumulator
from toylm.closed_form.row_sources import centred_rows, moments, sketch
from toylm.closed_form.solvers import precondition, tsqr


def hilbert(d, rows=40):
    return 1.0 / (np.arange(rows)[:, None] + np.arange(d) + 1)


@pytest.mark.parametrize("d", [4, 6, 8, 10, 11])
def test_hilbert_within_ten_times_householder_qr(d):
    X = hilbert(d)  # condition 2e3 to 9e11
    y = X @ np.random.default_rng(d).standard_normal(d) + 1e-3 * np.random.default_rng(1).standard_normal(40)
    truth = exact_least_squares(X, y, Fraction)
    Q, R = np.linalg.qr(X)
    by_qr = gap(np.linalg.solve(R, Q.T @ y), truth)
    rounding = 2.2e-16 * np.linalg.cond(X)  # QR is sometimes lucky; its own bound is this
    for solver in ("auto", "cholesky_qr", "tsqr"):
        found = least_squares(ArraySource(X, y[:, None]), 0.0, False, solver)
        assert gap(found.coef[:, 0], truth) <= 10 * max(by_qr, rounding), solver
    if d >= 8:  # plain Cholesky loses everything here
        assert least_squares(ArraySource(X, y[:, None]), 0.0, False).solver != "cholesky"


def test_policy_names_the_solver():
    X, Y = noisy(n=100, d=6)
    assert LinearRegression().fit(X, Y).solver_ == "cholesky"
    assert 1e-3 < LinearRegression().fit(X, Y).rcond_ <= 1
    assert LinearRegression(fit_intercept=False).fit(hilbert(8), Y[:40]).solver_ == "tsqr"
    assert Ridge(1.0).fit(X[:4], Y[:4]).solver_ == "dual_cholesky"
    assert Ridge(np.array([1.0, 2.0])).fit(X, Y).solver_ == "eigh"
    with pytest.warns(RankWarning, match="rank 3 of 6"):
        assert LinearRegression().fit(X[:4], Y[:4]).solver_ == "svd"


def test_condition_estimate_is_of_the_right_size():
    X = noisy(n=200, d=8)[0] @ np.diag(np.logspace(0, -3, 8))  # bad scaling alone must not lower it
    assert Ridge(0.0).fit(X, X[:, 0]).rcond_ > 1e-2
    X, y, _ = ill_conditioned(500, 10, 1e4)
    true = 1e-8
    assert true / 100 < least_squares(ArraySource(X, y[:, None]), 0.0, False).rcond < 100 * true


@pytest.mark.parametrize("lambda_reg", [0.0, 1e-6])
@pytest.mark.parametrize("solver", ["auto", "cholesky", "cholesky_qr", "tsqr", "svd"])
def test_solvers_agree_where_all_can(solver, lambda_reg):
    X, Y = noisy(n=300, d=7, k=3)
    X = X + 5.0
    found = least_squares(ArraySource(X, Y), lambda_reg, True, solver)
    rows = np.vstack([X - X.mean(axis=0), np.sqrt(lambda_reg) * np.eye(7)])
    expected = np.linalg.lstsq(rows, np.vstack([Y - Y.mean(axis=0), np.zeros((7, 3))]), rcond=None)[0]
    assert gap(found.coef, expected) < 1e-12
    assert gap(found.intercept, Y.mean(axis=0) - X.mean(axis=0) @ expected) < 1e-11
    blocks = [(X[i : i + 40], Y[i : i + 40]) for i in range(0, 300, 40)]
    assert gap(least_squares(StreamSource(blocks), lambda_reg, True, solver).coef, expected) < 1e-12


def test_ridge_of_an_ill_conditioned_system():
    X = hilbert(10)
    y = X.sum(axis=1)[:, None]
    lambda_reg = 1e-18  # far below what X'X can show
    rows = np.vstack([X, np.sqrt(lambda_reg) * np.eye(10)])
    truth = exact_least_squares(rows, np.r_[y[:, 0], np.zeros(10)], Fraction)
    for solver in ("auto", "cholesky_qr", "tsqr"):
        found = least_squares(ArraySource(X, y), lambda_reg, False, solver)
        assert gap(found.coef[:, 0], truth) < 1e-5, solver


def test_singular_gives_minimum_norm_and_names_the_rank():
    X, Y = noisy(n=50, d=5)
    X = np.hstack([X, X[:, :2], np.ones((50, 1))])  # 5 + two copies + a constant: rank 5 of 8 once centred
    with pytest.warns(RankWarning, match="rank 5 of 8"):
        model = LinearRegression().fit(X, Y)
    expected = np.linalg.pinv(X - X.mean(axis=0)) @ (Y - Y.mean(axis=0))
    assert gap(model.weights_, expected) < 1e-12 and model.rank_ == 5 and model.solver_ == "svd"
    with pytest.warns(RankWarning, match="rank 5 of 8"):
        assert gap(Ridge(0.0).fit(X, Y).weights_, expected) < 1e-12
    with pytest.warns(RankWarning, match="rank"):
        assert gap(GramAccumulator().add(X, Y).solve(0.0).coef, expected) < 1e-10
    with pytest.raises(ValueError, match="full column rank"):
        least_squares(ArraySource(X, Y), 0.0, True, "cholesky_qr")
    indicators = np.eye(40)[np.r_[np.arange(40), np.arange(60) % 20]]  # they sum to 1: centred, one too many
    for scale in (1.0, 1e3):
        with pytest.raises(ValueError, match="full column rank"):
            LinearRegression(solver="cholesky_qr").fit(scale * indicators, np.arange(100.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Ridge(1e-6).fit(X, Y)  # a penalty makes it unique: no warning


def test_kernel_passes_equal_numpy_twins():
    rng = np.random.default_rng(0)
    for n, d, k in ((1, 1, 0), (97, 3, 2), (1001, 17, 9), (333, 50, 40), (5003, 31, 1)):
        for dtype in (np.float64, np.float32):
            X = rng.standard_normal((n, d)).astype(dtype)
            Y, shift_x, shift_y = rng.standard_normal((n, k)), rng.standard_normal(d), rng.standard_normal(k)
            R = np.triu(rng.standard_normal((d, d))) + 4 * np.eye(d)
            for factor in (None, R):
                fast = moments(X, Y, shift_x, shift_y, factor, kernel=True)
                slow = moments(X, Y, shift_x, shift_y, factor, kernel=False)
                for a, b in zip(fast, slow):
                    assert a.shape == b.shape
                    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * n)
    strided = np.asfortranarray(X)
    for a, b in zip(moments(strided, Y, shift_x, shift_y, kernel=True), moments(X, Y, shift_x, shift_y, kernel=False)):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("shape", [(20_000, 60), (1000, 1200)])
@pytest.mark.parametrize("bad, kind", [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_large_input_with_one_bad_value_is_named(shape, bad, kind):
    X, y = np.random.default_rng(0).standard_normal(shape), np.ones(shape[0])
    X[77, 5] = bad
    for solver in ("auto", "tsqr", "svd"):
        for fit_intercept in (True, False):
            with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=f"{kind}.*row 77, column 5"):
                LinearRegression(fit_intercept, solver).fit(X, y)


def test_kernel_parts_are_added_in_one_order():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20000, 20)), rng.standard_normal((20000, 1))
    first = moments(X, Y, np.zeros(20), np.zeros(1), kernel=True)
    for _ in range(5):  # threads take parts as they come free; the sum must not depend on which took which
        for a, b in zip(moments(X, Y, np.zeros(20), np.zeros(1), kernel=True), first):
            np.testing.assert_array_equal(a, b)


def test_kernel_centres_a_large_mean_without_losing_digits():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((3000, 9)) + 1e8, rng.standard_normal((3000, 2)) - 1e8
    shift_x, shift_y = X[0], Y[0]  # exact differences: float64 steps at 1e8 are 1.5e-8
    exact = moments((X - shift_x), Y - shift_y, np.zeros(9), np.zeros(2), kernel=False)
    for a, b in zip(moments(X, Y, shift_x, shift_y, kernel=True), exact):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-9)


def test_one_blas_thread_inside_and_as_many_as_before_afterwards():
    import threadpoolctl

    from toylm.threads import one_blas_thread, set_threads

    set_threads(None)
    blas = lambda: [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]  # noqa: E731
    before = blas()
    with one_blas_thread():
        assert set(blas()) == {1}
    assert blas() == before


def test_sketch_embeds_and_splits():
    X = np.random.default_rng(0).standard_normal((3000, 20)) * np.logspace(0, -6, 20)
    S, in_blocks = np.zeros((2, 160, 20))
    sketch(X, np.zeros(20), S)
    R = np.linalg.qr(S, mode="r")
    assert np.linalg.cond(X @ np.linalg.inv(R)) < 4
    sketch(X[:1000], np.zeros(20), in_blocks)
    sketch(X[1000:], np.zeros(20), in_blocks, offset=1000)
    np.testing.assert_allclose(in_blocks, S, atol=1e-12)


@pytest.mark.parametrize("use_sketch", [False, True])
def test_preconditioner_makes_columns_orthonormal(use_sketch):
    X, y, _ = ill_conditioned(2000, 12, 1e12)
    X[:3] *= 1e-5  # rows of very different size
    gram = GramAccumulator().add(X, y)
    R, G, _, _ = precondition(ArraySource(X, y[:, None]), gram, 0.0, False, use_sketch=use_sketch)
    Q = centred_rows(X, 0.0, R)
    assert np.linalg.cond(Q) < 12 and gap(Q @ R, X) < 1e-14
    np.testing.assert_allclose(G, Q.T @ Q, atol=1e-10)


def test_tsqr_in_blocks_is_qr():
    X, Y = noisy(n=500, d=6, k=2)
    blocks = StreamSource([(X[i : i + 70], Y[i : i + 70]) for i in range(0, 500, 70)])
    R, C = tsqr(blocks, np.zeros(6), np.zeros(2), rows=50)
    np.testing.assert_allclose(R.T @ R, X.T @ X, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(np.linalg.solve(R, C), np.linalg.lstsq(X, Y, rcond=None)[0], rtol=1e-10)


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e7])
def test_a_large_mean_costs_no_digits(offset):
    rng = np.random.default_rng(3)
    X = rng.integers(-64, 65, size=(3000, 6)) / 64 + offset  # exact in float64 with every offset
    y = (X - offset) @ np.arange(1.0, 7.0) + rng.standard_normal(3000)
    order = np.argsort(X[:, 0])  # sorted: the first rows are no sample of the rest
    shuffled, centred = Ridge(1.0).fit(X[order], y[order]), Ridge(1.0).fit(X - offset, y)
    assert gap(shuffled.coef_, centred.coef_) < 1e-11
    partial = Ridge(1.0)
    for i in range(0, 3000, 500):
        partial.partial_fit(X[order][i : i + 500], y[order][i : i + 500])
    assert gap(partial.coef_, centred.coef_) < 1e-10


def test_bad_input():
    X, Y = noisy()
    for make in (LinearRegression, Ridge):
        for value, word in ((np.nan, "NaN"), (np.inf, "infinity")):
            bad = X.copy()
            bad[7, 3] = value
            with pytest.raises(ValueError, match=f"{word} .first at row 7, column 3"):
                make().fit(bad, Y)
            with pytest.raises(ValueError, match=f"y contains {word}"):
                make().fit(X, np.where(np.arange(60) == 5, value, Y[:, 0]))
        with pytest.raises(ValueError, match="60 rows, y has 59"):
            make().fit(X, Y[:59])
        with pytest.raises(ValueError, match="not fitted"):
            make().predict(X)
        with pytest.raises(ValueError, match="4 features, but .* expecting 5"):
            make().fit(X, Y).predict(X[:, :4])
    with pytest.raises(ValueError, match="lambda_reg is -1"):
        Ridge(-1).fit(X, Y)
    with pytest.raises(ValueError, match="lambda_reg is nan"):
        Ridge(float("nan")).fit(X, Y)
    with pytest.raises(ValueError, match="3 values for 2 targets"):
        Ridge([1, 2, 3]).fit(X, Y)
    with pytest.raises(ValueError, match="choose one of 'auto'"):
        Ridge(solver="lu").fit(X, Y)


def test_nan_in_large_input_is_found_by_the_gram_matrix():
    X = np.random.default_rng(0).standard_normal((100_001, 10))
    X[77_777, 4] = np.nan
    with pytest.raises(ValueError, match="NaN .first at row 77777, column 4"):
        Ridge().fit(X, X[:, 0])
    X[77_777, 4] = 1e200
    with pytest.raises(ValueError, match="overflows"):
        Ridge().fit(X, X[:, 0])
