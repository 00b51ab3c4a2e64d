"""Counting n-grams: rows of context symbols and a token, sorted, and the tables of every shorter context made from them.

A row is (f_1, ..., f_m, w) in uint32: f_1 the nearest context symbol, f_m the farthest, w the token id that followed. Symbols
count from 1; 0 (`NOTHING`) stands where the context has ended. Rows sorted column by column put the continuations of every
context, however short, side by side: the rows that share f_1..f_k are one slice.
"""

from typing import NamedTuple

import numpy as np

from ..kernels.jit import device_function, jit

NOTHING = 0  # the symbol where a context has ended
_DIGIT = 11  # bits a counting pass sorts by


class Entries(NamedTuple):
    """The continuations of a level's contexts: where each context's begin, (contexts + 1,) int64, their tokens (n,) uint32 and
    counts (n,) int64."""

    starts: np.ndarray
    tokens: np.ndarray
    counts: np.ndarray


@jit
def history_contexts(tokens, end_id, contexts):
    """contexts[b T + t, j] = 1 + tokens[b, t - j], NOTHING before the row's start and beyond an end_id.

    tokens: (B, T) int64; contexts: (B T, m) uint32. An end_id itself is part of the context: it says that a document begins.
    """
    B, T = tokens.shape
    for b in range(B):
        for t in range(T):
            row, cut = contexts[b * T + t], False
            for j in range(row.shape[0]):
                if cut or j > t:
                    row[j] = NOTHING
                else:
                    token = tokens[b, t - j]
                    row[j] = token + 1
                    cut = token == end_id


@device_function
def _mixed(a, b):
    """A 64-bit number made from two (the finaliser of splitmix64 over a · odd + b)."""
    x = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b) + np.uint64(1)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@device_function
def _symbol(mixed):
    return np.uint32(mixed >> np.uint64(32)) | np.uint32(1)  # never NOTHING


@jit
def word_contexts(tokens, end_id, words, near, contexts):
    """contexts[b T + t] = the last `near` tokens; the begun word with what stands before it; the whole words before that.

    tokens: (B, T) int64; words: (V,) int64, 0 for a token without letters, s > 0 where it goes on with a word, -s where it
    begins one; contexts: (B T, near + 1 + whole words) uint32, 31 bits of a hash for what is no token. Nothing reaches before
    the row's start or an end_id; a word cut off by the row's start is no word.
    """
    B, T = tokens.shape
    whole = contexts.shape[1] - near - 1
    before = np.zeros(whole, np.uint32)  # the whole words, nearest first
    for b in range(B):
        word, between = np.uint64(0), np.uint64(0)  # hashes of the begun word and of what stands before it
        length = known = since = 0  # tokens of the begun word; whole words known; tokens since an end_id
        cut = True  # nothing is known of what stands before the row
        for t in range(T):
            token = tokens[b, t]
            kind = words[token]
            since += 1
            if kind <= 0 and length:  # the word has ended
                if not cut:
                    for k in range(whole - 1, 0, -1):
                        before[k] = before[k - 1]
                    if whole:
                        before[0] = _symbol(word)
                    known = min(known + 1, whole)
                word, length, cut, between = np.uint64(0), 0, False, np.uint64(0)
            if kind == 0:
                between = _mixed(between, token + 1)
                cut = False
            else:
                cut = cut and kind > 0
                word = _mixed(word, abs(kind))
                length += 1
            if token == end_id:
                word, between = np.uint64(0), np.uint64(1)
                length, known, since, cut = 0, 0, 1, False
            row = contexts[b * T + t]
            row[:] = NOTHING
            for j in range(min(near, since, t + 1)):
                row[j] = tokens[b, t - j] + 1
            if min(since, t + 1) >= near and not cut:
                row[near] = _symbol(_mixed(_mixed(word, between), 1))
                for k in range(known):
                    row[near + 1 + k] = before[k]


@jit
def sort_rows(rows, order):
    """order (N,) int64 = the positions of `rows` (N, columns) uint32 in lexicographic order, equal rows in their own order.

    Counting sorts from the last column to the first, 11 bits at a time: O(N) a pass, one pass for a vocabulary below 2048.
    """
    N, columns = rows.shape
    spare = np.empty(N, np.int64)
    digits = np.empty(N, np.int64)
    starts = np.empty((1 << _DIGIT) + 1, np.int64)
    for i in range(N):
        order[i] = i
    for column in range(columns - 1, -1, -1):
        largest = np.int64(0)
        for i in range(N):
            largest = max(largest, np.int64(rows[i, column]))
        shift = np.int64(0)
        while largest >> shift:
            starts[:] = 0
            for i in range(N):
                digit = (np.int64(rows[order[i], column]) >> shift) & ((1 << _DIGIT) - 1)
                digits[i] = digit
                starts[digit + 1] += 1
            for d in range(1 << _DIGIT):
                starts[d + 1] += starts[d]
            for i in range(N):
                digit = digits[i]
                spare[starts[digit]] = order[i]
                starts[digit] += 1
            order[:] = spare
            shift += _DIGIT


@jit
def unique_rows(rows, order, group, left_out, distinct, counts):
    """Write the distinct rows among `rows[order]` and how often each occurs; returns their number.

    Rows whose `group` (N,) int64 is `left_out` are passed over. distinct: (N, columns) uint32; counts: (N,) int64.
    """
    n, columns = 0, rows.shape[1]
    for i in range(order.shape[0]):
        position = order[i]
        if group[position] == left_out:
            continue
        same = n > 0
        if same:
            for j in range(columns):
                if rows[position, j] != distinct[n - 1, j]:
                    same = False
                    break
        if same:
            counts[n - 1] += 1
        else:
            distinct[n] = rows[position]
            counts[n] = 1
            n += 1
    return n


@jit
def merge_rows(rows, counts, other, other_counts, sign, merged, merged_counts):
    """Sorted distinct rows with counts + sign · other: returns the number of rows that are left, -1 if a count were below 0.

    Rows whose count becomes 0 go. merged: room for len(rows) + len(other) rows.
    """
    i, j, n, columns = 0, 0, 0, rows.shape[1]
    while i < rows.shape[0] or j < other.shape[0]:
        compared = 0  # of rows[i] to other[j]: -1 smaller, 1 larger
        if i == rows.shape[0]:
            compared = 1
        elif j == other.shape[0]:
            compared = -1
        else:
            for c in range(columns):
                if rows[i, c] != other[j, c]:
                    compared = -1 if rows[i, c] < other[j, c] else 1
                    break
        if compared < 0:
            merged[n] = rows[i]
            count = counts[i]
        elif compared > 0:
            merged[n] = other[j]
            count = sign * other_counts[j]
        else:
            merged[n] = rows[i]
            count = counts[i] + sign * other_counts[j]
        if compared <= 0:
            i += 1
        if compared >= 0:
            j += 1
        if count < 0:
            return -1
        if count > 0:
            merged_counts[n] = count
            n += 1
    return n


@jit
def common_columns(rows, shared):
    """shared[i] = how many first columns rows i and i - 1 of the sorted distinct rows have in common; -1 for row 0."""
    for i in range(rows.shape[0]):
        shared[i] = -1
        if i:
            j = 0
            while rows[i, j] == rows[i - 1, j]:
                j += 1
            shared[i] = j


@jit
def level_contexts(rows, shared, level, symbols, child_starts):
    """The contexts of `level` symbols, in order: their last symbol, and where among the longer contexts theirs begin.

    Returns the number of contexts. symbols (n,) uint32, child_starts (n,) int64, counted within the next level.
    """
    n = children = 0
    for i in range(rows.shape[0]):
        if shared[i] < level:
            symbols[n] = rows[i, level - 1] if level else NOTHING
            child_starts[n] = children
            n += 1
        if shared[i] < level + 1:
            children += 1
    return n


@jit
def top_level_entries(rows, counts, shared, level, entries):
    """The longest contexts' continuations as they were counted: each row is one. entries: Entries to fill."""
    n = 0
    for i in range(rows.shape[0]):
        if shared[i] < level:
            entries.starts[n] = i
            n += 1
        entries.tokens[i] = rows[i, level]
        entries.counts[i] = counts[i]
    entries.starts[n] = rows.shape[0]


@jit
def shorter_level_entries(child_starts, child_symbols, children, tally, entries):
    """Kneser-Ney's continuation counts: for context h and token w, the number of symbols c with (c h w) counted.

    Where h begins a document nothing can stand before it (its one longer context ends in NOTHING): w counts as often as it
    occurs. Continuations are ascending. children: the longer contexts' Entries; entries: those to fill; tally: (V,) int64 zeros,
    left as zeros. Returns the number of entries.
    """
    n, contexts, tokens, counts = 0, child_starts.shape[0], entries.tokens, entries.counts
    touched = np.empty(tally.shape[0], np.int64)
    for p in range(contexts):
        entries.starts[p] = n
        last = child_starts[p + 1] if p + 1 < contexts else child_symbols.shape[0]
        found = 0
        for c in range(child_starts[p], last):
            for e in range(children.starts[c], children.starts[c + 1]):
                w = np.int64(children.tokens[e])
                if tally[w] == 0:
                    touched[found] = w
                    found += 1
                tally[w] += children.counts[e] if child_symbols[c] == NOTHING else 1
        if found * 16 < tally.shape[0]:
            if last - child_starts[p] > 1:  # one child's continuations are in order already
                touched[:found].sort()
            for i in range(found):
                w = touched[i]
                tokens[n], counts[n] = w, tally[w]
                tally[w] = 0
                n += 1
        else:
            for w in range(tally.shape[0]):
                if tally[w]:
                    tokens[n], counts[n] = w, tally[w]
                    tally[w] = 0
                    n += 1
    entries.starts[contexts] = n
    return n


@jit
def count_of_counts(symbols, level, entry_starts, counts, found):
    """found[r - 1] += the entries with count r, r = 1..4, in contexts that do not end in NOTHING."""
    for p in range(symbols.shape[0]):
        if level and symbols[p] == NOTHING:
            continue
        for e in range(entry_starts[p], entry_starts[p + 1]):
            if counts[e] <= 4:
                found[counts[e] - 1] += 1


@jit
def backoff_weights(entry_starts, counts, discounts, scales, gammas):
    """Per context h: scale = 1 / sum_w c(hw), gamma = (sum over its entries of what their discounts take away) · scale.

    discounts: (4,), of counts 0, 1, 2 and of 3 or more.
    """
    for p in range(entry_starts.shape[0] - 1):
        total, taken = np.int64(0), 0.0
        ones = twos = more = 0
        for e in range(entry_starts[p], entry_starts[p + 1]):
            total += counts[e]
            ones += counts[e] == 1
            twos += counts[e] == 2
            more += counts[e] > 2
        taken = ones * discounts[1] + twos * discounts[2] + more * discounts[3]
        scales[p] = 1.0 / total
        gammas[p] = taken / total
