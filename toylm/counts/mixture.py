"""Mixing weights by expectation-maximisation: p = sum_k weight_k(bucket) p_k, one set of weights a bucket.

The log-likelihood is concave in the weights, and every step of EM raises it. Buckets with few tokens are held near their
parent's weights by a Dirichlet prior, whose log density is then part of what rises.
"""

import numpy as np

from .em import expected_counts

SMALLEST = 1e-300


def log_likelihood(probabilities, buckets, weights):
    """Sum of log sum_k weights[bucket, k] · probabilities[:, k]. probabilities: (N, K); buckets: (N,); weights: (buckets, K)."""
    return float(np.log(np.maximum(np.einsum("nk,nk->n", probabilities, weights[buckets]), SMALLEST)).sum())


def log_prior(weights, prior, strength):
    """sum of strength · prior · log weights, the log density (up to a constant) that `fit_weights` adds; 0 · log 0 = 0."""
    kept = prior > 0
    return strength * float((prior[kept] * np.log(np.maximum(weights[kept], SMALLEST))).sum())


def fit_weights(probabilities, buckets, prior, strength=0.0, tolerance=1e-5, max_steps=60, history=None):
    """Weights (buckets, K) by EM, started at `prior` (buckets, K), whose rows sum to 1.

    strength: how many tokens the prior counts for. A component whose prior is 0 keeps weight 0. Ends when a step raises the
    objective by less than `tolerance` a token, or after `max_steps`. history: a list that gets the objective of every step.
    """
    weights, expected = prior.copy(), np.empty(prior.shape)
    tokens = np.bincount(buckets, minlength=len(prior))[:, None] + strength
    previous = -np.inf
    for _ in range(max_steps):
        objective = expected_counts(probabilities, buckets, weights, expected) + log_prior(weights, prior, strength)
        if history is not None:
            history.append(objective)
        if objective - previous < tolerance * max(1, len(buckets)):
            break
        previous = objective
        weights = np.where(tokens > 0, (expected + strength * prior) / np.maximum(tokens, SMALLEST), weights)
        weights /= weights.sum(axis=1, keepdims=True)
    return weights


def fit_nested_weights(probabilities, buckets, parents, prior, strength=20.0):
    """Weights for fine buckets, each held near its parent's: EM for the parents, then for the buckets.

    parents: (buckets,) the parent of each bucket; prior: (parents, K), where EM starts and what few tokens fall back to.
    Returns (buckets, K).
    """
    coarse = fit_weights(probabilities, parents[buckets], prior, strength)
    return fit_weights(probabilities, buckets, coarse[parents], strength)
