"""The list of all fitters: what can be fitted with what, and each fitter's settings. Nothing heavy is imported here.

A fitter is a class in a file of its own and a line here.
"""

import importlib
from dataclasses import fields

from ..errors import UsageError, nearest
from . import settings as s
from .parts import KINDS, Part

_BLOCKS = ("attention", "feed-forward", "block", "blocks")
_HEAD, _INNER, _REMOVED, _ALL = ("head",), (*_BLOCKS, "all"), ("block", "blocks"), tuple(KINDS)
# name -> (what it does in one line, ((kinds of parts, module and class, settings), ...))
REGISTRY = {
    "cross-entropy": ("least cross-entropy, Gram-preconditioned L-BFGS",
                      ((_HEAD, "output_heads.CrossEntropyHead", s.CrossEntropy),)),
    "bohning": ("the same by monotone fixed-curvature steps", ((_HEAD, "output_heads.BohningHead", s.Bohning),)),
    "ridge": ("least squares: a head on one-hot targets; w_o and w_ff2 on a teacher's stream or the own gradient",
              ((_HEAD, "output_heads.RidgeHead", s.RidgeHead),
               (_INNER, "reconstruction.ReconstructionFitter", s.Reconstruction))),
    "kernel-ridge": ("kernel ridge on one-hot targets, beside the model",
                     ((_HEAD, "feature_heads.KernelRidgeHead", s.KernelRidge),)),
    "elm": ("random features and ridge on one-hot targets, beside the model", ((_HEAD, "feature_heads.ElmHead", s.Elm),)),
    "deep-elm": ("layers of random features, beside the model", ((_HEAD, "feature_heads.ElmHead", s.DeepElm),)),
    "collapse": ("blocks out, a linear map folded in, the rest repaired",
                 ((_REMOVED, "block_removal.BlockRemoval", s.BlockRemoval),)),
    "deep-linear": ("the same map as a balanced product, of a rank",
                    ((_REMOVED, "block_removal.DeepLinearRemoval", s.DeepLinear),)),
    "lora-svd": ("low-rank correction towards a teacher, best for the matrix",
                 ((_INNER, "lora.LoraFromTeacher", s.LoraTeacher),)),
    "lora-activation": ("low-rank correction, best for the data", ((_INNER, "lora.LoraFromTeacher", s.LoraTeacher),)),
    "lora-gradient": ("low-rank correction from one full-batch gradient", ((_INNER, "lora.LoraFromGradient", s.LoraGradient),)),
    "sgd": ("gradient descent with momentum on the part", ((_ALL, "gradient.GradientFitter", s.Sgd),)),
    "adam": ("Adam on the part", ((_ALL, "gradient.GradientFitter", s.Adam),)),
    "muon": ("Muon on the part's matrices, Adam on its other values", ((_ALL, "gradient.GradientFitter", s.Muon),)),
}  # fmt: skip


def kinds_of(name):
    """The kinds of parts that the fitter called `name` fits."""
    return tuple(kind for kinds, _, _ in REGISTRY[name][1] for kind in kinds)


def fitter_names(kind=None):
    """The names of all fitters, or of those that fit parts of a kind."""
    return [name for name in REGISTRY if kind is None or kind in kinds_of(name)]


def settings_of(part, name):
    """The Settings class of the fitter `name` for `part` (text or a Part). Raises UsageError with the nearest name."""
    return _find(Part.parse(part), name)[1]


def make_fitter(part, name, **settings):
    """The fitter `name` for `part` (text or a Part) with `settings`. Raises UsageError with the nearest valid name."""
    part = Part.parse(part)
    home, kind = _find(part, name)
    valid = [field.name for field in fields(kind)]
    for key in settings:
        if key not in valid:
            raise UsageError(f"{name} has no setting {key}{nearest(key, valid)}")
    checked = kind(**settings)
    module, _, cls = home.partition(".")
    return getattr(importlib.import_module(f"{__package__}.{module}"), cls)(part, checked, name)


def _find(part, name):
    if name not in REGISTRY:
        raise UsageError(f"no fitter {name!r}{nearest(name, REGISTRY)}")
    for kinds, home, settings in REGISTRY[name][1]:
        if part.kind in kinds:
            return home, settings
    raise UsageError(f"{name} does not fit {part.kind!r}; what does: {', '.join(fitter_names(part.kind))}")
