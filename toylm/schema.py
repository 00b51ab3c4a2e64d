"""Forms: what a JSON object must hold, checked before anything is built of it.

A form is written as the object itself: a dictionary of names, with a rule for each value, a further dictionary for an object inside
it, or a list of one form for a list. Keys that the form does not name are let be.

    FORM = {"step": whole(0), "loss": optional(number()), "log_sizes": mapping(whole(0)), "layout": [[anything()]]}
    read_json(path, FORM)

What does not fit is a CheckpointError of one line: `training.json: loop.step is 'x'; it must be a whole number, 0 or more`.
"""

import json
import math
from typing import Any, NamedTuple

from .errors import CheckpointError, MissingFileError

LARGEST = 2**63 - 1  # what an int64 can hold


class Rule(NamedTuple):
    """What one value must be: `fits(value)` tells, `says` names it."""

    fits: Any
    says: str


class Optional(NamedTuple):
    """A form whose value may be missing or, with `null`, null."""

    form: Any
    null: bool = True


class Mapping(NamedTuple):
    """An object with any names, whose values have one form."""

    form: Any


optional, mapping = Optional, Mapping


def whole(at_least=None, at_most=LARGEST):
    """A whole number; at_most None: of any size."""

    def fits(value):
        return isinstance(value, int) and not isinstance(value, bool) and _between(value, at_least, at_most)

    return Rule(fits, "a whole number" + _bounds(at_least, None if at_most == LARGEST else at_most))


def number(at_least=None, at_most=None, above=None):
    """A finite number."""

    def fits(value):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        # an int beyond the range of floats overflows where it is used
        finite = math.isfinite(value) if isinstance(value, float) else abs(value) <= 10**308
        return finite and _between(value, at_least, at_most) and (above is None or value > above)

    return Rule(fits, "a finite number" + (f" above {above}" if above is not None else _bounds(at_least, at_most)))


def text(*choices):
    """A text; with choices, one of them."""
    says = "one of " + ", ".join(map(repr, choices)) if choices else "a text"
    return Rule(lambda value: isinstance(value, str) and (not choices or value in choices), says)


def flag():
    """true or false."""
    return Rule(lambda value: isinstance(value, bool), "true or false")


def anything():
    """Any value but null."""
    return Rule(lambda value: value is not None, "a value")


def _between(value, at_least, at_most):
    return (at_least is None or value >= at_least) and (at_most is None or value <= at_most)


def _bounds(at_least, at_most):
    if at_least is not None and at_most is not None:
        return f" from {at_least} to {at_most}"
    return f", {at_least} or more" if at_least is not None else f", at most {at_most}" if at_most is not None else ""


def check(value, form, where, name=""):
    """Return `value` where it has the form. Raises CheckpointError naming `where` (the file), the key and the value."""
    if isinstance(form, Optional):
        return value if value is None and form.null else check(value, form.form, where, name)
    if isinstance(form, Rule):
        if not form.fits(value):
            _refuse(value, form.says, where, name)
    elif isinstance(form, list):
        if not isinstance(value, list):
            _refuse(value, "a list", where, name)
        for i, item in enumerate(value):
            check(item, form[0], where, f"{name}[{i}]")
    else:
        if not isinstance(value, dict):
            _refuse(value, "an object", where, name)
        names = dict.fromkeys(value, form.form) if isinstance(form, Mapping) else form
        for key, inner in names.items():
            longer = f"{name}.{key}" if name else key
            if key not in value and not isinstance(inner, Optional):
                raise CheckpointError(f"{where} lacks the key {longer!r}")
            if key in value:
                check(value[key], inner, where, longer)
    return value


def _refuse(value, says, where, name):
    try:
        shown = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):  # ValueError: a number of more digits than Python prints
        shown = f"of type {type(value).__name__}"
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise CheckpointError(f"{where}: {name or 'the file'} is {shown}; it must be {says}")


def read_json(file, form=None):
    """The object in a JSON file, checked against `form`. Raises FileNotFoundError, or CheckpointError naming file and key."""
    if not file.is_file():
        raise MissingFileError(f"{file.parent} has no {file.name}")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} is damaged: not a JSON object")
    return check(value, form or {}, file)
