"""Configuration dataclasses: default, help, limits and choices stand with each field, and checks, flags and files follow from them.

    @dataclass(frozen=True)
    class Settings:
        batch_size: int = setting(8, "sequences a pass", at_least=1)

        def __post_init__(self):
            check_fields(self)

A field is a whole number, a number, a text, a truth value, a tuple of texts, or one of these or None.
"""

import dataclasses
import math
import numbers
import types
import typing

from .errors import InputTypeError, UsageError, nearest

_LIMITS = {
    "at_least": ("at least", lambda value, limit: value >= limit),
    "above": ("above", lambda value, limit: value > limit),
    "at_most": ("at most", lambda value, limit: value <= limit),
    "below": ("below", lambda value, limit: value < limit),
}


def setting(default, help, *, choices=None, flag=True, alias=None, at_least=None, above=None, at_most=None, below=None, **more):
    """A dataclass field. `choices`: a collection of texts; `flag`: whether a command offers it, `alias`: under which further name.

    `more` is kept in the field's metadata for whoever made the dataclass.
    """
    limits = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    return dataclasses.field(default=default, metadata=dict(help=help, choices=choices, flag=flag, alias=alias, **limits, **more))


def kinds(field):
    """The types that a field's value may have."""
    return typing.get_args(field.type) if isinstance(field.type, types.UnionType) else (field.type,)


def check_fields(config):
    """Check all fields of a frozen dataclass. Raises InputTypeError or UsageError naming the field, the value and the limit."""
    for field in dataclasses.fields(config):
        object.__setattr__(config, field.name, check(field, getattr(config, field.name)))


def check(field, value):
    """`value` as the field holds it. Raises InputTypeError or UsageError."""
    name, types_, rules = field.name, kinds(field), field.metadata
    if value is None:
        if type(None) in types_:
            return None
        raise UsageError(f"{name} cannot be none")
    if bool in types_:
        if not isinstance(value, bool):
            raise InputTypeError(f"{name} must be true or false, not {value!r}")
    elif int in types_:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise InputTypeError(f"{name} must be a whole number, not {value!r}")
        value = int(value)
        if abs(value) >= 2**63:
            raise UsageError(f"{name} is too large; it must be below 2**63")
    elif float in types_:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise InputTypeError(f"{name} must be a number, not {value!r}")
        if not math.isfinite(value):
            raise UsageError(f"{name} is {value}; it must be a finite number")
    elif str in types_:
        if not isinstance(value, str):
            raise InputTypeError(f"{name} must be text, not {value!r}")
        if not rules.get("path") and not is_unicode(value):
            raise UsageError(f"{name} is {value!a}, which is no Unicode text: give UTF-8")
    if rules.get("choices") and value not in rules["choices"]:
        raise UsageError(f"{name} is {value!r}{nearest(value, rules['choices'])}")
    limits = [(words, rules[key], holds) for key, (words, holds) in _LIMITS.items() if rules.get(key) is not None]
    if not all(holds(value, limit) for _, limit, holds in limits):
        raise UsageError(f"{name} is {value}; it must be {' and '.join(f'{words} {limit}' for words, limit, _ in limits)}")
    return value


def is_unicode(text):
    """Whether a text can be encoded: an argument in another encoding than UTF-8 has halves of surrogate pairs in it."""
    return not any("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else True


def parse(field, value):
    """Bring a value from the command line (a string) or from TOML or JSON to the field's type. Raises UsageError."""
    name, types_ = field.name, kinds(field)
    if value is None or (isinstance(value, str) and value.lower() == "none" and type(None) in types_):
        return None
    if str in types_:
        if not isinstance(value, str):
            raise UsageError(f"{name} is {value!r}; it must be text")
        return value
    if bool in types_:
        truth = {"true": True, "false": False}.get(str(value).lower())
        if truth is None:
            raise UsageError(f"{name} is {value!r}; it must be true or false")
        return truth
    if int in types_ or float in types_:
        return number(name, value, whole=int in types_)
    values = [value] if isinstance(value, str) else value  # a tuple of texts
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise UsageError(f"{name} is {value!r}; it must be text, or a list of texts")
    return tuple(values)


def number(name, value, whole):
    """A finite number of a text (500k, 20M, 1e9 are understood in whole ones) or of a number. Raises UsageError naming `name`."""
    what, found = "a whole number" if whole else "a number", value
    if isinstance(value, str):
        factor = {"k": 10**3, "m": 10**6, "g": 10**9}.get(value[-1:].lower()) if whole else None
        try:
            found = float(value[:-1]) * factor if factor else float(value)
            if whole and value.strip().lstrip("+-").isdecimal():
                found = int(value)  # beyond 2**53 a float would round
        except ValueError:
            found = None
    shown = repr(value if not isinstance(value, str) or len(value) <= 40 else value[:37] + "...")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UsageError(f"{name} is {shown}; it must be {what}")
    if whole and (not math.isfinite(found) or found != int(found)):
        raise UsageError(f"{name} is {shown}; it must be a whole number")
    if whole and abs(found) >= 2**63:
        raise UsageError(f"{name} is too large; it must be below 2**63")
    if not math.isfinite(found):
        raise UsageError(f"{name} is {shown}; it must be a finite number")
    return int(found) if whole else float(found)


def add_flags(parser, fields, defaults):
    """Add an option for each of the fields to an argparse parser or group; left out, it is None.

    defaults: the object whose values of these fields the help shows.
    """
    for field in fields:
        types_, text, default = kinds(field), field.metadata["help"], getattr(defaults, field.name)
        choices = field.metadata["choices"] or (("true", "false") if bool in types_ else None)
        shown = " ".join(default) if isinstance(default, tuple) else str(default).lower() if bool in types_ else default
        alias = field.metadata["alias"]
        parser.add_argument(
            *([alias] if alias else []), f"--{field.name.replace('_', '-')}", dest=field.name,
            nargs="+" if isinstance(default, tuple) else None, type=field.metadata.get("type"),
            metavar="{" + ",".join(choices) + "}" if choices else "N" if int in types_ else "X" if float in types_ else "TEXT",
            help=text if shown in (None, "") else f"{text} (default: {shown})",
        )  # fmt: skip
