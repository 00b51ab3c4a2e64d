"""Checks of single values: each returns the value, or raises ValueError with a sentence that names it and the limit."""

import numpy as np

from .errors import UsageError


def _shown(value):
    return repr(str(value)) if isinstance(value, str) else value


def check_number(value, name):
    """`value` as a finite float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise UsageError(f"{name} is {_shown(value)}: it must be a finite number")
    return number


def check_lambda(lambda_reg, name="lambda_reg"):
    """`lambda_reg` as a finite float >= 0."""
    value = check_number(lambda_reg, name)
    if value < 0:
        raise UsageError(f"{name} is {lambda_reg}: it must be a finite number >= 0 (0 for no penalty)")
    return value


def check_positive(value, name):
    """`value` as a finite float > 0."""
    number = check_number(value, name)
    if number <= 0:
        raise UsageError(f"{name} is {value}: it must be a finite number > 0")
    return number


def check_count(value, name, minimum=1):
    """`value` as an int >= minimum."""
    number = check_number(value, name) if np.ndim(value) == 0 else np.nan
    if number != np.floor(number) or number < minimum:
        raise UsageError(f"{name} is {_shown(value)}: it must be a whole number >= {minimum}")
    return int(value)


def check_choice(value, name, choices):
    """`value` when it is one of `choices`."""
    if value not in choices:
        raise UsageError(f"{name} is {value!r}: choose one of {', '.join(map(repr, choices))}")
    return value
