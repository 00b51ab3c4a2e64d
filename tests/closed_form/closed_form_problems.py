"""Problems that several tests use."""

import numpy as np


def noisy(n=60, d=5, k=2, seed=0, noise=0.3):
    """X (n, d), Y (n, k): a linear map, a bend, and noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, X @ rng.standard_normal((d, k)) + 0.5 * X[:, :1] ** 2 + noise * rng.standard_normal((n, k))


def gap(a, b):
    """Relative distance of two arrays."""
    return np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b)


def refit_without_each_row(X, y, lambda_reg, fit_intercept):
    """Leave-one-out residuals the slow way: n ridge fits, each by an SVD of the rows that are left."""
    errors = np.empty_like(y)
    for i in range(len(X)):
        keep = np.arange(len(X)) != i
        mean_x = X[keep].mean(axis=0) if fit_intercept else 0.0
        mean_y = y[keep].mean(axis=0) if fit_intercept else 0.0
        U, s, Vt = np.linalg.svd(X[keep] - mean_x, full_matrices=False)
        use = s > 1e-13 * s[0]
        coef = Vt[use].T @ ((s[use] / (s[use] ** 2 + lambda_reg))[:, None] * (U[:, use].T @ (y[keep] - mean_y)))
        errors[i] = y[i] - (X[i] - mean_x) @ coef - mean_y
    return errors
