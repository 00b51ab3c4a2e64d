"""From the scores of a least-squares head to probabilities: a temperature, or a floor and a sum, chosen on validation text.

One-hot least squares estimates p(v | x) itself, with noise and below zero in places, not log p. Two ways to a distribution:

    softmax(beta · scores)                             what a model's output matrix can say; beta is written into the matrix
    max(scores, floor) / sum of these                  what the scores mean; no matrix says that

Neither repairs that the fit looked at squared error: a cross-entropy head on the same features is better by tenths of a nat.
"""

import numpy as np

from ..kernels.cross_entropy import cross_entropy_forward

FLOORS = np.geomspace(1e-6, 1e-2, 9)
_ROWS = 4096


def softmax_loss(scores, y, beta):
    """Mean nats of targets y (n,) under softmax(beta · scores), scores (n, V)."""
    losses = np.empty(len(y))
    cross_entropy_forward(np.ascontiguousarray(scores * scores.dtype.type(beta)), np.ascontiguousarray(y, np.int64), losses)
    return float(losses.mean())


def clipped_loss(scores, y, floor):
    """Mean nats of targets y under max(scores, floor) / sum."""
    clipped = np.maximum(scores, floor)
    return float(np.mean(np.log(clipped.sum(axis=1, dtype=np.float64)) - np.log(clipped[np.arange(len(y)), y])))


def best_beta(scores, y):
    """The inverse temperature with the least softmax loss: a convex function of one number."""
    from scipy.optimize import minimize_scalar

    spread = float(scores.std()) or 1.0
    low, high = np.log(1e-3 / spread), np.log(1e3 / spread)
    return float(np.exp(minimize_scalar(lambda t: softmax_loss(scores, y, np.exp(t)), bounds=(low, high), method="bounded",
                                        options={"xatol": 1e-3}).x))  # fmt: skip


def best_floor(scores, y):
    """The floor of FLOORS with the least clipped loss."""
    return float(min(FLOORS, key=lambda floor: clipped_loss(scores, y, floor)))


def both_losses(score, X, y, beta, floor):
    """(softmax loss, clipped loss) over rows X, y; score: X rows -> scores (n, V), taken a few thousand rows at once."""
    sums = np.zeros(2)
    for i in range(0, len(X), _ROWS):
        scores, here = score(X[i : i + _ROWS]), y[i : i + _ROWS]
        sums += len(here) * np.array([softmax_loss(scores, here, beta), clipped_loss(scores, here, floor)])
    return tuple(float(s) for s in sums / len(X))
