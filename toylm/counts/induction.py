"""The induction (copy) distribution: what followed earlier places of the window that end as the present one does.

    I_t(w) ∝ sum over s < t with x_{s+1} = w of u(l(s, t))

l(s, t) is the length of the common suffix of x_..s and x_..t, at most `cap`; u weighs lengths (u(0) = 0: no match, no copy). It
is kernel regression on strings, or attention whose scores are log u: what an induction head computes.
"""

from ..kernels.jit import device_function


@device_function
def extend_matches(tokens, t, window, cap, matches):
    """matches[d] = l(t - d, t) for d = 1..min(t, window), from those of t - 1. tokens: (T,) int32; matches: int32."""
    last, token = min(t, window), tokens[t]
    for d in range(1, last + 1):
        longer = min(matches[d] + 1, cap)
        matches[d] = longer if tokens[t - d] == token else 0


@device_function
def collect_sources(t, window, matches, length_weights, sources, source_weights):
    """The places with a match: sources[i] = s + 1, where the token to copy stands, and its weight u.

    Returns (number of sources, sum of their weights, the longest match).
    """
    found, total, longest = 0, 0.0, 0
    for d in range(1, min(t, window) + 1):
        length = matches[d]
        if length:
            weight = length_weights[length]
            sources[found] = t - d + 1
            source_weights[found] = weight
            total += weight
            found += 1
            longest = max(longest, length)
    return found, total, longest
