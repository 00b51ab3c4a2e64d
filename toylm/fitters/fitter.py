"""The interface of all fitters, and the list of what can be fitted with what.

    data = FitData.of_run("runs/first", tokenizer)
    report = make_fitter("head", "cross-entropy", l2=1e-4).fit(model, data)
    print(report)                                   # what, how, seconds, held-out loss before and after

A fitter changes the model in place, and leaves it as it was where the fit fails. Where the fitted part asks for another
architecture (an output matrix of its own, fewer blocks), the model takes it on: `model.config`, `model.parameters` and
`model.gradients` are then new objects.
"""

import importlib
import inspect
import math
import numbers
import time
from dataclasses import dataclass, field

from ..errors import UsageError, nearest
from .parts import KINDS, Part
from .report import FitReport
from .surgery import unchanged_on_error

# The least value of settings that are numbers: whole ones of at least 1, penalties of at least 0.
LEAST = {"iterations": 1, "max_rows": 1, "landmarks": 1, "hidden_units": 1, "depth": 1, "rank": 1, "lambda_reg": 0.0, "l2": 0.0}


@dataclass
class Outcome:
    """What a fitter's `_fit` hands back: see FitReport for the fields of the same name.

    evaluate: None, or a callable (data) -> Evaluation of a fitted part that is no part of the architecture.
    written: how many values were fitted, where that is not the size of the `changed` parameters.
    seconds: the time that fitting took, where that is not all the time that `_fit` took.
    """

    changed: tuple = ()
    solver: str = ""
    rcond: float | None = None
    details: dict = field(default_factory=dict)
    written: int | None = None
    n_bytes: int | None = None
    seconds: float | None = None
    evaluate: object = None


class Fitter:
    """Fits a part of a model; settings are the keyword arguments of __init__ (see `settings_of`).

    A subclass has a `name`, the `kinds` of parts that it can fit, and `_fit(model, data, progress) -> Outcome`.
    progress: None, or a callable (done, total, what) for whoever waits. changes_model: False where the fitted part is measured
    beside the model, which then stays what it was.
    """

    name = None
    kinds = ()
    changes_model = True

    def __init__(self, part, **settings):
        """Checks settings that are numbers against `LEAST`, and keeps all as attributes."""
        self.part = Part.parse(part)
        if self.part.kind not in self.kinds:
            raise UsageError(f"{self.name} does not fit {self.part.kind!r}; it fits {', '.join(self.kinds)}")
        for name, value in settings.items():
            _check_setting(name, value)
            setattr(self, name, value)

    def fit(self, model, data, progress=None):
        """Fit the part of `model` on `data` (a FitData); returns a FitReport.

        Raises UsageError where the model has no such part or the maths does not allow it.
        """
        self.check(model)
        before = data.evaluate(model)
        with unchanged_on_error(model):
            clock = Clock()
            outcome = self._fit(model, data, progress)
            seconds = clock.seconds() if outcome.seconds is None else outcome.seconds
            after = outcome.evaluate(data) if outcome.evaluate else data.evaluate(model)
        written = outcome.written
        if written is None:
            written = sum(model.parameters[name].array.size for name in outcome.changed)
        n_bytes = written * model.dtype.itemsize if outcome.n_bytes is None else outcome.n_bytes
        return FitReport(
            fitter=self.name, part=str(self.part), changed=tuple(outcome.changed), solver=outcome.solver, rcond=outcome.rcond,
            seconds=seconds, parameters=int(written), n_bytes=int(n_bytes), loss_before=before.loss, loss_after=after.loss,
            tokens=after.tokens, bits_per_byte_before=before.bits_per_byte, bits_per_byte_after=after.bits_per_byte,
            details=outcome.details,
        )  # fmt: skip

    def check(self, model):
        """Raise UsageError where this fitter cannot fit this model."""
        self.part.check(model.config)

    def beside(self):
        """Further files for the checkpoint folder of the fitted model: name -> a callable that writes it to a path."""
        return {}

    def to_save(self, model):
        """The model whose weights are saved: the fitted one, unless what was fitted lies beside them."""
        return model

    def _fit(self, model, data, progress):
        raise NotImplementedError


def _check_setting(name, value):
    """Raise UsageError for a number that the setting cannot be; None and settings without a bound are taken as they are."""
    least = LEAST.get(name)
    if least is None or value is None:
        return
    for number in value if isinstance(value, list | tuple) else [value]:
        whole = isinstance(least, int)
        if not (isinstance(number, numbers.Integral if whole else numbers.Real) and least <= number < math.inf):
            raise UsageError(f"{name} is {number}; it must be a {'whole' if whole else 'finite'} number of at least {least:g}")


def refuse_counts(model, name):
    """Raise UsageError where a counts model is part of the logits: on the text it was counted on it knows the answers."""
    if model.config.counts:
        raise UsageError(
            f"{name} looks at the loss on training text, which the counts in this model know by heart; train it with toylm train"
        )


class Clock:
    """Wall time since it was made, without the time that compiling kernels took of it."""

    def __init__(self):
        from ..kernels.jit import compile_seconds

        self._compiled, self._compile_seconds = compile_seconds(), compile_seconds
        self._started = time.perf_counter()

    def seconds(self):
        return max(0.0, time.perf_counter() - self._started - (self._compile_seconds() - self._compiled))


# name -> (((kinds of parts, module, class), ...), what it does in one line)
_BLOCKS = ("attention", "feed-forward", "block", "blocks")
REGISTRY = {
    "cross-entropy": ([(("head",), "heads", "CrossEntropyHead")], "least cross-entropy, Gram-preconditioned L-BFGS"),
    "bohning": ([(("head",), "heads", "BohningHead")], "the same by monotone fixed-curvature steps"),
    "ridge": (
        [(("head",), "heads", "RidgeHead"), ((*_BLOCKS, "all"), "reconstruction", "ReconstructionFitter")],
        "least squares: a head on one-hot targets; w_o and w_ff2 on a teacher's stream or the own gradient",
    ),
    "kernel-ridge": ([(("head",), "feature_heads", "KernelRidgeHead")], "kernel ridge on one-hot targets, beside the model"),
    "elm": ([(("head",), "feature_heads", "ElmHead")], "random features and ridge on one-hot targets, beside the model"),
    "deep-elm": ([(("head",), "feature_heads", "ElmHead")], "layers of random features, beside the model"),
    "collapse": ([(("block", "blocks"), "collapse", "CollapseFitter")], "blocks out, a linear map folded in, the rest repaired"),
    "deep-linear": ([(("block", "blocks"), "collapse", "DeepLinearFitter")], "the same map as a balanced product, of a rank"),
    "lora-svd": ([((*_BLOCKS, "all"), "lora", "LoraFromTeacher")], "low-rank correction towards a teacher, best for the matrix"),
    "lora-activation": ([((*_BLOCKS, "all"), "lora", "LoraFromTeacher")], "low-rank correction, best for the data"),
    "lora-gradient": ([((*_BLOCKS, "all"), "lora", "LoraFromGradient")], "low-rank correction from one full-batch gradient"),
    "sgd": ([(tuple(KINDS), "gradient", "GradientFitter")], "gradient descent with momentum on the part"),
    "adam": ([(tuple(KINDS), "gradient", "GradientFitter")], "Adam on the part"),
}


def kinds_of(name):
    """The kinds of parts that the fitter called `name` fits."""
    return tuple(kind for kinds, _, _ in REGISTRY[name][0] for kind in kinds)


def fitter_names(kind=None):
    """The names of all fitters, or of those that fit parts of a kind."""
    return [name for name in REGISTRY if kind is None or kind in kinds_of(name)]


def fitter_class(part, name):
    """The class that fits `part` (text or a Part) with `name`. Raises UsageError with the nearest name."""
    part = Part.parse(part)
    if name not in REGISTRY:
        raise UsageError(f"no fitter {name!r}{nearest(name, REGISTRY)}")
    for kinds, module, cls in REGISTRY[name][0]:
        if part.kind in kinds:
            return getattr(importlib.import_module(f"{__package__}.{module}"), cls)
    raise UsageError(f"{name} does not fit {part.kind!r}; what does: {', '.join(fitter_names(part.kind))}")


def settings_of(cls):
    """Setting name -> default of a fitter class."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("self", "part", "name") and p.kind is not p.VAR_KEYWORD}


def make_fitter(part, name, **settings):
    """The fitter `name` for `part` (text or a Part) with `settings`. Raises UsageError with the nearest valid name."""
    cls = fitter_class(part, name)
    valid = settings_of(cls)
    for key in settings:
        if key not in valid:
            raise UsageError(f"{name} has no setting {key}{nearest(key, valid)}" if valid else f"{name} has no settings")
    extra = {"name": name} if "name" in inspect.signature(cls.__init__).parameters else {}
    return cls(Part.parse(part), **extra, **settings)
