"""Polynomial interpolation in one variable by the barycentric formula."""

import numpy as np

from ..checks import check_count
from ..errors import UsageError
from .estimator import Regressor, as_targets, check_finite, not_fitted


def chebyshev_lobatto(count, low=-1.0, high=1.0):
    """`count` Chebyshev-Lobatto nodes from low to high: the best general-purpose places to sample a smooth function."""
    n = check_count(count, "count", 2) - 1
    # The sine form is symmetric about zero to the last bit; the cosine form is not.
    unit = np.sin(np.pi * np.arange(-n, n + 1, 2) / (2 * n))
    nodes = 0.5 * (low + high) + 0.5 * (high - low) * unit
    nodes[0], nodes[-1] = low, high
    return nodes


def barycentric_weights(nodes):
    """w_j = 1 / prod_k (x_j - x_k), scaled so that the largest is 1; in closed form for Chebyshev-Lobatto nodes.

    The product is taken in mantissas and exponents, so that thousands of nodes neither overflow nor underflow.
    Raises ValueError for NaN, infinity, fewer than two nodes, duplicate nodes.
    """
    nodes = _one_dimension(nodes)
    n = len(nodes)
    if n < 2:
        raise UsageError(f"interpolation needs at least 2 nodes, got {n}")
    order = np.argsort(nodes, kind="stable")
    same = np.flatnonzero(np.diff(nodes[order]) == 0)
    if len(same):
        i, j = sorted(order[same[0] : same[0] + 2])
        raise UsageError(f"nodes {i} and {j} are both {float(nodes[i])!r}: no polynomial passes through two values; drop one")
    low, high = nodes[order[0]], nodes[order[-1]]
    if np.abs(nodes[order] - chebyshev_lobatto(n, low, high)).max() <= 4e-16 * max(abs(low), abs(high)):
        weights = np.where(np.arange(n) % 2, -1.0, 1.0)
        weights[[0, -1]] *= 0.5
        out = np.empty(n)
        out[order] = weights
        return out
    mantissa, exponent = np.ones(n), np.zeros(n)
    for k in range(n):
        difference = nodes - nodes[k]
        difference[k] = 1.0
        m, e = np.frexp(difference)
        mantissa, carry = np.frexp(mantissa * m)
        exponent += e + carry
    # Weights below 2^-1074 of the largest become zero: their nodes then count only when hit exactly.
    with np.errstate(under="ignore"):
        weights = np.ldexp(1 / mantissa, np.clip(exponent.min() - exponent, -2000, 0).astype(np.int64))
    return weights / np.abs(weights).max()


class Barycentric1D(Regressor):
    """The polynomial of degree n - 1 through n points, p(x) = sum_j w_j y_j / (x - x_j) / sum_j w_j / (x - x_j).

    Formula: w_j as in `barycentric_weights`; at a node the stored y_j itself. Source: J.-P. Berrut, L. N. Trefethen,
    Barycentric Lagrange interpolation (2004).
    Cost: fit n^2 (n at Chebyshev-Lobatto nodes, which are recognised), a prediction n for each point, in blocks of points;
    memory 8 n (2 + k) bytes kept.
    Fails: at equidistant nodes any polynomial of high degree swings wildly between them (Runge; the Lebesgue constant grows
    as 2^n / n): use `chebyshev_lobatto` nodes. Outside the nodes it extrapolates, which is worse.
    Raises ValueError for NaN, infinity, fewer than two nodes, duplicate nodes, more than one feature.

    Attributes: nodes_ (n,), values_ (n, k), barycentric_weights_ (n,).
    """

    def __init__(self):
        pass

    def fit(self, X, y):
        """X (n,) or (n, 1), y (n,) or (n, k)."""
        nodes = _one_dimension(X)
        y = as_targets(y, len(nodes))
        self.barycentric_weights_ = barycentric_weights(nodes)
        self._one_target = y.ndim == 1
        self.nodes_, self.values_ = nodes, y.reshape(len(y), -1).copy()
        self.n_features_in_ = 1
        return self

    def predict(self, X):
        """p(x), (n,) or (n, k) like the y of fit."""
        if not self.__sklearn_is_fitted__():
            raise not_fitted(self)
        x = _one_dimension(X)
        out = np.empty((len(x), self.values_.shape[1]))
        step = max(1, 1_000_000 // len(self.nodes_))
        for i in range(0, len(x), step):
            difference = x[i : i + step, None] - self.nodes_
            row, hit = np.nonzero(difference == 0)
            difference[row, hit] = 1.0
            # Scaled down where a point is so near to a node that the quotient would overflow.
            next_to = np.abs(difference).min(axis=1, keepdims=True) < 1e-100
            ratio = self.barycentric_weights_ * np.where(next_to, 1e-200, 1.0) / difference
            ratio[row] = 1.0  # a node itself: its value comes below, and no sum is zero
            out[i : i + step] = (ratio @ self.values_) / ratio.sum(axis=1)[:, None]
            out[i + row] = self.values_[hit]
        return self._shape_like_y(out)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
        return tags


def _one_dimension(X):
    x = np.asarray(X)
    if np.iscomplexobj(x):
        raise UsageError("Complex data not supported: nodes must be real")
    x = x.astype(np.float64)
    if x.ndim == 2 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 1:
        raise UsageError(f"Barycentric1D takes one feature, X of shape (n,) or (n, 1), not {x.shape}")
    check_finite(x, "X")
    return x
