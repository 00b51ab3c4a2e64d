"""The collapse map lands on the optimum by another factorization; instant reaches every architecture."""

import numpy as np
import pytest
from closed_form_problems import gap, noisy

from toylm.closed_form import ARCHITECTURES, Collapse, chebyshev_lobatto, instant, ipredict, make_estimator
from toylm.closed_form.collapse import COLLAPSIBLE, NewtonMap

SEED_KEYWORDS = {
    "lambda_reg": 1e-3,
    "length_scale": 1.5,
    "variance": 2.0,
    "hidden_units": 3,
    "activation": "tanh",
    "weight_scale": 1.0,
    "random_seed": 4,
    "whiten_eps": 1e-8,
    "fit_intercept": True,
}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_takes_every_keyword_of_the_seed(arch):
    X, Y = noisy(n=40, d=4, k=2)
    X_test = noisy(n=7, d=4, seed=1)[0]
    if arch == "barycentric_1d":
        X, X_test = chebyshev_lobatto(40), np.linspace(-1, 1, 7)
    predicted = instant(X, Y, X_test, arch=arch, **SEED_KEYWORDS)
    assert predicted.shape == ((7, 4) if "autoencoder" in arch else (7, 2)) and np.isfinite(predicted).all()
    assert np.array_equal(predicted, ipredict(X, Y, X_test, arch=arch, **SEED_KEYWORDS))
    if arch not in ("dict", "barycentric_1d", "autoencoder", "collapse:autoencoder"):
        assert instant(X, Y[:, 0], X_test, arch=arch).shape == (7,)
    if arch.startswith("collapse:"):
        closed = instant(X, Y, X_test, arch=arch.removeprefix("collapse:"), **SEED_KEYWORDS)
        assert gap(predicted, closed) < 1e-9


def test_unknown_arch_and_keyword():
    X, Y = noisy()
    with pytest.raises(ValueError, match="arch is 'rigde': unknown; did you mean 'ridge'"):
        instant(X, Y, X, arch="rigde")
    with pytest.raises(ValueError, match="arch is 'collapse:dict': unknown"):
        instant(X, Y, X, arch="collapse:dict")
    with pytest.raises(ValueError, match="no keyword 'lamda_reg'; did you mean 'lambda_reg'"):
        instant(X, Y, X, arch="ridge", lamda_reg=1.0)
    with pytest.raises(ValueError, match=r"lambda_reg is \[1.0, 2.0\]: it must be a finite number"):
        instant(X, Y, X, arch="collapse:ridge", lambda_reg=[1.0, 2.0])
    assert make_estimator("kernel_ridge", whiten_eps=1e-6).whiten == "features"
    assert make_estimator("kernel_ridge").whiten is None


@pytest.mark.parametrize("arch", COLLAPSIBLE)
def test_one_application_lands_the_second_moves_nothing(arch):
    X, Y = noisy(n=50, d=6, k=3)
    for start_seed in range(5):
        model = Collapse(arch, start_seed, {"hidden_units": 3} if arch == "autoencoder" else None).fit(X, Y)
        report = model.report_
        assert report.start_distance > 0.1  # it did not start at the answer
        assert report.proves, (start_seed, report)
        assert gap(model.predict(X), model.closed_form_.predict(X)) < 10 * report.bound
    assert model.predict(X).shape == model.closed_form_.predict(X).shape


@pytest.mark.parametrize("smallest", [0, -2, -4, -5])
def test_the_bound_follows_the_condition_number(smallest):
    """50 eps cond(X'X), and the two steps stay below it. How far below is the BLAS's affair."""
    for seed in range(3):
        X = np.random.default_rng(seed).standard_normal((80, 6)) * np.logspace(0, smallest, 6)
        report = Collapse("linear", start_seed=seed).fit(X, X @ np.ones(6)).report_
        assert report.condition == pytest.approx(np.linalg.cond(X - X.mean(axis=0)) ** 2, rel=1e-3)
        assert report.bound == pytest.approx(50 * np.finfo(float).eps * report.condition)
        assert report.proves, report


def test_rank_deficient_and_narrow():
    X, Y = noisy(n=50, d=5, k=3)
    doubled = np.hstack([X, X[:, :2]])
    with pytest.warns(UserWarning, match="rank 5 of 7"):
        assert Collapse("linear").fit(doubled, Y).report_.proves
    narrow = Collapse("deep_linear", parameters={"n_layers": 3, "widths": 2}).fit(X, Y)
    assert narrow.report_.proves and narrow.closed_form_.rank_ == 2


def test_newton_map_is_not_the_closed_form_in_disguise():
    A = np.array([[2.0, 1.0], [1.0, 3.0]])
    f = NewtonMap(A, np.array([[1.0], [2.0]]))
    theta = np.array([[10.0], [-7.0]])
    assert gap(theta + f(theta), [[0.2], [0.6]]) < 1e-14  # by hand: A^-1 (1, 2)' = (1, 3)' / 5
    assert gap(f(theta), np.array([[-9.8], [7.6]])) < 1e-15


def test_wrong_optimum_is_not_proved():
    X, Y = noisy(n=50, d=5)
    model = Collapse("ridge").fit(X, Y)
    model.closed_form_.weights_ = model.closed_form_.weights_ * (1 + 1e-9)
    from toylm.closed_form import collapse_of

    assert not collapse_of(model.closed_form_, X, Y)[1].proves
