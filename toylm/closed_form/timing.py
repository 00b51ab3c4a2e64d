"""Closed form against gradient descent on the same ridge problem: seconds, and how much worse descent still is."""

import time

import numpy as np

from .linear import Ridge


def gradient_descent(X, Y, lambda_reg, steps, rate):
    """`steps` full-gradient steps on ||X W - Y||^2 / 2 + lambda ||W||^2 / 2 from zero, at a fixed rate."""
    W = np.zeros((X.shape[1], Y.shape[1]))
    for _ in range(steps):
        W -= rate * (X.T @ (X @ W - Y) + lambda_reg * W)
    return W


def timing_table(n=20000, d=64, k=8, lambda_reg=1e-3, steps=(10, 50, 500), decay=1.0, seed=0, repeats=3):
    """Rows (name, seconds, relative gap): the closed form, then gradient descent at its optimal fixed rate.

    The features have standard deviations from 1 down to 10^-decay, as real features have. The rate is
    2 / (largest + smallest eigenvalue of X'X + lambda I), the best a fixed rate can be; finding it is not counted.
    gap = (objective of descent - objective of the closed form) / objective of the closed form.
    Seconds are medians; the sides take turns.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.logspace(0, -decay, d)
    Y = X @ rng.standard_normal((d, k)) + 0.1 * rng.standard_normal((n, k))
    values = np.linalg.eigvalsh(X.T @ X) + lambda_reg
    rate = 2 / (values[-1] + values[0])

    def closed_form():
        return Ridge(lambda_reg, fit_intercept=False).fit(X, Y).weights_

    def objective(W):
        return ((X @ W - Y) ** 2).sum() + lambda_reg * (W**2).sum()

    sides = {"closed form": closed_form}
    for count in steps:
        sides[f"gradient descent, {count} steps"] = lambda count=count: gradient_descent(X, Y, lambda_reg, count, rate)
    closed_form()
    seconds, weights = {name: [] for name in sides}, {}
    for _ in range(repeats):
        for name, side in sides.items():
            start = time.perf_counter()
            weights[name] = side()
            seconds[name].append(time.perf_counter() - start)
    best = objective(weights["closed form"])
    return [(name, float(np.median(seconds[name])), float(objective(weights[name]) / best - 1)) for name in sides]


def format_timing(rows):
    """The table as text."""
    base = rows[0][1]
    lines = [f"{'':<28}{'seconds':>10}{'x closed form':>15}{'relative gap':>14}"]
    lines += [f"{name:<28}{seconds:>10.4f}{seconds / base:>15.1f}{gap:>14.2e}" for name, seconds, gap in rows]
    return "\n".join(lines)
