"""Softmax regression: the minimum against scikit-learn, its gradient, the two ways to it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from toylm.fitters.softmax_regression import SoftmaxRegression, bohning_step, minimise

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))

from make_softmax_regression import L2, logistic_regression, problem  # noqa: E402


def probabilities(X, W):
    z = X @ W.T
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def fitted(X, y, classes, l2=L2, **settings):
    objective = SoftmaxRegression(X, y, classes, l2)
    return objective, *minimise(objective, np.zeros((classes, X.shape[1])), 300, 1e-12, **settings)


def test_it_equals_the_golden_numbers_of_logistic_regression():
    X, y = problem()
    golden = json.loads((GOLDEN / "softmax_regression.json").read_text(encoding="utf-8"))
    objective, W, _ = fitted(X, y, 5)
    np.testing.assert_allclose(probabilities(X, W)[:8], golden["rows"], atol=1e-5)
    assert objective.data_loss(W) == pytest.approx(golden["loss"], abs=1e-6)


@pytest.mark.parity
@pytest.mark.parametrize("seed,classes", [(1, 3), (2, 7)])
def test_it_equals_logistic_regression(seed, classes):
    X, y = problem(classes=classes, seed=seed)
    for l2 in (1e-3, 1e-1):
        _, W, _ = fitted(X, y, classes, l2)
        np.testing.assert_allclose(probabilities(X, W), logistic_regression(X, y, l2), atol=1e-5)


def test_the_gradient_is_that_of_finite_differences():
    X, y = problem(n=60)
    rng = np.random.default_rng(0)
    centre, W = rng.standard_normal((2, 5, 6))
    offset = rng.standard_normal((60, 5))

    def add(start, stop, logits):
        logits += offset[start:stop]

    objective = SoftmaxRegression(X, y, 5, 0.3, centre, add)
    value, gradient = objective.value_and_gradient(W)
    z = X @ W.T + offset
    by_hand = np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(60), y]) + 0.15 * ((W - centre) ** 2).sum()
    assert value == pytest.approx(by_hand, rel=1e-12)
    for index in [(0, 0), (2, 3), (4, 5)]:
        step = np.zeros_like(W)
        step[index] = 1e-5
        difference = (objective.value_and_gradient(W + step)[0] - objective.value_and_gradient(W - step)[0]) / 2e-5
        assert gradient[index] == pytest.approx(difference, rel=1e-6, abs=1e-9)


def test_at_the_minimum_the_gradient_is_zero():
    X, y = problem()
    _, _, details = fitted(X, y, 5)
    assert details["gradient"] <= 1e-8
    assert details["stopped"] in ("converged", "precision")


def test_preconditioning_makes_a_few_passes_enough():
    from scipy.optimize import minimize

    X, y = problem(n=2000, d=12, classes=8, seed=5)
    X = X * np.geomspace(1, 300, 12)
    objective, _, _ = fitted(X, y, 8)
    reached = objective.value_and_gradient(minimise(objective, np.zeros((8, 12)), 12)[0])[0]

    def plain(u):
        value, gradient = objective.value_and_gradient(u.reshape(8, 12))
        return value, gradient.reshape(-1)

    without = minimize(plain, np.zeros(96), jac=True, method="L-BFGS-B", options={"maxiter": 12}).fun
    best = objective.value_and_gradient(fitted(X, y, 8)[1])[0]
    assert reached - best < 0.2 * (without - best)


@pytest.mark.parametrize("seed", range(50))
def test_bohnings_step_never_raises_the_loss(seed):
    rng = np.random.default_rng(seed)
    d, classes, n = int(rng.integers(1, 8)), int(rng.integers(2, 9)), int(rng.integers(20, 80))
    X = rng.standard_normal((n, d)) * np.exp(rng.standard_normal(d))
    y = rng.integers(0, classes, n)
    objective = SoftmaxRegression(X, y, classes, l2=float(rng.choice([1e-3, 1e-1])))
    W, factor, values = rng.standard_normal((classes, d)), None, []
    for _ in range(8):
        W, value, factor = bohning_step(objective, W, factor)
        values.append(value)
    assert all(b <= a + 1e-12 * abs(a) for a, b in zip(values, values[1:]))


def test_bohning_and_lbfgs_find_the_same_minimum():
    X, y = problem(n=200)
    objective, W, _ = fitted(X, y, 5, l2=0.1)
    other, factor = np.zeros_like(W), None
    for _ in range(300):
        other, _, factor = bohning_step(objective, other, factor)
    np.testing.assert_allclose(other, W, atol=1e-6)


def test_validation_rows_decide_when_to_stop():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 20)), rng.integers(0, 6, 60)  # nothing to learn: the training rows alone are fitted
    validation = SoftmaxRegression(rng.standard_normal((200, 20)), rng.integers(0, 6, 200), 6)
    W, details = minimise(SoftmaxRegression(X, y, 6), np.zeros((6, 20)), 50, validation=validation, patience=2)
    assert details["stopped"] == "validation"
    assert validation.data_loss(W) == min(details["validation_curve"]) <= details["validation_curve"][0]


def test_float32_features_give_the_same_head():
    X, y = problem()
    _, W, _ = fitted(X, y, 5)
    _, W32, _ = fitted(X.astype(np.float32), y, 5)
    np.testing.assert_allclose(W32, W, atol=2e-3)


@pytest.mark.parametrize("X,y,settings,words", [
    (np.zeros((3, 2)), np.zeros(4, int), {}, "one target a row"),
    (np.zeros((0, 2)), np.zeros(0, int), {}, "no rows"),
    (np.zeros((3, 2)), np.zeros(3, int), {"l2": -1}, "l2 is -1"),
    (np.zeros((3, 2)), np.array([0, 1, 2]), {}, "target id 2 is out of range; ids go to 1"),
])  # fmt: skip
def test_bad_input_is_named(X, y, settings, words):
    with pytest.raises(ValueError, match=words):
        SoftmaxRegression(X, y, 2, **settings)
