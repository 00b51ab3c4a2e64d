"""The expectation step of EM for mixing weights: who explains what, and how well all of it is explained."""

import numpy as np

from ..kernels.jit import jit

SMALLEST = 1e-300


@jit
def expected_counts(probabilities, buckets, weights, expected):
    """expected[b, k] = sum over i in bucket b of w_bk p_ik / sum_j w_bj p_ij; returns sum_i log sum_j w_bj p_ij.

    probabilities: (N, K) float64; buckets: (N,) int64; weights, expected: (buckets, K) float64.
    """
    expected[:] = 0.0
    K, nats = weights.shape[1], 0.0
    for i in range(buckets.shape[0]):
        w, p, total = weights[buckets[i]], probabilities[i], 0.0
        for k in range(K):
            total += w[k] * p[k]
        total = max(total, SMALLEST)
        nats += np.log(total)
        for k in range(K):
            expected[buckets[i], k] += w[k] * p[k] / total
    return nats
