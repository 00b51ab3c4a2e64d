"""What can stand in for a head's output: the k values it attends to most, a low-rank rest, a predicted rest.

Each is a function Reading -> (B, H, T, h) for `heads.Runner`.
"""

import numpy as np

from ..closed_form.ridge_path import RidgePath
from .decomposition import epsilon, split


class TopK:
    """The mean of the k values with the largest probabilities, weighted by them renormalised; k = 1 is V* itself."""

    def __init__(self, k):
        self.k = k

    def __call__(self, reading):
        if self.k == 1:
            return reading.v_star
        p = reading.probabilities
        if self.k >= p.shape[-1]:
            return Full()(reading)
        chosen = np.argpartition(p, -self.k, axis=-1)[..., -self.k :]
        kept = np.zeros_like(p)
        np.put_along_axis(kept, chosen, np.take_along_axis(p, chosen, axis=-1), axis=-1)
        return (kept @ reading.values) / kept.sum(axis=-1, keepdims=True)


class Full:
    """sum_j p_j V_j, computed here: equals the model's own attention up to rounding."""

    def __call__(self, reading):
        return reading.probabilities @ reading.values


class LowRank:
    """base + weight · (mean + P_r (eps - mean)) of a definition, in the first `rank` directions of a Basis."""

    def __init__(self, definition, basis, rank):
        self.definition, self.rank = definition, rank
        self.projection = basis.projection(rank)
        self.mean = basis.mean

    def __call__(self, reading):
        base, rest, weight = split(reading, self.definition)
        projection = self.projection.astype(rest.dtype)
        if self.mean is None:
            return base + rest @ projection
        offset = weight * self.mean.astype(rest.dtype)[:, None, :]
        return base + offset + (rest - offset) @ projection


class Predicted:
    """base + weight · (a + V* B): epsilon predicted from V* by one ridge regression a head."""

    def __init__(self, definition, coefficients, intercepts):
        self.definition, self.coefficients, self.intercepts = definition, coefficients, intercepts

    def __call__(self, reading):
        base, _, weight = split(reading, self.definition)
        dtype = base.dtype
        predicted = reading.v_star @ self.coefficients.astype(dtype) + self.intercepts.astype(dtype)[:, None, :]
        return base + weight * predicted


def fit_predictor(readings, definition, max_rows=4096, seed=0):
    """Predicted, fitted in closed form on calibration readings of one block, and its explained share of eps.

    Ridge with lambda by exact leave-one-out, one regression a head. Returns (Predicted, R² (H,)): 1 - the
    left-out squared error / that of predicting the mean.
    """
    rng = np.random.default_rng(seed)
    found = [(r.v_star, *epsilon(r, definition)) for r in readings]
    heads, h = found[0][0].shape[1], found[0][0].shape[-1]
    coefficients, intercepts, explained = np.zeros((heads, h, h)), np.zeros((heads, h)), np.zeros(heads)
    for n in range(heads):
        usable = np.concatenate([u[:, n].ravel() for _, _, u in found])
        X = np.concatenate([v[:, n].reshape(-1, h) for v, _, _ in found])[usable].astype(np.float64)
        Y = np.concatenate([e[:, n].reshape(-1, h) for _, e, _ in found])[usable].astype(np.float64)
        if len(X) > max_rows:
            chosen = np.sort(rng.choice(len(X), max_rows, replace=False))
            X, Y = X[chosen], Y[chosen]
        variance = ((Y - Y.mean(axis=0)) ** 2).mean() if len(Y) else 0.0
        if len(X) <= h + 1 or variance == 0:
            continue
        path = RidgePath().fit(X, Y)
        coefficients[n], intercepts[n] = path.weights_, path.intercept_
        explained[n] = 1 - path.best_score_ / variance
    return Predicted(definition, coefficients, intercepts), explained
