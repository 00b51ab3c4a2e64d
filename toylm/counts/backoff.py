"""Back-off distributions read from the tables of toylm.counts.kneser_ney, for one context at a time.

    p(w | h) = (c(hw) - D(c(hw))) scale(h) + gamma(h) p(w | h')

The chain of contexts h_0 (empty), h_1, ..., h_depth is found by binary search among the children of each. The whole
distribution costs one pass over V and one over the continuations of the chain's contexts.
"""

import numpy as np

from ..kernels.jit import device_function, jit


@device_function
def _find(values, starts, node, value):
    """Where in values[starts[node]:starts[node + 1]], which ascend, `value` stands; -1 where it does not."""
    low, high = np.int64(starts[node]), np.int64(starts[node + 1])
    end = high
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < end and values[low] == value else np.int64(-1)


@jit
def find_chain(tables, root, context, chain):
    """chain[0..depth] = the counted contexts that `context` (m,) uint32 ends in, from the empty one on; returns depth."""
    chain[0] = node = root
    for j in range(context.shape[0]):
        symbol = context[j]
        if symbol == 0:
            return j
        node = _find(tables.symbols, tables.child_starts, node, symbol)
        if node < 0:
            return j
        chain[j + 1] = node
    return context.shape[0]


@jit
def add_distribution(tables, part, chain, depth, weight, p):
    """p (V,) float64 += weight · the distribution after the chain's longest context; part: the set of counts."""
    shortest, discounts = tables.shortest[part], tables.discounts[part]
    rest = weight
    for k in range(depth, 0, -1):
        node = chain[k]
        factor = rest * tables.scales[node]
        d1, d2, d3 = discounts[k, 1], discounts[k, 2], discounts[k, 3]
        for e in range(np.int64(tables.entry_starts[node]), np.int64(tables.entry_starts[node + 1])):
            count = tables.counts[e]
            taken = d1 if count == 1 else d2 if count == 2 else d3
            p[tables.tokens[e]] += factor * (count - taken)
        rest *= tables.gammas[node]
    for v in range(p.shape[0]):
        p[v] += rest * shortest[v]


@jit
def token_probability(tables, part, chain, depth, token):
    """The probability of one token after the chain's longest context."""
    p = tables.shortest[part, token]
    for k in range(1, depth + 1):
        node = chain[k]
        entry = _find(tables.tokens, tables.entry_starts, node, token)
        p *= tables.gammas[node]
        if entry >= 0:
            count = tables.counts[entry]
            p += (count - tables.discounts[part, k, min(count, 3)]) * tables.scales[node]
    return p
