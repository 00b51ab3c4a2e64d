"""Gradients against central differences, parameter by parameter, of any model: also of one with an operation of your own."""

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError

# The step of the differences, as a share of the parameter's root mean square. Larger steps are off by more, smaller ones lose more
# digits to rounding.
SHARE = 1e-3
STEP_OF_ZEROS = 1e-4  # where a parameter is all zeros


@dataclass(frozen=True)
class TensorCheck:
    """How the gradient of one parameter compares; `relative` is the largest absolute error over the largest of the gradient."""

    name: str
    shape: tuple
    checked: int  # values that were compared
    absolute: float
    relative: float
    worst: tuple  # row and column of the largest error
    gradient: float  # there, of the backward pass
    difference: float  # there, of the loss


@dataclass(frozen=True)
class GradientCheck:
    """What `check_gradients` found: `tensors`, a TensorCheck for each parameter; `ok`, whether all are within the tolerance."""

    tensors: tuple
    tolerance: float

    def wrong(self):
        """The TensorChecks that are outside the tolerance or not finite."""
        return [t for t in self.tensors if not t.relative <= self.tolerance]

    ok = property(lambda self: not self.wrong(), doc="Whether every gradient agrees with the differences of the loss.")

    def __bool__(self):
        return self.ok

    def __repr__(self):
        width = max(len(t.name) for t in self.tensors)
        lines = [f"{'parameter':{width}}  {'shape':>11}  checked  absolute  relative  worst at      gradient    difference"]
        for t in self.tensors:
            shape, worst = " x ".join(map(str, t.shape)), ", ".join(map(str, t.worst))
            mark = "" if t.relative <= self.tolerance else "  WRONG"
            lines.append(
                f"{t.name:{width}}  {shape:>11}  {t.checked:7d}  {t.absolute:8.1e}  {t.relative:8.1e}  {worst:9}  "
                f"{t.gradient:12.4e}  {t.difference:12.4e}{mark}"
            )
        wrong = self.wrong()
        names = ", ".join(t.name for t in wrong)
        lines.append(f"wrong: {names}" if wrong else f"all {len(self.tensors)} gradients agree to {self.tolerance:g}")
        return "\n".join(lines)


def check_gradients(model, tokens, targets, values=50, tolerance=1e-6, seed=0):
    """Compare a model's gradients with differences of its loss; returns a GradientCheck, which prints as a table.

    model: anything with `parameters` and `gradients` (Parameters, float64), `loss(tokens, targets)` and
    `loss_and_gradients(tokens, targets)`, which adds to the gradients: a TransformerLM, or a class of your own. tokens, targets: as
    the model takes them; a small batch is enough. values: how many of each parameter are checked, drawn at random from `seed`;
    None: all. Each costs four losses. tolerance: of the largest error, relative to the largest gradient of that parameter.

    The difference is (f(x - 2h) - 8 f(x - h) + 8 f(x + h) - f(x + 2h)) / 12h, with h a thousandth of the parameter's RMS.
    Parameters and gradients are as before afterwards. A gradient that should be zero is compared with a millionth of the model's
    largest. Raises UsageError (a ValueError) for a model in float32, whose rounding would hide what is looked for, and for `values`
    below 1.

        config = toylm.ModelConfig(vocab_size=11, d_model=8, n_heads=2, n_layers=1, context_length=6)
        model = toylm.TransformerLM(config, precision="float64")
        print(toylm.check_gradients(model, [[1, 2, 3]], [[2, 3, 4]]))
    """
    if model.parameters.dtype != np.float64:
        raise UsageError(
            f"gradients cannot be checked in {model.parameters.dtype}, whose rounding hides errors: "
            'check model.astype("float64"), or make the model with precision="float64"'
        )
    if values is not None and values < 1:
        raise UsageError(f"values is {values}; check at least 1 of each parameter, or None for all")
    kept = model.gradients.flat.copy()
    try:
        model.gradients.zero_()
        model.loss_and_gradients(tokens, targets)
        found = model.gradients.flat.copy()
        return GradientCheck(tuple(_tensors(model, found, tokens, targets, values, np.random.default_rng(seed))), tolerance)
    finally:
        model.gradients.flat[:] = kept


def _tensors(model, found, tokens, targets, values, rng):
    """Yield a TensorCheck for each parameter; found: all gradients (n,), in the parameters' order."""
    floor = 1e-6 * np.abs(found).max()  # a gradient that should be 0 is compared with the others
    start = 0
    for name, mat in model.parameters.items():
        size, gradient = mat.flat.size, found[start : start + mat.flat.size]
        start += size
        indices = np.arange(size) if values is None or values >= size else np.sort(rng.choice(size, values, replace=False))
        h = SHARE * float(np.sqrt(np.square(mat.flat).mean())) or STEP_OF_ZEROS
        differences = np.array([_difference(model, mat.flat, i, h, tokens, targets) for i in indices])
        errors = np.abs(gradient[indices] - differences)
        worst, absolute = int(errors.argmax()), float(errors.max())
        largest = max(np.abs(gradient).max(), np.abs(differences).max(), floor)
        relative = float(absolute / largest) if largest > 0 else absolute
        place = tuple(map(int, np.unravel_index(indices[worst], mat.array.shape)))
        pair = float(gradient[indices[worst]]), float(differences[worst])
        yield TensorCheck(name, mat.array.shape, len(indices), absolute, relative, place, *pair)


def _difference(model, flat, i, h, tokens, targets):
    """The derivative of the loss with respect to flat[i], by the fourth-order central difference."""
    value, losses = flat[i], []
    try:
        for offset in (-2, -1, 1, 2):
            flat[i] = value + offset * h
            losses.append(float(model.loss(tokens, targets)))
    finally:
        flat[i] = value
    return (losses[0] - 8 * losses[1] + 8 * losses[2] - losses[3]) / (12 * h)
