"""Deep ELM over depths, widths and lambdas on a smooth nonlinear function: errors in training, left out, and in the test."""

import time

import numpy as np

from .elm import DeepELM
from .estimator import r2
from .kernel_ridge import KernelRidgePath
from .ridge_path import RidgePath, loo_residuals


def make_data(n_train, n_test, d, seed):
    """X_train, y_train, X_test, y_test: y = sum of sines, a product and a bump of random projections, noise 0.1."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_train + n_test, d))
    directions = rng.standard_normal((d, 4)) / np.sqrt(d)
    P = X @ directions
    clean = np.sin(2 * P[:, 0]) + P[:, 1] * P[:, 2] + np.exp(-(P[:, 3] ** 2))
    y = clean + 0.1 * rng.standard_normal(len(X))
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


def sweep(data, depths, widths, lambdas, activation, seed):
    """One dict a setting (depth, hidden, lambda, train_mse, loo_mse, test_mse, test_r2, seconds, solver), and the peers' test MSE.

    loo_mse leaves rows out of the head's fit, which is all that is fitted but for the features' means and scales.
    """
    X, y, X_test, y_test = data
    rows = []
    for depth in depths:
        for hidden in widths:
            for value in lambdas:
                model = DeepELM(
                    hidden, depth=depth, lambda_reg=value, activation=activation, random_seed=seed, fit_intercept=True
                )
                start = time.perf_counter()
                model.fit(X, y)
                seconds = time.perf_counter() - start
                predicted = model.predict(X_test)
                rows.append(
                    {
                        "depth": depth,
                        "hidden": hidden,
                        "lambda": value,
                        "train_mse": float(((model.predict(X) - y) ** 2).mean()),
                        "loo_mse": float((loo_residuals(model.features(X), y, value) ** 2).mean()),
                        "test_mse": float(((predicted - y_test) ** 2).mean()),
                        "test_r2": r2(y_test, predicted),
                        "seconds": seconds,
                        "solver": model.solver_,
                    }
                )
    peers = {}
    for name, peer in (
        ("ridge (lambda by leave-one-out)", RidgePath()),
        ("kernel ridge (by leave-one-out)", KernelRidgePath()),
    ):
        peers[name] = float(((peer.fit(X, y).predict(X_test) - y_test) ** 2).mean())
    return rows, peers


def chosen(rows, **fields):
    """Of the rows with these fields the one with the least error left out: the test rows choose nothing that they then measure."""
    return min((row for row in rows if all(row[k] == v for k, v in fields.items())), key=lambda row: row["loo_mse"])


def curves(rows):
    """{(what the x axis is, what was chosen by leave-one-out): {depth: [(x, test error)]}} of a sweep's rows."""
    found = {}
    for axis, other in (("hidden", "lambda"), ("lambda", "hidden")):
        found[axis, other] = {
            depth: [
                (value, chosen(rows, depth=depth, **{axis: value})["test_mse"]) for value in sorted({row[axis] for row in rows})
            ]
            for depth in sorted({row["depth"] for row in rows})
        }
    return found
