"""The weights of counts and transformer in a model that has both, chosen in closed form on validation text.

logits = a · c + b · f, with c the counts' log-probabilities and f the transformer's logits. The cross-entropy is convex in
(a, b) (a product of experts with fixed experts is a log-linear model of two features), so that a few Newton steps find its
minimum: gradient mean(E_p[(c, f)] - (c, f)_y), Hessian mean(Cov_p(c, f)). The text must be new to the transformer: on text
that it was trained on it looks better than it is, and its weight would come out too large.
"""

import numpy as np

from ..errors import UsageError
from ..model.unembedding import EXPERT_WEIGHTS

MAX_BYTES = 128 * 2**20  # of logits and log-probabilities held at once
_STEPS = 20


def fit_expert_weights(model, windows, fold=-1):
    """Set the two weights of `model` (config.counts) to those of least cross-entropy on `windows`; returns (a, b, nats).

    windows: batches (tokens, targets), targets below zero not counted; as many as fit in 128 MB are read. fold: the part of the
    counts that knows this text and is left out. Cost: one forward pass, and some ten passes over V numbers a token. Raises
    ValueError where nothing is counted.
    """
    f, c, y = _experts(model, windows, fold)
    weights = np.array(model.unembedding.expert_weights(model.parameters))
    loss, gradient, hessian = _moments(weights, f, c, y)
    for _ in range(_STEPS):
        free = (weights > 0) | (gradient < 0)  # a weight of 0 that wants to fall further stays there
        damped = hessian + 1e-9 * np.eye(2) * max(1e-12, np.trace(hessian))
        step, size = np.zeros(2), 1.0
        step[free] = np.linalg.solve(damped[np.ix_(free, free)], gradient[free])
        while True:  # a convex function, but Newton may overshoot from far away
            tried = np.maximum(weights - size * step, 0)
            found = _moments(tried, f, c, y)
            if found[0] <= loss or size < 1e-3:
                break
            size /= 2
        if not found[0] < loss:
            break
        gained, weights, (loss, gradient, hessian) = loss - found[0], tried, found
        if gained < 1e-9:
            break
    for name, value in zip(EXPERT_WEIGHTS, weights):
        model.parameters[name].flat[:] = value
    return float(weights[0]), float(weights[1]), float(loss)


def zero_expert_gradients(model):
    """Keep gradient steps from moving the two weights: they look at text that the transformer is trained on."""
    for name in EXPERT_WEIGHTS:
        model.gradients[name].zero_()


def _experts(model, windows, fold):
    """(f (n, V), c (n, V), y (n,)) of the counted targets."""
    V = model.config.vocab_size
    left = max(1, MAX_BYTES // (8 * V))
    parts = []
    for tokens, targets in windows:
        a = model._forward_to_norm(model._tokens(tokens))
        logits = np.empty((tokens.size, V), model.dtype)
        model.unembedding.forward(model.parameters, a.final_norm, logits)
        counted = np.flatnonzero(targets.reshape(-1) >= 0)[:left]
        log_counts, _ = model.log_counts(tokens, np.full(len(tokens), fold))
        parts.append((logits[counted], log_counts[counted], targets.reshape(-1)[counted]))
        left -= len(counted)
        if left <= 0:
            break
    if not sum(len(part[2]) for part in parts):
        raise UsageError("the text has no token to predict")
    return [np.concatenate(arrays) for arrays in zip(*parts)]


def _moments(weights, f, c, y):
    """(mean loss, its gradient (2,), its Hessian (2, 2)) at (a, b)."""
    a, b = (f.dtype.type(w) for w in weights)
    z = a * c
    z += b * f
    z -= z.max(axis=1, keepdims=True)
    at = z[np.arange(len(y)), y].astype(np.float64)
    np.exp(z, out=z)
    total = z.sum(axis=1, dtype=np.float64)
    z /= total[:, None].astype(z.dtype)
    means = np.stack([np.einsum("ij,ij->i", z, e).astype(np.float64) for e in (c, f)])
    chosen = np.stack([e[np.arange(len(y)), y].astype(np.float64) for e in (c, f)])
    zc, zf = z * c, z * f
    squares = [np.einsum("ij,ij->i", zc, c), np.einsum("ij,ij->i", zc, f), np.einsum("ij,ij->i", zf, f)]
    cc, cf, ff = (float(np.mean(s, dtype=np.float64)) for s in squares)
    hessian = np.array([[cc, cf], [cf, ff]]) - means @ means.T / len(y)
    return float(np.mean(np.log(total) - at)), (means - chosen).mean(axis=1), hessian
