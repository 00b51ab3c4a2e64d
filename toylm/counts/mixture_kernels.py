"""The mixture that counts predict with, over rows of tokens: p = sum_k weight_k(bucket) · p_k.

Components: the back-off distribution of every view of the history (toylm.counts.backoff), then the induction distribution
(toylm.counts.induction). The bucket is (longest suffix matched inside the window, depth of each view's context); where
nothing matched the induction component has weight 0. Rows are independent: nothing is carried from one to the next.
"""

import numpy as np
from numba import types
from numba.extending import overload

from ..kernels.jit import device_function, parallel, rows_of
from ..kernels.vectors import log
from .backoff import add_distribution, find_chain, token_probability
from .induction import collect_sources, extend_matches

SMALLEST = 1e-37  # still a normal float32


@device_function
def find_chains(tables, part, contexts, longest, chains, depths):
    """The chain of contexts of every view, from the sets of counts `part`, `part` + 1 ...; returns the bucket.

    The bucket numbers (longest match, depth of view 0, depth of view 1 ...), each depth below m + 1.
    """
    bucket = np.int64(longest)
    for view in range(contexts.shape[0]):
        depths[view] = find_chain(tables, tables.roots[part + view], contexts[view], chains[view])
        bucket = bucket * (contexts.shape[1] + 1) + depths[view]
    return bucket


@device_function
def _mixed(tables, part, contexts, weights, chains, depths, tokens, t, window, matches, length_weights, distance_weights,
           sources, source_weights, p):  # fmt: skip
    """p (V,) = the mixture at position t of a row; `part`: the first of the sets of counts, one a view."""
    views = contexts.shape[0]
    found, total, longest = collect_sources(t, window, matches, length_weights, distance_weights, sources, source_weights)
    mix = weights[find_chains(tables, part, contexts, longest, chains, depths)]
    p[:] = 0.0
    for view in range(views):
        add_distribution(tables, part + view, chains[view], depths[view], mix[view], p)
    if found:
        factor = mix[views] / total
        for i in range(found):
            p[tokens[sources[i]]] += factor * source_weights[i]


def write_row(p, p32, row):
    """row = log p in float32, or p as it is where the row is float64. p32: room for V values."""
    raise NotImplementedError("compiled code only")


@overload(write_row)
def _write_row(p, p32, row):
    if row.dtype == types.float64:

        def as_it_is(p, p32, row):
            row[:] = p

        return as_it_is

    def logs(p, p32, row):
        for v in range(p.shape[0]):
            p32[v] = max(p[v], SMALLEST)
        for v in range(p.shape[0]):
            row[v] = log(p32[v])

    return logs


@parallel
def mixture_log_probabilities(tables, tokens, contexts, parts, first, window, weights, length_weights, distance_weights, out,
                              threads, thread):  # fmt: skip
    """out[b (T - first) + t - first] = log p(. | tokens[b, :t + 1]) for t = first..T - 1.

    tokens: (B, T) int32; contexts: (B T, views, m) uint32; parts: (B,) int64, each row's first set of counts; weights:
    (buckets, views + 1) float64; out: (B (T - first), V), float32 log-probabilities or float64 probabilities.
    """
    B, T = tokens.shape
    V = out.shape[1]
    start, stop = rows_of(B, threads, thread)
    chains = np.empty((contexts.shape[1], contexts.shape[2] + 1), np.int64)
    depths = np.empty(contexts.shape[1], np.int64)
    matches = np.empty(T + 1, np.int32)
    sources, source_weights = np.empty(T + 1, np.int64), np.empty(T + 1)
    p, p32 = np.empty(V), np.empty(V, np.float32)
    for b in range(start, stop):
        matches[:] = 0
        for t in range(T):
            extend_matches(tokens[b], t, window, length_weights.shape[0] - 1, matches)
            if t < first:
                continue
            _mixed(tables, parts[b], contexts[b * T + t], weights, chains, depths, tokens[b], t, window, matches,
                   length_weights, distance_weights, sources, source_weights, p)  # fmt: skip
            write_row(p, p32, out[b * (T - first) + t - first])


@parallel
def component_probabilities(tables, tokens, targets, contexts, parts, first, window, length_weights, distance_weights, found,
                            buckets, threads, thread):  # fmt: skip
    """found[i, k] = p_k(target i), and its bucket, for t = first..T - 1 of every row; targets below zero get zeros.

    targets: (B, T) int64; found: (B (T - first), views + 1) float64; buckets: (B (T - first),) int64, -1 where not counted.
    """
    B, T = tokens.shape
    views, m = contexts.shape[1:]
    start, stop = rows_of(B, threads, thread)
    chains, depths = np.empty((views, m + 1), np.int64), np.empty(views, np.int64)
    matches = np.empty(T + 1, np.int32)
    sources, source_weights = np.empty(T + 1, np.int64), np.empty(T + 1)
    for b in range(start, stop):
        matches[:] = 0
        for t in range(T):
            extend_matches(tokens[b], t, window, length_weights.shape[0] - 1, matches)
            if t < first:
                continue
            i, target = b * (T - first) + t - first, targets[b, t]
            found[i] = 0.0
            buckets[i] = -1
            if target < 0:
                continue
            copies, total, longest = collect_sources(
                t, window, matches, length_weights, distance_weights, sources, source_weights
            )
            buckets[i] = find_chains(tables, parts[b], contexts[b * T + t], longest, chains, depths)
            for view in range(views):
                found[i, view] = token_probability(tables, parts[b] + view, chains[view], depths[view], target)
            copied = 0.0
            for c in range(copies):
                if tokens[b, sources[c]] == target:
                    copied += source_weights[c]
            if copies:
                found[i, views] = copied / total
