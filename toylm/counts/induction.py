"""The induction (copy) distribution: what followed earlier places of the window that end as the present one does.

    I_t(w) ∝ sum over s < t with x_{s+1} = w of u(l(s, t)) r(t - s)

l(s, t) is the length of the common suffix of x_..s and x_..t, at most `cap`; u weighs lengths (u(0) = 0: no match, no copy),
r distances. It is kernel regression on strings, or attention whose scores are log u: what an induction head computes.
"""

import numpy as np

from ..kernels.jit import device_function


@device_function
def extend_matches(tokens, t, window, cap, matches):
    """matches[d] = l(t - d, t) for d = 1..min(t, window), from those of t - 1. tokens: (T,) int32; matches: int32."""
    last, token = min(t, window), tokens[t]
    for d in range(1, last + 1):
        longer = min(matches[d] + 1, cap)
        matches[d] = longer if tokens[t - d] == token else 0


@device_function
def collect_sources(t, window, matches, length_weights, distance_weights, sources, source_weights):
    """The places with a match: sources[i] = s + 1, where the token to copy stands, and its weight u · r.

    Returns (number of sources, sum of their weights, the longest match).
    """
    found, total, longest = 0, 0.0, 0
    for d in range(1, min(t, window) + 1):
        length = matches[d]
        if length:
            weight = length_weights[length] * distance_weights[d]
            sources[found] = t - d + 1
            source_weights[found] = weight
            total += weight
            found += 1
            longest = max(longest, length)
    return found, total, longest


def induction_reference(tokens, t, window, length_weights, distance_weights, vocab_size):
    """I_t as a dense (V,) float64 array, by comparing suffixes outright; zeros where nothing matches."""
    p, cap = np.zeros(vocab_size), len(length_weights) - 1
    for s in range(max(0, t - window), t):
        length = 0
        while length < cap and length <= s and tokens[s - length] == tokens[t - length]:
            length += 1
        p[tokens[s + 1]] += length_weights[length] * distance_weights[t - s] if length else 0.0
    return p / p.sum() if p.sum() else p
