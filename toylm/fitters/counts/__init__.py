"""Language models that are counted: n-grams with Kneser-Ney smoothing and copying from the window, mixed by EM.

    >>> from toylm.fitters.counts import CountsLM
    >>> model = CountsLM.fit(tokens, vocab_size=512, end_id=0)
    >>> model.loss(window, targets)
"""

import importlib

_HOMES = {"CountsLM": "language_model", "CountsConfig": "config"}  # resolved at first use (PEP 562)

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
