"""Fitters: one interface for closed-form solves and for gradient descent on the parts of a language model.

    >>> from toylm.fitters import FitData, make_fitter
    >>> data = FitData.of_prepared(toylm.data.prepare("stories"))
    >>> report = make_fitter("head", "cross-entropy").fit(model, data)
    >>> report.loss_before, report.loss_after, report.seconds

`toylm fit -h` lists what can be fitted with what. Importing this package loads no scipy and no numba.
"""

from ..lazy import lazy

# Public name -> the module that defines it; resolved at first use (PEP 562).
_HOMES = {
    "FitReport": "report",
    "FitData": "data",
    "Fitter": "fitter",
    "make_fitter": "registry",
    "fitter_names": "registry",
    "Part": "parts",
    "GradientFitter": "gradient",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazy(__name__, _HOMES)
