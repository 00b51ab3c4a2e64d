"""A CountsLM as tensors and a JSON-able dictionary: what its checkpoint holds, or any other file it is kept in.

    VIEW.ngrams (n, m + 1)     a view's distinct n-grams: context symbols, nearest first, and the token; uint16 where that suffices
    VIEW.counts (n,)           how often each occurs
    words (V,)                 what each token is of a word; empty without a view of words
    weights, length_weights    the mixture
    documents, document_counts fingerprints of the documents, so that only what was counted can be removed
"""

import json

import numpy as np

from ..errors import CheckpointError
from ..fitters.documents import Documents
from .config import CountsConfig

VIEWS = ("history", "words")
NAMES = ("words", "weights", "length_weights", "documents", "document_counts")


def to_tensors(model):
    """Name -> array."""
    tensors = model.documents.to_tensors()
    for view, ngrams in zip(VIEWS, model.ngrams):
        rows = ngrams.rows
        tensors |= {f"{view}.ngrams": rows.astype(np.uint16) if rows.max() < 1 << 16 else rows, f"{view}.counts": ngrams.counts}
    return tensors | {"words": model.words, "weights": model.weights, "length_weights": model.length_weights}


def to_fields(model):
    """The configuration and what was measured while fitting, JSON-able."""
    return {**model.config.to_dict(), "fitting": model.fitting}


def from_tensors(fields, tensors, where="the checkpoint"):
    """The CountsLM of `to_fields` and `to_tensors`. Raises CheckpointError where they do not belong together."""
    from .kneser_ney import NgramCounts
    from .language_model import CountsLM
    from .views import view_lengths

    config = config_of(fields)
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
    documents = Documents.from_tensors(tensors)
    return CountsLM(config, ngrams, weights, length_weights, documents, words, fields.get("fitting"))


def config_of(fields):
    """The CountsConfig in a dictionary that may hold more."""
    return CountsConfig(**{name: fields[name] for name in CountsConfig.__dataclass_fields__})


# -- beside a transformer that they are part of ------------------------------------------------------------------------------

TENSORS, FIELDS = "counts.safetensors", "counts.json"


def save_beside(directory, model):
    """Write the counts of a transformer into its checkpoint directory."""
    from ..files import write_json
    from ..formats.safetensors_files import save_tensors

    save_tensors(directory / TENSORS, to_tensors(model))
    write_json(directory / FIELDS, to_fields(model))


def load_beside(directory):
    """The counts of the transformer in a checkpoint directory. Raises FileNotFoundError or CheckpointError."""
    from ..formats.safetensors_files import SafetensorsFile

    for name in (TENSORS, FIELDS):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{directory} has no {name}: not a whole checkpoint")
    try:
        fields = json.loads((directory / FIELDS).read_text(encoding="utf-8"))
        config_of(fields)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{directory / FIELDS} is damaged: {error}") from None
    opened = SafetensorsFile(directory / TENSORS)
    return from_tensors(fields, {name: opened.read(name) for name in opened.names}, directory / TENSORS)
