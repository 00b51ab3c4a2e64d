"""A CountsLM as tensors and a JSON-able dictionary: what its checkpoint holds, or any other file it is kept in.

    ngrams (n, order)      the distinct n-grams as context symbols, nearest first, and the token; uint16 where that suffices
    counts (n,)            how often each occurs
    weights, length_weights                the mixture
    documents (d, 16), document_counts     fingerprints of the documents, so that only what was counted can be removed
"""

import numpy as np

from ...errors import CheckpointError
from .config import CountsConfig

NAMES = ("ngrams", "counts", "weights", "length_weights", "documents", "document_counts")


def to_tensors(model):
    """Name -> array."""
    rows = model.ngrams.rows
    keys = sorted(model.documents)
    return {
        "ngrams": rows.astype(np.uint16) if rows.max() < 1 << 16 else rows,
        "counts": model.ngrams.counts,
        "weights": model.weights,
        "length_weights": model.length_weights,
        "documents": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16),
        "document_counts": np.array([model.documents[key] for key in keys], np.int64),
    }


def to_fields(model):
    """The configuration and what was measured while fitting, JSON-able."""
    return {**model.config.to_dict(), "fitting": model.fitting}


def from_tensors(fields, tensors, where="the checkpoint"):
    """The CountsLM of `to_fields` and `to_tensors`. Raises CheckpointError where they do not belong together."""
    from .kneser_ney import NgramCounts
    from .language_model import CountsLM, component_count

    config = config_of(fields)
    missing = [name for name in NAMES if name not in tensors]
    if missing:
        raise CheckpointError(f"{where} lacks the tensor {missing[0]!r}: it holds no counts model")
    rows, counts = tensors["ngrams"].astype(np.uint32), tensors["counts"].astype(np.int64)
    weights, length_weights = tensors["weights"].astype(np.float64), tensors["length_weights"].astype(np.float64)
    shape = (len(length_weights) * config.order, component_count(config))
    fits = rows.ndim == 2 and rows.shape == (len(counts), config.order) and len(rows) and weights.shape == shape
    if not fits or (counts < 1).any() or rows[:, -1].max() >= config.vocab_size or not np.isfinite(weights).all():
        raise CheckpointError(f"{where} is damaged: its n-grams, counts and weights do not fit its configuration")
    documents = {key.tobytes(): int(n) for key, n in zip(tensors["documents"], tensors["document_counts"])}
    return CountsLM(config, NgramCounts(rows, counts), weights, length_weights, documents, fitting=fields.get("fitting"))


def config_of(fields):
    """The CountsConfig in a dictionary that may hold more."""
    return CountsConfig(**{name: fields[name] for name in CountsConfig.__dataclass_fields__})
