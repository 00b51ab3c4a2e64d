"""Intrinsic dimension by TwoNN (Facco, d'Errico, Rodriguez & Laio 2017), without the bias of trimming.

On a d-dimensional manifold mu, the distance to the second neighbour over that to the first, has log mu ~ Exp(d). The largest
mu come from places where the sampling is too sparse, so a share of them is usually discarded. Dividing the kept count by the
kept sum then overestimates d, by 1.344 where a tenth is cut; the estimators here know what was cut.
"""

import numpy as np

from ..errors import UsageError

ESTIMATORS = ("censored", "regression", "trimmed")


def two_nn(points, estimator="censored", discard=0.1):
    """Intrinsic dimension of points (n, D), a float; NaN with fewer than 20 distinct points.

    estimator: "censored" (default), the maximum-likelihood estimate that knows the discarded values only as larger than the
    largest of the m kept ones, m / (sum of the kept log mu + (n - m) · the largest kept), times (m - 1) / m, which makes it
    unbiased (the denominator is gamma-distributed); "regression", the slope of -log(1 - F) on log mu through the origin (the
    paper's); "trimmed", m / (sum of the kept), the biased one, for comparison.
    discard: share of the largest mu. Repeated points count once: their distance 0 says nothing about the dimension.
    """
    mu = neighbour_ratios(points)
    n = len(mu)
    if n < 20:
        return float("nan")
    if not 0 <= discard < 1:
        raise UsageError(f"discard is {discard}; it must be at least 0 and below 1")
    log_mu = np.sort(np.log(mu))
    kept = max(2, round(n * (1 - discard)))
    x = log_mu[:kept]
    if estimator == "censored":
        return float((kept - 1) / (x.sum() + (n - kept) * x[-1]))
    if estimator == "trimmed":
        return float(kept / x.sum())
    if estimator == "regression":
        # The last point has F = 1 where nothing is discarded: the plotting position i / (n + 1) keeps it finite.
        y = -np.log1p(-np.arange(1, kept + 1) / (n + 1))
        return float((x @ y) / (x @ x))
    raise UsageError(f"estimator is {estimator!r}; valid: {', '.join(ESTIMATORS)}")


def neighbour_ratios(points):
    """mu = second over first neighbour distance of every distinct point of points (n, D); Euclidean, exact."""
    points = np.unique(np.asarray(points, np.float64), axis=0)
    if len(points) < 3:
        return np.zeros(0)
    points = points - points.mean(axis=0)
    if points.shape[1] <= 12:
        from scipy.spatial import cKDTree

        distances = cKDTree(points).query(points, k=3)[0]
        first, second = distances[:, 1], distances[:, 2]
    else:
        first, second = _two_nearest(points)
    return (second / first)[first > 0]


def _two_nearest(points, rows=512):
    squares = np.einsum("ij,ij->i", points, points)
    first, second = np.empty(len(points)), np.empty(len(points))
    for start in range(0, len(points), rows):
        stop = min(start + rows, len(points))
        distances = squares[start:stop, None] - 2 * points[start:stop] @ points.T + squares
        distances[np.arange(stop - start), np.arange(start, stop)] = np.inf
        nearest = np.argpartition(distances, 1, axis=1)[:, :2]
        # The product form cancels where points are close: the two that count are measured again.
        exact = np.linalg.norm(points[start:stop, None] - points[nearest], axis=2)
        exact.sort(axis=1)
        first[start:stop], second[start:stop] = exact.T
    return first, second
