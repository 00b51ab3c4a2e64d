"""Example sets: sequences with targets of their own, such as the synthetic tasks; a source of batches like a token file."""

import math
import zlib

import numpy as np

from ..errors import UsageError


class ExampleSet:
    """N sequences of L ids with N sequences of L targets, of which those below zero are not counted.

    inputs, targets: integer arrays (N, L); `vocab_size` bounds all ids. Raises ValueError for unequal shapes or ids out of
    range.
    """

    def __init__(self, inputs, targets, vocab_size):
        self.inputs, self.targets = np.asarray(inputs), np.asarray(targets)
        if self.inputs.ndim != 2 or self.inputs.shape != self.targets.shape or not self.inputs.size:
            raise UsageError(
                f"inputs {self.inputs.shape} and targets {self.targets.shape} must be two arrays of the same shape (N, L), "
                f"not empty"
            )
        for name, array in (("input", self.inputs), ("target", self.targets)):
            if array.max() >= vocab_size or array.min() < (0 if name == "input" else -1):
                bad = array.max() if array.max() >= vocab_size else array.min()
                raise UsageError(f"{name} id {bad} is out of range for a vocabulary of {vocab_size}")
        self.vocab_size = int(vocab_size)
        self.byte_lengths, self.unknown_tokens = None, 0
        self._identity = f"{self.inputs.shape[0]} x {self.inputs.shape[1]} examples, CRC-32 {self._crc():08x}"

    def _crc(self):
        crc = zlib.crc32(np.ascontiguousarray(self.inputs, "<i8"))
        return zlib.crc32(np.ascontiguousarray(self.targets, "<i8"), crc)

    @property
    def context_length(self):
        """L, the length of the sequences."""
        return self.inputs.shape[1]

    @property
    def documents(self):
        """N, the number of examples."""
        return self.inputs.shape[0]

    def __len__(self):
        return int((self.targets >= 0).sum())

    def check_context(self, context_length):
        """L, if `context_length` (None: L) has room for it. Raises ValueError if not."""
        if context_length is not None and context_length < self.context_length:
            raise UsageError(
                f"the examples have {self.context_length} tokens each, and the context length is {context_length}; choose one "
                f"of at least {self.context_length}"
            )
        return self.context_length

    def offsets(self, context_length):
        """1: examples start where they start."""
        return 1

    def count_windows(self, context_length, offset=0):
        """The number of examples."""
        return self.documents

    def take(self, windows, offset, tokens, targets):
        """Copy the examples with these numbers into the rows of tokens and targets."""
        tokens[:], targets[:] = self.inputs[windows], self.targets[windows]

    def identity(self):
        """What a saved position belongs to."""
        return self._identity

    def windows(self, context_length=None, batch_size=32, max_tokens=None):
        """All examples once, in order, for evaluation: iterates (tokens, targets); see EvaluationWindows."""
        return ExampleWindows(self, batch_size, max_tokens)


class ExampleWindows:
    """Batches (tokens, targets) that cover an ExampleSet once. `tokens`: counted targets; `bytes`: 0, there is no text."""

    def __init__(self, source, batch_size, max_tokens=None):
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; it must be at least 1")
        self._source, self.batch_size = source, int(batch_size)
        counted = np.cumsum((source.targets >= 0).sum(axis=1))
        rows = source.documents
        if max_tokens is not None:
            rows = max(1, int(np.searchsorted(counted, max_tokens, side="right")))
        self._rows, self.tokens, self.bytes = rows, int(counted[rows - 1]), 0

    def __len__(self):
        return math.ceil(self._rows / self.batch_size)

    def __iter__(self):
        for first in range(0, self._rows, self.batch_size):
            chosen = slice(first, min(first + self.batch_size, self._rows))
            yield self._source.inputs[chosen].astype(np.int64), self._source.targets[chosen].astype(np.int64)
