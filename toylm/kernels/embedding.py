"""Token and position embedding: x[b, t] = token_embed[tokens[b, t]] (+ pos_embed[t])."""

import numpy as np

from .parallel import parallel
from .rows import rows_of


@parallel
def embedding_forward(tokens, token_embed, pos_embed, first_position, x, threads, thread):
    """tokens: (B, T) int64; token_embed: (V, d); pos_embed: (context, d), or (0, d) for none; x: (B·T, d)."""
    B, T = tokens.shape
    d = token_embed.shape[1]
    start, stop = rows_of(B * T, threads, thread)
    for i in range(start, stop):
        row, out = token_embed[tokens[i // T, i % T]], x[i]
        if pos_embed.shape[0] > 0:
            position = pos_embed[first_position + i % T]
            for j in range(d):
                out[j] = row[j] + position[j]
        else:
            for j in range(d):
                out[j] = row[j]


@parallel
def embedding_backward(tokens, dx, dtoken_embed, dpos_embed, threads, thread):
    """dtoken_embed[tokens] += dx; dpos_embed[t] += dx summed over the batch (rows of zero length: none).

    A token may occur in any row, so threads share the columns: every sum has the same order whatever their number.
    """
    B, T = tokens.shape
    d = dx.shape[1]
    start, stop = rows_of(d, threads, thread)
    for i in range(B * T):
        here = dx[i, start:stop]
        target = dtoken_embed[tokens[i // T, i % T], start:stop]
        for j in range(here.shape[0]):
            target[j] += here[j]
        if dpos_embed.shape[0] > 0:
            target = dpos_embed[i % T, start:stop]
            for j in range(here.shape[0]):
                target[j] += here[j]


def embedding_reference(tokens, token_embed, pos_embed=None):
    x = token_embed[tokens]
    if pos_embed is not None:
        x = x + pos_embed[: tokens.shape[1]]
    return x.reshape(-1, token_embed.shape[1])


def embedding_backward_reference(tokens, dx, vocab_size, context_length):
    """Returns (dtoken_embed, dpos_embed)."""
    B, T = tokens.shape
    dtoken = np.zeros((vocab_size, dx.shape[1]), dx.dtype)
    np.add.at(dtoken, tokens.reshape(-1), dx)
    dpos = np.zeros((context_length, dx.shape[1]), dx.dtype)
    dpos[:T] = dx.reshape(B, T, -1).sum(axis=0)
    return dtoken, dpos
