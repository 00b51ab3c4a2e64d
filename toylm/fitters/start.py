"""Closed-form starts of a model: an output bias from token counts, embeddings from the counts of neighbours.

  unigram  b_unembed = log p(w): the loss at step 0 is the entropy of single tokens instead of ln V (Meister et al. 2023,
           arXiv 2212.09686).
  bigram   the same, and token_embed, unembed from the singular vectors of the log-PMI matrix M(v, w) = log p(w | v) - log p(w)
           (Levy & Goldberg 2014), so that the model starts as a bigram model of rank d.
"""

import numpy as np

from ..errors import UsageError
from ..model.init import EMBEDDING_STD

STARTS = ("random", "unigram", "bigram")
_SMOOTHING = 5.0  # pseudo-counts of the single-token distribution behind every context
_DENSE = 16384  # largest vocabulary whose matrix of pairs is held whole


def log_unigram(tokens, vocab_size):
    """log p(w) (V,) float64 with one pseudo-count in all, spread evenly: finite for tokens that never occur."""
    counts = np.bincount(np.asarray(tokens, np.int64), minlength=vocab_size).astype(np.float64)
    return np.log((counts + 1 / vocab_size) / (counts.sum() + 1))


def log_pmi(tokens, vocab_size):
    """M (V, V) float64: log p(w | v) - log p(w) of neighbouring tokens v w, p(w | v) = (c(v w) + s p(w)) / (c(v) + s).

    s = 5 pseudo-counts keep pairs that never occur finite. Memory 8 V² bytes; raises UsageError for more than 16,384 tokens.
    """
    if vocab_size > _DENSE:
        raise UsageError(f"the bigram start holds a matrix of {vocab_size:,} x {vocab_size:,} pairs; at most {_DENSE:,} tokens")
    tokens = np.asarray(tokens, np.int64)
    pairs = np.bincount(tokens[:-1] * vocab_size + tokens[1:], minlength=vocab_size**2).reshape(vocab_size, vocab_size)
    p = np.exp(log_unigram(tokens, vocab_size))
    return np.log((pairs / p + _SMOOTHING) / (pairs.sum(axis=1, keepdims=True) + _SMOOTHING))


def start_from_counts(model, tokens, kind):
    """Set `model`'s parameters as `kind` says (one of STARTS) from training tokens (n,); returns the names it wrote.

    Both want config.output_bias; "bigram" wants an output matrix of its own (tied=False) besides.
    Cost of "bigram": one singular value decomposition of a V x V matrix, d vectors of it. Raises UsageError.
    """
    c = model.config
    if kind not in STARTS:
        raise UsageError(f"start is {kind!r}; valid: {', '.join(STARTS)}")
    if kind == "random":
        return []
    if not c.output_bias:
        raise UsageError(f"start {kind} writes an output bias, which this model lacks: set output_bias")
    if kind == "bigram" and c.tied:
        raise UsageError("start bigram needs an output matrix of its own, since who follows whom is not symmetric: set tied false")
    model.parameters["b_unembed"].flat[:] = log_unigram(tokens, c.vocab_size)
    if kind == "unigram":
        return ["b_unembed"]
    inputs, outputs = _factors(log_pmi(tokens, c.vocab_size), tokens, c)
    model.parameters["token_embed"].array[:] = inputs
    model.parameters["unembed"].array[:] = outputs
    # The branches write nothing yet: the stream carries the bigram model.
    silent = [f"blocks.{i}.{role}" for i in range(c.n_layers) for role in ("w_o", "w_ff2")]
    for name in silent:
        model.parameters[name].zero_()
    return ["b_unembed", "token_embed", "unembed", *silent]


def _factors(m, tokens, c):
    """(token_embed, unembed): rows e of standard size, and the unembedding that best turns e / rms(e) into M's rows.

    Rows and columns count by their square-rooted probability, the second-order weight of their error in the loss.
    """
    from scipy.sparse.linalg import svds

    p = np.exp(log_unigram(tokens, c.vocab_size))
    weight = np.sqrt(p + 1 / len(p) / 10)
    rank = min(c.d_model, c.vocab_size - 1)
    u, s, vt = svds(weight[:, None] * m * weight, k=rank, random_state=0)
    inputs = np.zeros((c.vocab_size, c.d_model))
    inputs[:, :rank] = u * s / weight[:, None]
    normed = inputs / np.sqrt(np.mean(inputs**2, axis=1, keepdims=True) + 1e-12)
    # normed · outputsᵀ = M in the rows' weights: a small ridge keeps directions that no token has from blowing up
    gram = (normed * p[:, None]).T @ normed
    gram[np.diag_indices(c.d_model)] += 1e-6 * np.trace(gram) / c.d_model
    outputs = np.linalg.solve(gram, (normed * p[:, None]).T @ m).T
    return EMBEDDING_STD * normed, outputs
