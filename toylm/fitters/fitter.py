"""The interface of all fitters.

    data = FitData.of_prepared(toylm.data.prepare("stories"))
    report = make_fitter("head", "cross-entropy", l2=1e-4).fit(model, data)
    print(report)                                   # what, how, seconds, held-out loss before and after

A fitter changes the model in place, and leaves it as it was where the fit fails. Where the fitted part asks for another
architecture (an output matrix of its own, fewer blocks), the model takes it on: `model.config`, `model.parameters` and
`model.gradients` are then new objects.
"""

import time
from dataclasses import dataclass, field, fields

from ..errors import UsageError
from ..kernels.jit import compile_seconds
from .parts import Part
from .report import FitReport
from .surgery import unchanged_on_error


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
    """Fits a part of a model as its settings say.

    A subclass has `_fit(model, data, progress) -> Outcome`, and a line in `registry`.
    progress: None, or a callable (done, total, what) for whoever waits. changes_model: False where the fitted part is measured
    beside the model, which then stays what it was.
    """

    name = None
    changes_model = True

    def __init__(self, part, settings, name=None):
        """part: text or a Part; settings: of toylm.fitters.settings, its fields become attributes; name: if not the class's."""
        self.part, self.settings, self.name = Part.parse(part), settings, name or self.name
        for f in fields(settings):
            setattr(self, f.name, getattr(settings, f.name))

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


def refuse_counts(model, name):
    """Raise UsageError where a counts model is part of the logits: on the text it was counted on it knows the answers."""
    if model.config.counts:
        raise UsageError(
            f"{name} looks at the loss on training text, which the counts in this model know by heart; train it with toylm train"
        )


class Clock:
    """Wall time since it was made, without the time that compiling kernels took of it."""

    def __init__(self):
        self._compiled, self._started = compile_seconds(), time.perf_counter()

    def seconds(self):
        return max(0.0, time.perf_counter() - self._started - (compile_seconds() - self._compiled))
