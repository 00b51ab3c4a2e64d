"""The views of the history that n-grams are counted in, each a back-off order of context symbols, nearest first.

    history   the last order - 1 tokens
    words     the last `near` tokens; the word that has been begun, with what stands before it; the last two whole words

A context symbol need not be a token (Bilmes & Kirchhoff 2003, Factored language models and generalized parallel backoff):
any number that the history decides will do. With characters or pieces of words for tokens, whole words reach further back
than the same number of tokens. Words are compared without regard to case.
"""

import unicodedata

import numpy as np

from . import ngram

WHOLE_WORDS = 2  # before the one that has been begun


def view_lengths(config, words):
    """Context symbols of each view, a list; `words`: whether there is a view of words."""
    return [config.order - 1, *([config.near + 1 + WHOLE_WORDS] if words else [])]


def contexts_of(tokens, config, words):
    """(B T, views, m) uint32 context symbols of tokens (B, T), padded with NOTHING to the longest view's m.

    words: (V,) int64 of `word_symbols`, empty where there is no view of words.
    """
    lengths = view_lengths(config, len(words) > 0)
    contexts = np.zeros((tokens.size, len(lengths), max(lengths)), np.uint32)
    tokens = np.ascontiguousarray(tokens)
    ngram.history_contexts(tokens, config.end_id, contexts[:, 0, : lengths[0]])
    if len(words):
        ngram.word_contexts(tokens, config.end_id, words, config.near, contexts[:, 1, : lengths[1]])
    return contexts


def word_symbols(tokenizer):
    """(V,) int64, what each token is of a word: 0 no letters; s > 0 goes on with a word; -s begins one (after a space).

    s is the same for tokens that differ in case only. For `CountsLM.fit(..., words=...)`. Empty where every token is a word.
    """
    symbols, known = np.zeros(tokenizer.vocab_size, np.int64), {}
    for i, piece in enumerate(tokenizer.token_bytes):
        text = piece.decode("utf-8", "replace")
        if any(unicodedata.category(c)[0] in "LN" or c == "'" for c in text):
            symbol = known.setdefault(text.strip().lower(), len(known) + 1)
            symbols[i] = -symbol if text[:1].isspace() else symbol
    return symbols
