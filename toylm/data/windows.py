"""Windows for evaluation: every held-out token is predicted once."""

import math

import numpy as np

from ..errors import UsageError


class EvaluationWindows:
    """Batches (tokens, targets) that cover a TokenFile once, in order; iterate it as often as needed.

    Every token is the target of exactly one position; the first follows the end-of-text token. Both arrays are int64,
    (n, T) with n <= batch_size (only the last batch has fewer rows). The last window is padded: targets -1, not counted.
    max_tokens caps the work: whole windows, spread evenly over the file. No window is longer than the text.

    Attributes: `tokens`, the number of counted targets, and `bytes`, the UTF-8 bytes of the very text that they stand for, so that
    bits per byte = nats per token * tokens / bytes / ln 2; 0 where that is not known (a part of a file without its tokenizer).
    """

    def __init__(self, source, context_length, batch_size, max_tokens=None):
        for name, value in (("context_length", context_length), ("batch_size", batch_size), ("max_tokens", max_tokens)):
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        if not len(source):
            raise UsageError(f"{source.name} has no tokens to evaluate on; give more held-out text")
        context_length = min(int(context_length), len(source))  # a model's context may be far longer than a text
        self._source, self.context_length, self.batch_size = source, context_length, int(batch_size)
        available = math.ceil(len(source) / context_length)
        count = available if max_tokens is None else min(available, max(1, max_tokens // context_length))
        self._chosen = np.arange(count, dtype=np.int64) * available // count
        last = len(source) - int(self._chosen[-1]) * context_length
        self.tokens = (count - 1) * self.context_length + min(self.context_length, last)
        starts = self._chosen * self.context_length
        if count == available:
            self.bytes = source.utf8_bytes
        else:
            self.bytes = sum(source.bytes_of(start, min(start + context_length, len(source))) for start in starts.tolist())

    def __len__(self):
        return math.ceil(len(self._chosen) / self.batch_size)

    def __iter__(self):
        self._source.check_size()
        source, length = self._source.tokens, self.context_length
        for first in range(0, len(self._chosen), self.batch_size):
            chosen = self._chosen[first : first + self.batch_size]
            tokens = np.full((len(chosen), length), self._source.end_id, np.int64)
            targets = np.full((len(chosen), length), -1, np.int64)
            for row, window in enumerate(chosen):
                start = int(window) * length
                found = source[start : start + length]
                targets[row, : len(found)] = found
                if start:
                    tokens[row, 0] = source[start - 1]
                tokens[row, 1 : len(found)] = found[:-1]
            yield tokens, targets
