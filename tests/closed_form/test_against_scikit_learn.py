"""scikit-learn's answers: stored ones always, live ones and its own estimator checks where it is installed."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from closed_form_problems import gap, noisy

from toylm import closed_form as cf

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
from make_golden import problem  # noqa: E402

sys.path.remove(str(GOLDEN))


@pytest.fixture(scope="module")
def golden():
    return json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))


def test_linear_and_ridge(golden):
    X, Y, X_test = problem()
    assert gap(cf.LinearRegression().fit(X, Y).predict(X_test), golden["linear"]) < 1e-12
    wide, wide_Y, wide_test = problem(n=10, d=20, seed=1)
    with pytest.warns(cf.RankWarning, match="rank 9 of 20"):
        assert gap(cf.LinearRegression().fit(wide, wide_Y).predict(wide_test), golden["linear_wide"]) < 1e-12
    for value in (1e-3, 1.0, 100.0):
        assert gap(cf.Ridge(value).fit(X, Y).predict(X_test), golden[f"ridge_{value:g}"]) < 1e-12
        plain = cf.Ridge(value, fit_intercept=False).fit(X, Y)
        assert gap(plain.predict(X_test), golden[f"ridge_no_intercept_{value:g}"]) < 1e-12
        dual = cf.Ridge(value).fit(wide, wide_Y)
        assert dual.solver_ == "dual_cholesky" and gap(dual.predict(wide_test), golden[f"ridge_wide_{value:g}"]) < 1e-11


def test_kernels(golden):
    X, Y, X_test = problem()
    for kernel in ("rbf", "laplacian", "polynomial", "linear"):
        model = cf.KernelRidge(0.1, kernel=kernel, length_scale=1.5).fit(X, Y)
        assert gap(model.predict(X_test), golden[f"kernel_{kernel}"]) < 1e-10, kernel
        scaled = cf.KernelRidge(0.3, kernel=kernel, length_scale=1.5, variance=3.0).fit(X, Y)  # alpha = lambda / variance
        assert gap(scaled.predict(X_test), golden[f"kernel_{kernel}"]) < 1e-10, kernel
    for nu in (0.5, 1.5, 2.5, 0.8):
        K = cf.kernel_matrix(X[:5], X_test, "matern", length_scale=1.5, nu=nu)
        np.testing.assert_allclose(K, golden[f"matern_{nu:g}"], rtol=1e-11)
    np.testing.assert_allclose(np.diag(cf.kernel_matrix(X, kernel="matern", nu=0.8)), 1.0)


@pytest.mark.filterwarnings("ignore::toylm.closed_form.PathEdgeWarning")
def test_leave_one_out_path(golden):
    X, Y, _ = problem()
    model = cf.RidgePath(np.logspace(-4, 3, 8)).fit(X, Y)
    assert model.lambda_ == pytest.approx(golden["ridge_cv_alpha"])
    np.testing.assert_allclose(model.scores_, golden["ridge_cv_scores"], rtol=1e-11)


def test_principal_components(golden):
    X, _, X_test = problem()
    model = cf.LinearAutoencoder(3).fit(X)
    np.testing.assert_allclose(model.components_, golden["pca_components"], atol=1e-12)
    np.testing.assert_allclose(model.explained_variance_, golden["pca_variance"], rtol=1e-12)
    np.testing.assert_allclose(model.transform(X_test), golden["pca_code"], atol=1e-12)


ESTIMATORS = (
    cf.LinearRegression,
    cf.Ridge,
    cf.RidgePath,
    cf.KernelRidge,
    cf.KernelRidgePath,
    cf.ELM,
    cf.DeepELM,
    cf.LinearAutoencoder,
    cf.DeepLinear,
    cf.DictionaryModel,
    cf.Whitening,
)


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_conventions_without_scikit_learn(kind):
    first = kind()
    params = first.get_params()
    assert kind(**params).get_params() == params and repr(first) == f"{kind.__name__}()"
    assert first.set_params(**params) is first
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        first.set_params(nonsense=1)
    X, Y = noisy(n=30, d=3, k=2)
    assert first.fit(X, Y) is first and first.n_features_in_ == 3
    assert first.get_params() == params
    if hasattr(first, "predict"):
        assert first.predict(X).shape == (30, 3 if kind is cf.LinearAutoencoder else 2)
        if kind is not cf.LinearAutoencoder:
            assert kind().fit(X, Y[:, 0]).predict(X).shape == (30,) and first.score(X, Y) <= 1.0


def test_score_is_r2():
    X, Y = noisy(n=50)
    model = cf.Ridge().fit(X, Y)
    residual = ((Y - model.predict(X)) ** 2).sum(axis=0)
    assert model.score(X, Y) == pytest.approx(np.mean(1 - residual / ((Y - Y.mean(axis=0)) ** 2).sum(axis=0)))
    assert cf.Ridge().fit(X, np.ones(50)).score(X, np.ones(50)) == 1.0
    for y, message in ((Y[:5], "X has 50 rows, y has 5"), (Y[:, 0], r"shape \(50,\), predictions have \(50, 2\)")):
        with pytest.raises(ValueError, match=message):
            model.score(X, y)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(49,\)"):
        model.score(X, Y, np.ones(49))


@pytest.mark.parametrize(
    "model, fails",
    [
        (cf.LinearRegression(), {"solver": "cholesky"}),
        (cf.RidgePath(), {"lambdas": [-1.0]}),
        (cf.KernelRidge(kernel="polynomial"), {"coef0": -1.0}),
        (cf.LinearAutoencoder(), {"hidden_units": 9}),
        (cf.DictionaryModel(), {"conflict": "raise"}),
        (cf.Collapse(), {"parameters": {"lambda_reg": [1.0, 2.0]}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fit_that_fails_leaves_the_model_as_it_was(model, fails):
    X, Y = noisy(n=30, d=3)
    singular = np.repeat(X[:15, :1], 2, axis=0) * [1.0, 1.0]
    bad = type(model)(**{**model.get_params(), **fails})
    with pytest.raises(ValueError):
        bad.fit(singular, Y)
    with pytest.raises(ValueError, match="not fitted"):
        bad.predict(singular)
    before, settings = model.fit(X, Y).predict(X), model.get_params()
    with pytest.raises(ValueError):
        model.set_params(**fails).fit(singular, Y)
    assert np.array_equal(model.set_params(**settings).predict(X), before)


@pytest.mark.parity
@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(kind):
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    estimator = kind(length_scales=[1.0, 3.0]) if kind is cf.KernelRidgePath else kind()
    results = checks.check_estimator(estimator, on_fail=None, on_skip=None)
    failed = [f"{r['check_name']}: {r['exception']}" for r in results if r["status"] == "failed"]
    assert not failed and len(results) > 40


@pytest.mark.parity
def test_live_parity_on_larger_problems():
    linear = pytest.importorskip("sklearn.linear_model")
    from sklearn.decomposition import PCA
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    X, Y = noisy(n=2000, d=30, k=3)
    X += 10
    for value in (1e-6, 1.0, 1e4):
        assert gap(cf.Ridge(value).fit(X, Y).coef_, linear.Ridge(value, solver="svd").fit(X, Y).coef_) < 1e-10
    assert gap(cf.LinearRegression().fit(X, Y).coef_, linear.LinearRegression().fit(X, Y).coef_) < 1e-10
    ours = cf.KernelRidge(1e-2, length_scale=3.0).fit(X[:300], Y[:300])
    theirs = KernelRidge(alpha=1e-2, kernel="rbf", gamma=1 / 18).fit(X[:300], Y[:300])
    assert gap(ours.dual_coef_, theirs.dual_coef_) < 1e-10
    cv = linear.RidgeCV(np.logspace(-3, 3, 7), alpha_per_target=True).fit(X, Y)
    path = cf.RidgePath(np.logspace(-3, 3, 7), per_target=True).fit(X, Y)
    np.testing.assert_allclose(path.lambda_, cv.alpha_)
    assert gap(path.coef_, cv.coef_) < 1e-10
    assert gap(cf.LinearAutoencoder(5).fit(X).transform(X), PCA(5, svd_solver="full").fit(X).transform(X)) < 1e-10
    pipeline = make_pipeline(cf.Whitening("full"), cf.Ridge())
    search = GridSearchCV(pipeline, {"ridge__lambda_reg": [1e-3, 1.0]}, cv=3).fit(X, Y)
    assert search.best_score_ > 0.5


@pytest.mark.parity
def test_elm_with_the_same_weights_as_a_reference():
    linear = pytest.importorskip("sklearn.linear_model")
    X, Y = noisy(n=400, d=6, k=2)
    for activation, function in (("tanh", np.tanh), ("relu", lambda z: np.maximum(z, 0))):
        model = cf.ELM(60, activation=activation, random_seed=3, lambda_reg=1e-2, whiten=None).fit(X, Y)
        H = function(X @ model.hidden_weights_[0] + model.hidden_biases_[0])
        head = linear.Ridge(1e-2, fit_intercept=False, solver="svd").fit(H, Y)
        assert gap(model.predict(X), head.predict(H)) < 1e-10


def test_no_scikit_learn_is_loaded_by_itself():
    import subprocess

    code = (
        "import sys, toylm.closed_form as c\n"
        "heavy = {'scipy', 'numba', 'sklearn', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from toylm.closed_form import instant, ipredict\n"
        "instant([[0.], [1.], [3.]], [1., 2., 4.], [[2.]], arch='ridge')\n"
        "assert not {'sklearn', 'numba'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_feature_names_of_data_frames_are_kept():
    class Frame:
        columns = ["a", "b"]

        def __array__(self, dtype=None, copy=None):
            return np.array([[1.0, 2.0], [3.0, 5.0], [6.0, 4.0]])

    model = cf.Ridge().fit(Frame(), [1.0, 2.0, 3.0])
    assert list(model.feature_names_in_) == ["a", "b"]
    other = Frame()
    other.columns = ["b", "a"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(Frame())
