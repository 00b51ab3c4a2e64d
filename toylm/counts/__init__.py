"""Language models that are counted: n-grams with Kneser-Ney smoothing and copying from the window, mixed by EM.

    >>> from toylm.counts import CountsLM
    >>> model = CountsLM.fit(tokens, vocab_size=512, end_id=0)
    >>> model.loss(window, targets)
"""

from ..lazy import lazy

_HOMES = {"CountsLM": "language_model", "CountsConfig": "config"}  # resolved at first use (PEP 562)

__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazy(__name__, _HOMES)
