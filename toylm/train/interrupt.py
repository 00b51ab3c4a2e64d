"""Ctrl-C and SIGTERM as a request: the step at hand is finished and saved. A second one stops at once."""

import contextlib
import os
import signal
import threading


class StopRequest:
    """A context manager in whose body SIGINT and SIGTERM set `requested` (the signal's number) instead of ending the process.

    The second signal raises KeyboardInterrupt. Outside the main thread signals cannot be caught, and nothing is changed.
    """

    def __init__(self):
        self.requested = None
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number, frame):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = number
        what = "stopping" if number == signal.SIGINT else "asked to end (SIGTERM)"
        text = f"\n{what}: this step is finished first, then saved (Ctrl-C again: at once, without saving)\n"
        with contextlib.suppress(OSError):
            # Straight to the descriptor: the signal may have arrived in the middle of a print to the same stream.
            os.write(2, text.encode())
