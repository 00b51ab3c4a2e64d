"""The mixture that counts predict with, over rows of tokens: p = sum_k weight_k(bucket) · p_k.

Components: the back-off distribution of every view of the history (toylm.counts.backoff), then the induction distribution
(toylm.counts.induction). The bucket is (longest suffix matched inside the window, depth of each view's context); where
nothing matched the induction component has weight 0. Rows are independent: nothing is carried from one to the next.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from ..kernels.jit import device_function, parallel, rows_of
from ..kernels.vectors import log
from .backoff import add_distribution, find_chain, token_probability
from .induction import collect_sources, extend_matches

SMALLEST = 1e-37  # still a normal float32


class Histories(NamedTuple):
    """What is predicted after: rows of tokens (B, T) int32 with their contexts (B T, views, m) uint32, each row from position
    `first` on, copying from at most `window` tokens back. parts: (B,) int64, each row's first set of counts, a set a view.
    length_weights: of copies, by the length of their match."""

    tokens: np.ndarray
    contexts: np.ndarray
    parts: np.ndarray
    first: int
    window: int
    length_weights: np.ndarray


class Found(NamedTuple):
    """What a thread finds at one position: the chain of contexts of every view and its depth; how much matches t - d, d = 1, 2 ...;
    the places to copy from, and their weights."""

    chains: np.ndarray
    depths: np.ndarray
    matches: np.ndarray
    sources: np.ndarray
    source_weights: np.ndarray


@device_function
def _room(rows):
    """A Found of one thread, nothing in it."""
    T, views, m = rows.tokens.shape[1], rows.contexts.shape[1], rows.contexts.shape[2]
    return Found(np.empty((views, m + 1), np.int64), np.empty(views, np.int64), np.empty(T + 1, np.int32),
                 np.empty(T + 1, np.int64), np.empty(T + 1))  # fmt: skip


@device_function
def _find(tables, rows, b, t, room):
    """Position t of row b into `room`, from position t - 1. Returns (bucket, copies, sum of their weights).

    The bucket numbers (longest match, depth of view 0, depth of view 1 ...), each depth below m + 1.
    """
    tokens, contexts = rows.tokens[b], rows.contexts[b * rows.tokens.shape[1] + t]
    extend_matches(tokens, t, rows.window, rows.length_weights.shape[0] - 1, room.matches)
    if t < rows.first:
        return np.int64(0), np.int64(0), 0.0
    copies, total, longest = collect_sources(t, rows.window, room.matches, rows.length_weights, room.sources, room.source_weights)
    bucket = np.int64(longest)
    for view in range(contexts.shape[0]):
        room.depths[view] = find_chain(tables, tables.roots[rows.parts[b] + view], contexts[view], room.chains[view])
        bucket = bucket * (contexts.shape[1] + 1) + room.depths[view]
    return bucket, np.int64(copies), total


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
def mixture_log_probabilities(tables, rows, weights, out, threads, thread):
    """out[b (T - first) + t - first] = log p(. | tokens[b, :t + 1]) for t = first..T - 1.

    rows: Histories; weights: (buckets, views + 1) float64; out: (B (T - first), V), float32 log-probabilities or float64
    probabilities.
    """
    (B, T), V, views, room = rows.tokens.shape, out.shape[1], rows.contexts.shape[1], _room(rows)
    p, p32 = np.empty(V), np.empty(V, np.float32)
    start, stop = rows_of(B, threads, thread)
    for b in range(start, stop):
        room.matches[:] = 0
        for t in range(T):
            bucket, copies, total = _find(tables, rows, b, t, room)
            if t < rows.first:
                continue
            mix = weights[bucket]
            p[:] = 0.0
            for view in range(views):
                add_distribution(tables, rows.parts[b] + view, room.chains[view], room.depths[view], mix[view], p)
            for i in range(copies):
                p[rows.tokens[b, room.sources[i]]] += mix[views] / total * room.source_weights[i]
            write_row(p, p32, out[b * (T - rows.first) + t - rows.first])


@parallel
def component_probabilities(tables, rows, targets, found, buckets, threads, thread):
    """found[i, k] = p_k(target i), and its bucket, for t = first..T - 1 of every row; targets below zero get zeros.

    rows: Histories; targets: (B, T) int64; found: (B (T - first), views + 1) float64; buckets: (B (T - first),) int64, -1 where
    not counted.
    """
    (B, T), views, room = rows.tokens.shape, rows.contexts.shape[1], _room(rows)
    start, stop = rows_of(B, threads, thread)
    for b in range(start, stop):
        room.matches[:] = 0
        for t in range(T):
            bucket, copies, total = _find(tables, rows, b, t, room)
            if t < rows.first:
                continue
            i, target = b * (T - rows.first) + t - rows.first, targets[b, t]
            found[i] = 0.0
            buckets[i] = bucket if target >= 0 else -1
            if target < 0:
                continue
            for view in range(views):
                found[i, view] = token_probability(tables, rows.parts[b] + view, room.chains[view], room.depths[view], target)
            copied = 0.0
            for c in range(copies):
                if rows.tokens[b, room.sources[c]] == target:
                    copied += room.source_weights[c]
            if copies:
                found[i, views] = copied / total
