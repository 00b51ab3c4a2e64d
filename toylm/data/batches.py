"""Batches for training: windows in a seeded order whose position can be saved and resumed bit for bit."""

import numpy as np

from ..errors import UsageError
from .permutation import ROUNDS, Permutation


class Batches:
    """Endless batches of windows from a source (a TokenFile or an ExampleSet).

    An epoch visits every window once, in an order drawn from (seed, epoch). In a token file the windows of an epoch tile the
    tokens from a random offset, so that each epoch cuts them at other places; each token but the first is a target once. A
    batch may run over the end of an epoch into the next one. Memory does not grow, whatever the size of the source.

    source: TokenFile or ExampleSet; batch_size: B; context_length: T (an ExampleSet has its own length: None);
    seed: a whole number, 0 or above. Raises ValueError if the source holds less than one window.
    """

    def __init__(self, source, batch_size, context_length=None, seed=0):
        for name, value in (("batch_size", batch_size), ("context_length", context_length)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        if seed < 0:
            raise UsageError(f"seed is {seed}; it must be 0 or above")
        self.source, self.batch_size, self.seed = source, int(batch_size), int(seed)
        self.context_length = source.check_context(context_length)
        self.position = 0  # windows of this epoch already given out
        self.starts = np.zeros(self.batch_size, np.int64)  # where in a token file each row of the last batch begins
        self._begin(0)

    def _begin(self, epoch):
        draws = np.random.SeedSequence([self.seed, epoch]).generate_state(ROUNDS + 1, np.uint64)
        self.epoch = epoch
        self._offset = int(draws[0] % np.uint64(self.source.offsets(self.context_length)))
        self.windows_per_epoch = self.source.count_windows(self.context_length, self._offset)
        self._order = Permutation(self.windows_per_epoch, draws[1:])

    def next(self):
        """The next batch: tokens (B, T) and targets (B, T), int64; targets below zero are not to be counted."""
        tokens = np.empty((self.batch_size, self.context_length), np.int64)
        targets = np.empty_like(tokens)
        row = 0
        while row < self.batch_size:
            if self.position == self.windows_per_epoch:
                self._begin(self.epoch + 1)
                self.position = 0
            count = min(self.batch_size - row, self.windows_per_epoch - self.position)
            chosen = self._order(np.arange(self.position, self.position + count))
            self.source.take(chosen, self._offset, tokens[row : row + count], targets[row : row + count])
            self.starts[row : row + count] = self._offset + chosen.astype(np.int64) * self.context_length
            self.position += count
            row += count
        return tokens, targets

    def __iter__(self):
        return self

    __next__ = next

    @property
    def epochs(self):
        """Passes over the source so far, with the fraction of the present one."""
        return self.epoch + self.position / self.windows_per_epoch

    def state(self):
        """Where the next batch begins, and what that depends on, as a JSON-able dictionary."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "context_length": self.context_length,
            "source": self.source.identity(),
        }

    def load_state(self, state):
        """Continue where `state` was taken. Raises ValueError if it belongs to other data, seed or context length.

        The batch size may differ: the position counts windows.
        """
        try:
            epoch, position = int(state["epoch"]), int(state["position"])
            theirs = {key: state[key] for key in ("seed", "context_length", "source")}
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"this is no position in the data: {state!r}") from None
        mine = {"seed": self.seed, "context_length": self.context_length, "source": self.source.identity()}
        for key in mine:
            if theirs[key] != mine[key]:
                name = "data" if key == "source" else key.replace("_", " ")
                raise UsageError(
                    f"the saved position is of another {name} ({theirs[key]}, here {mine[key]}); resume with the same one"
                )
        if epoch < 0:
            raise UsageError(f"the saved position has epoch {epoch}; it must be 0 or above")
        before = self.epoch
        self._begin(epoch)
        if not 0 <= position <= self.windows_per_epoch:
            windows = self.windows_per_epoch
            self._begin(before)
            raise UsageError(f"the saved position is window {position} of an epoch of {windows}; the file is corrupt")
        self.position = position
