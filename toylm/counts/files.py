"""A CountsLM as tensors: what its checkpoint holds, or any other file it is kept in.

    VIEW.ngrams (n, m + 1)     a view's distinct n-grams: context symbols, nearest first, and the token; uint16 where that suffices
    VIEW.counts (n,)           how often each occurs
    words (V,)                 what each token is of a word; empty without a view of words
    weights, length_weights    the mixture
    documents, document_counts fingerprints of the documents, so that only what was counted can be removed
"""

import numpy as np

from ..errors import CheckpointError
from .documents import Documents
from .kneser_ney import NgramCounts
from .language_model import CountsLM
from .views import view_lengths

VIEWS = ("history", "words")
NAMES = ("words", "weights", "length_weights", "documents", "document_counts")


def to_tensors(model):
    """Name -> array."""
    tensors = model.documents.to_tensors()
    for view, ngrams in zip(VIEWS, model.ngrams):
        rows = ngrams.rows
        tensors |= {f"{view}.ngrams": rows.astype(np.uint16) if rows.max() < 1 << 16 else rows, f"{view}.counts": ngrams.counts}
    return tensors | {"words": model.words, "weights": model.weights, "length_weights": model.length_weights}


def from_tensors(config, tensors, fitting=None, where="the checkpoint"):
    """The CountsLM of a CountsConfig and the arrays of `to_tensors`; fitting: what was measured while fitting.

    Raises CheckpointError where they do not belong together.
    """
    views = [view for view in VIEWS if f"{view}.ngrams" in tensors]
    missing = [name for name in (*NAMES, *(f"{view}.counts" for view in views)) if name not in tensors]
    if missing or not views:
        raise CheckpointError(f"{where} lacks the tensor {(missing or ['history.ngrams'])[0]!r}: it holds no counts model")
    words = tensors["words"].astype(np.int64)
    ngrams = [NgramCounts(tensors[f"{v}.ngrams"].astype(np.uint32), tensors[f"{v}.counts"].astype(np.int64)) for v in views]
    weights, length_weights = tensors["weights"].astype(np.float64), tensors["length_weights"].astype(np.float64)
    lengths = view_lengths(config, len(words) > 0)
    buckets = len(length_weights) * (max(lengths) + 1) ** len(lengths)
    fits = weights.shape == (buckets, len(lengths) + 1) and np.isfinite(weights).all() and len(ngrams) == len(lengths)
    fits = fits and words.shape in ((0,), (config.vocab_size,))
    for view, length in zip(ngrams, lengths):
        fits = fits and view.rows.ndim == 2 and view.rows.shape == (len(view.counts), length + 1) and len(view.rows) > 0
        fits = fits and (view.counts > 0).all() and view.rows[:, -1].max() < config.vocab_size
    if not fits:
        raise CheckpointError(f"{where} is damaged: its n-grams, counts and weights do not fit its configuration")
    return CountsLM(config, ngrams, weights, length_weights, Documents.from_tensors(tensors), words, fitting)
