"""Blocks of text for an analysis: windows of T tokens, calibration and evaluation apart, each target with its document."""

from typing import NamedTuple

import numpy as np

DOCUMENTS_AT_LEAST = 10  # fewer, and the blocks themselves are what the bootstrap draws


class Blocks(NamedTuple):
    """Windows of a text. tokens, targets (n, T) int64; units (n, T): the document (or the block) each target belongs to."""

    tokens: np.ndarray
    targets: np.ndarray
    units: np.ndarray
    unit: str  # "document" or "block"

    @property
    def n_units(self):
        """Number of different documents or blocks."""
        return len(np.unique(self.units))


def cut_blocks(tokens, length, calibration_blocks, evaluation_blocks, end_id=None):
    """(calibration, evaluation) Blocks of a flat array of ids; calibration comes first, and no document is in both.

    Every window predicts `length` tokens from the tokens before them, windows do not overlap. Documents end with end_id;
    where the text has fewer than ten in the evaluation part, blocks take their place as the units of resampling. Raises
    ValueError where the text is too short for two calibration blocks and four of evaluation.
    """
    tokens = np.asarray(tokens).astype(np.int64).reshape(-1)
    ends = np.flatnonzero(tokens == end_id) + 1 if end_id is not None else np.zeros(0, np.int64)
    if len(ends) > 1:
        starts = np.concatenate([[0], ends])
        starts = starts[starts + 1 < len(tokens)]
    else:
        starts = np.arange(0, len(tokens), length)
    available = (len(tokens) - 1) // length
    if available < 6:
        raise ValueError(
            f"the text has {len(tokens)} tokens, {max(available, 0)} blocks of {length}; at least 6 are needed to keep "
            f"calibration and evaluation apart: give more text or shorter blocks"
        )
    if available < calibration_blocks + evaluation_blocks:
        calibration_blocks = max(2, available * calibration_blocks // (calibration_blocks + evaluation_blocks))
    calibration = _windows(tokens[: calibration_blocks * length + 1], length, calibration_blocks, end_id)
    later = starts[starts >= calibration_blocks * length]
    # One undivided document: evaluation starts at the next token instead of the next document.
    start = int(later[0]) if len(later) and (len(tokens) - 1 - later[0]) // length >= 2 else calibration_blocks * length
    if len(ends) > 1 and start in ends:
        start -= 1  # the end token before a document predicts its first token
    evaluation = _windows(tokens[start:], length, evaluation_blocks, end_id)
    if len(evaluation.tokens) < 2:
        raise ValueError(f"only {len(evaluation.tokens)} blocks of {length} are left for evaluation; give more text")
    return calibration, evaluation


def _windows(tokens, length, count, end_id):
    count = min(count, (len(tokens) - 1) // length)
    inputs = tokens[: count * length].reshape(count, length)
    targets = tokens[1 : count * length + 1].reshape(count, length)
    units, unit = np.repeat(np.arange(count), length).reshape(count, length), "block"
    if end_id is not None:
        # An end token is the last of its document.
        documents = np.cumsum(inputs.reshape(-1) == end_id).reshape(count, length)
        if len(np.unique(documents)) >= DOCUMENTS_AT_LEAST:
            units, unit = documents, "document"
    return Blocks(inputs, targets, units, unit)
