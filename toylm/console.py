"""What a run prints: a progress bar on a terminal, plain lines elsewhere, and numbers in a form made for reading."""

import contextlib
import os
import sys

from tqdm import tqdm


class Console:
    """Prints lines and progress. On a terminal the progress is a tqdm bar (on stderr) that the lines pass above.

    total, unit: the length of the bar: steps, or seconds for a run of so many minutes.
    """

    def __init__(self, quiet=False):
        self.quiet = quiet
        self._bar = None

    def say(self, text=""):
        """Print one or more lines."""
        if self.quiet:
            return
        if self._bar is not None and not self._bar.disable:
            self._bar.write(text, file=sys.stdout)
        else:
            print(text, flush=True)

    def start(self, total, unit, initial=0):
        """Begin the progress: `initial` of `total` units are done."""
        seconds = unit == "s"
        counter = "{n:.0f}/{total:.0f} s" if seconds else "{n_fmt}/{total_fmt}"
        self._bar = tqdm(
            total=total, initial=initial, unit=unit, dynamic_ncols=True, leave=False,
            disable=True if self.quiet or not _has_rows() else None,  # None: no bar where stderr is no terminal
            bar_format="{percentage:3.0f}%|{bar}| " + counter + " [{elapsed}<{remaining}{postfix}]",
        )  # fmt: skip

    def advance(self, done, **figures):
        """Move the bar to `done` units and show `figures` behind it."""
        if self._bar is None or self._bar.disable:
            return
        if figures:
            self._bar.set_postfix(figures, refresh=False)
        self._bar.update(max(0, min(done, self._bar.total) - self._bar.n))

    def step_line(self, text):
        """A line of progress, only where there is no bar that says it already."""
        if self._bar is None or self._bar.disable:
            self.say(text)

    def close(self):
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Bar:
    """A progress bar on a terminal; a context manager whose value is a fitter's `progress`."""

    def __init__(self, quiet=False):
        self._bar = tqdm(total=1.0, leave=False, disable=True if quiet else None, bar_format="{percentage:3.0f}%|{bar}| {desc}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._bar.close()

    def __call__(self, done, total, what=""):
        self._bar.set_description_str(what, refresh=False)
        self._bar.update(done / total - self._bar.n)


def _has_rows():
    """False for a terminal that says it has no height (as in some containers): tqdm would hide the bar there."""
    try:
        return os.get_terminal_size(2).lines > 0
    except OSError:
        return True


def duration(seconds):
    """"42s", "3m05s", "2h10m", "3d04h"."""
    seconds = int(round(max(0.0, seconds)))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02d}h"


def count(number, noun):
    """"1 head", "2,048 heads"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def size(count):
    """Bytes as "812 kB", "96.4 MB", "1.2 GB" (powers of 1000)."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def display_path(path):
    """`path` as a user would type it: relative to the current folder where that is shorter."""
    shown = str(path)
    with contextlib.suppress(ValueError, FileNotFoundError):  # another drive; the current folder is gone
        shown = min(os.path.relpath(path), shown, key=len)
    return os.path.join(".", shown) if shown.startswith("-") else shown  # else it would be taken for an option


def use_utf8_output():
    """Write UTF-8 to stdout and stderr whatever the system's code page, so that any text can be printed."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
