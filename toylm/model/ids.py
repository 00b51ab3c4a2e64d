"""Token and target ids as the kernels take them: int64 and contiguous, checked here because kernels look rows up unchecked."""

import numpy as np

from ..errors import InputTypeError, UsageError


def token_ids(tokens, vocab_size):
    """Tokens (B, T) or (T,) as (B, T) int64. Raises TypeError or ValueError for what is no array of ids 0 to vocab_size - 1."""
    array = np.asarray(tokens)
    if array.dtype.kind not in "iu":
        raise InputTypeError(f"tokens must be integers, not {array.dtype}")
    if array.ndim not in (1, 2) or array.size == 0:
        raise UsageError(f"tokens have shape (B, T) or (T,), not empty; these have {array.shape}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= vocab_size:
        bad = low if low < 0 else high
        raise UsageError(f"token id {bad} is out of range; this model has ids 0 to {vocab_size - 1}")
    return np.ascontiguousarray(np.atleast_2d(array), np.int64)


def target_ids(targets, vocab_size):
    """Targets of any shape as (N,) int64; below zero is not counted. Raises TypeError where they are no integers, ValueError above
    vocab_size - 1."""
    array = np.asarray(targets)
    if array.dtype.kind not in "iu":
        raise InputTypeError(f"targets must be integers, not {array.dtype}")
    if array.size and int(array.max()) >= vocab_size:
        raise UsageError(f"target id {int(array.max())} is out of range; ids go to {vocab_size - 1}")
    return np.ascontiguousarray(array, np.int64).reshape(-1)
