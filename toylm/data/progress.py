"""Progress on stderr: a tqdm bar on a terminal; elsewhere a plain line now and then, and none for what is quick."""

import sys
import time

QUIET_SECONDS = 10  # between plain lines


class Progress:
    """Counts towards `total`; a context manager. `unit` is "B" for bytes (shown in kB, MB, GB) or a noun."""

    def __init__(self, description, total, unit="B", show=True):
        self.description, self.total, self.unit, self.done = description, total, unit, 0
        self._bar, self._show, self._started = None, show, time.monotonic()
        self._next = self._started + QUIET_SECONDS
        if show and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                desc=description,
                unit=unit,
                unit_scale=True,
                leave=False,
                dynamic_ncols=True,
                file=sys.stderr,
            )

    def update(self, amount):
        """`amount` more is done."""
        self.done += amount
        if self._bar is not None:
            self._bar.update(amount)
        elif self._show and time.monotonic() >= self._next:
            now = time.monotonic()
            self._next = now + QUIET_SECONDS
            left = (now - self._started) * max(self.total - self.done, 0) / self.done
            print(
                f"{self.description}: {self.done / self.total:.0%}, about {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._bar is not None:
            self._bar.close()
