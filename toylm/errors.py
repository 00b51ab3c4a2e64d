"""toylm's own exceptions: each carries one sentence for the person who made the mistake, with value, limit and remedy.

All are ToylmError and besides the built-in exception that a caller of the library would expect. The command line prints them in one
line and ends with status 2. Any other exception is a fault of toylm's own: it keeps its traceback (see toylm/cli.py).
"""

import difflib


class ToylmError(Exception):
    """What all of toylm's own exceptions are."""


class UsageError(ToylmError, ValueError):
    """A value that cannot be used: an argument, a setting, a file's content."""


class InputTypeError(ToylmError, TypeError):
    """A value of the wrong type."""


class MissingFileError(ToylmError, FileNotFoundError):
    """A file or folder that is not there."""


class CheckpointError(ToylmError, ValueError):
    """A checkpoint is missing a file, truncated, corrupt or of another architecture."""


class DivergedError(ToylmError, FloatingPointError):
    """A loss, gradient or weight is not finite; the message names the step or the checkpoint."""


def nearest(name, valid):
    """"; did you mean 'd_model'?" when one of the `valid` names is close to `name`, else the list of all of them."""
    valid = [str(v) for v in valid]
    close = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid: {', '.join(valid)}"
