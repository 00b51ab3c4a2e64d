"""Errors whose message is written for the person who ran the command.

Library functions raise ValueError, TypeError or FileNotFoundError with one sentence that names the value, the limit and the
remedy. `UsageError` is such a sentence raised by the command line itself; `toylm.cli` prints any of them in one line and
exits with status 2 (a traceback with --debug).
"""

import difflib


class UsageError(ValueError):
    """A mistake in a command, a settings file or an input: printed as one line, exit status 2."""


class DivergedError(ArithmeticError):
    """A loss or gradient is not finite: training stopped; the message names the step and the last good checkpoint."""


class CheckpointError(ValueError):
    """A checkpoint is missing a file, truncated, corrupt or of another architecture."""


# What the command line reports in one line instead of with a traceback.
USER_ERRORS = (UsageError, CheckpointError, DivergedError, FileNotFoundError, ValueError, TypeError, OSError, MemoryError)


def nearest(name, valid):
    """"; did you mean 'd_model'?" when one of the `valid` names is close to `name`, else the list of all of them."""
    valid = [str(v) for v in valid]
    close = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid: {', '.join(valid)}"
