"""Token and position embedding, x[b, t] = token_embed[tokens[b, t]] (+ pos_embed[t]), and token shift, x[t] += smear · x[t - 1]."""

import numpy as np

from .jit import jit, parallel, rows_of, start_of
from .vectors import add_rows, copy_row, prefetch_row

AHEAD = 4  # rows that are on their way while one is added
CHUNK_BYTES = 4 * 2**20  # of rows to be added at a time


@parallel
def embedding_forward(tokens, token_embed, pos_embed, x, threads, thread):
    """tokens: (B, T) int64, 0 to V - 1; token_embed: (V, d); pos_embed: (context, d), or (0, d) for none; x: (B·T, d). All but
    tokens of one dtype, rows contiguous."""
    B, T = tokens.shape
    d, like = np.int64(x.shape[1]), x.dtype.type(0)
    start, stop = rows_of(B * T, threads, thread)
    for i in range(start, stop):
        row, out = start_of(token_embed[tokens[i // T, i % T]]), start_of(x[i])
        if pos_embed.shape[0] > 0:
            add_rows(like, row, start_of(pos_embed[i % T]), out, d)
        else:
            copy_row(like, row, out, d)


@jit
def _by_token(tokens, place, order):
    """order (N,) = the numbers of the tokens (N,), sorted by token; those of one token in order (a counting sort).

    place: (V + 1,), overwritten.
    """
    vocab_size = place.shape[0] - 1
    place[:] = 0
    for token in tokens:
        place[token + 1] += 1
    for token in range(vocab_size):
        place[token + 1] += place[token]
    for i, token in enumerate(tokens):
        order[place[token]] = i
        place[token] += 1


@parallel
def _backward(tokens, order, length, dx, dtoken_embed, dpos_embed, threads, thread):
    """tokens, order: (N,), of `_by_token`; length: T. A thread has the tokens whose first row in order is in its share."""
    N, d, like = np.int64(tokens.shape[0]), np.int64(dx.shape[1]), dx.dtype.type(0)
    start, stop = rows_of(N, threads, thread)
    before, mine = np.int64(-1) if start == 0 else tokens[order[start - 1]], False
    for k in range(start, N):
        token = tokens[order[k]]
        if token != before:
            mine, before = k < stop, token
            if not mine:
                break
        if mine:
            prefetch_row(like, start_of(dx[order[min(k + AHEAD, N - 1)]]), d)
            target = start_of(dtoken_embed[token])
            add_rows(like, target, start_of(dx[order[k]]), target, d)
    if dpos_embed.shape[0] > 0:
        start, stop = rows_of(length, threads, thread)
        for first in range(0, N, length):
            for t in range(start, stop):
                target = start_of(dpos_embed[t])
                add_rows(like, target, start_of(dx[first + t]), target, d)


def order_sizes(shape, d, item, vocab_size):
    """Lengths of the two int64 arrays that `embedding_backward` takes as `memory`, for tokens of this shape (B, T)."""
    return min(max(1, CHUNK_BYTES // (shape[1] * d * item)) * shape[1], shape[0] * shape[1]), vocab_size + 1


def embedding_backward(tokens, dx, dtoken_embed, dpos_embed, memory):
    """dtoken_embed[tokens] += dx; dpos_embed[t] += dx summed over the batch (rows of zero length: none). Shapes, dtypes and rows as
    forward. memory: two arrays of `order_sizes`, overwritten.

    A token may occur in any row. The rows of each are added up one after another by one thread: in a fixed order, to a row that
    stays in the first-level cache. Rows are read twice, for tokens and for positions: as many sequences at a time as stay in a
    cache.
    """
    (order, place), flat, length = memory, tokens.reshape(-1), tokens.shape[1]
    rows = len(order)
    for first in range(0, flat.size, rows):
        here = flat[first : first + rows]
        _by_token(here, place, order)
        _backward(here, order, length, dx[first : first + rows], dtoken_embed, dpos_embed)


@parallel
def smear_forward(x, smear, length, threads, thread):
    """x[t] += smear · x[t - 1] within sequences of `length` rows, in place. x: (B·T, d), smear: (d,)."""
    first, last = rows_of(x.shape[0] // length, threads, thread)
    for b in range(first, last):
        for t in range(length - 1, 0, -1):  # from the end: the row before is still what it was
            row, before = x[b * length + t], x[b * length + t - 1]
            for j in range(smear.shape[0]):
                row[j] += smear[j] * before[j]


@parallel
def smear_backward(tokens, token_embed, pos_embed, smear, dx, dsmear, threads, thread):
    """dsmear += sum of dx[t] · x[t - 1]; dx[t] += smear · dx[t + 1], in place. Arrays as in `embedding_forward`; dsmear: (d,).

    x, which the forward pass overwrote, is looked up again. A thread has some of the columns, so that sums have one order.
    """
    B, T = tokens.shape
    first, last = rows_of(dx.shape[1], threads, thread)
    share, dshare = smear[first:last], dsmear[first:last]
    for b in range(B):
        for t in range(1, T):
            here, before = dx[b * T + t, first:last], dx[b * T + t - 1, first:last]
            x = token_embed[tokens[b, t - 1], first:last]
            if pos_embed.shape[0] > 0:
                position = pos_embed[t - 1, first:last]
                for j in range(share.shape[0]):
                    dshare[j] += here[j] * (x[j] + position[j])
            else:
                for j in range(share.shape[0]):
                    dshare[j] += here[j] * x[j]
            for j in range(share.shape[0]):
                before[j] += share[j] * here[j]
