"""Blocks of text for an analysis: windows of T tokens, calibration and evaluation apart, each target with its document."""

from typing import NamedTuple

import numpy as np

from ..errors import UsageError

DOCUMENTS_AT_LEAST = 10  # fewer, and the blocks themselves are what the bootstrap draws
FEWEST_BLOCKS = 4  # of evaluation


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
    """(calibration, evaluation) Blocks of a flat array of ids; calibration comes first.

    Every window predicts `length` tokens from the tokens before them, windows do not overlap. Documents end with end_id, and
    none is in both parts, unless waiting for the next document would cost more than half of the evaluation; where the text has
    fewer than ten in the evaluation part, blocks take their place as the units of resampling. Of a text too short for both,
    shares. Raises ValueError where the text is too short for two calibration blocks and four of evaluation.
    """
    tokens = np.asarray(tokens).astype(np.int64).reshape(-1)
    available = (len(tokens) - 1) // length
    if available < 2 + FEWEST_BLOCKS:
        raise UsageError(
            f"the text has {len(tokens)} tokens, {max(available, 0)} blocks of {length}; at least {2 + FEWEST_BLOCKS} are "
            f"needed to keep calibration and evaluation apart: give more text or shorter blocks"
        )
    if available < calibration_blocks + evaluation_blocks:
        share = available * calibration_blocks // (calibration_blocks + evaluation_blocks)
        calibration_blocks = min(max(2, share), available - FEWEST_BLOCKS)
    start = calibration_blocks * length
    calibration = _windows(tokens[: start + 1], length, calibration_blocks, end_id)
    wanted = min(evaluation_blocks, available - calibration_blocks)
    ends = np.flatnonzero(tokens == end_id) + 1 if end_id is not None else np.zeros(0, np.int64)
    later = ends[ends >= start]
    if len(later) and (len(tokens) - 1 - later[0]) // length >= max(min(FEWEST_BLOCKS, wanted), wanted / 2):
        start = int(later[0]) - 1  # the end token before a document predicts its first token
    return calibration, _windows(tokens[start:], length, evaluation_blocks, end_id)


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
