"""Training and held-out text: by document, decided by content, so that no document is on both sides."""

from array import array
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputTypeError, UsageError
from .corpora import Corpus
from .permutation import mix
from .text import Fingerprint

TRAIN, HELD_OUT, DROPPED = 0, 1, 2

# A held-out stretch of an undivided text is at least this long, so that it holds a few contexts.
SHORTEST_STRETCH = 4000


@dataclass(frozen=True)
class Split:
    """Which document of a corpus goes where. Made by `split_documents`; 9 bytes a document."""

    corpus: Corpus
    lengths: np.ndarray  # (documents,) characters of each document
    sides: np.ndarray  # (documents,) uint8: TRAIN, HELD_OUT or DROPPED; not used where `stretches` is set
    held_out_sides: np.ndarray  # the same for the documents of the corpus's own held-out files
    share: float
    stretches: int | None = None  # the documents are too few: this many stretches of each are held out
    duplicates_removed: int = 0  # documents dropped because the held-out documents have them already
    repeated: int = 0  # documents of the training side that occur there before; they are kept
    notes: tuple[str, ...] = field(default=())

    def pieces(self, on_bytes=None):
        """Yield `(side, text, last)`: side is TRAIN or HELD_OUT; `last` ends a document or a stretch of one."""
        if self.stretches:
            yield from self._stretched_pieces(on_bytes)
            return
        for held_out, sides in ((False, self.sides), (True, self.held_out_sides)):
            document = 0
            for text, last in self.corpus.pieces(held_out, on_bytes) if len(sides) else ():
                if document >= len(sides):
                    raise UsageError(f"the text of {self.corpus.name} changed while it was being read; start again")
                if sides[document] != DROPPED:
                    yield int(sides[document]), text, last
                document += last

    def _stretched_pieces(self, on_bytes):
        document, position, ranges = 0, 0, None
        for text, last in self.corpus.pieces(False, on_bytes):
            if ranges is None:
                if document >= len(self.lengths):
                    raise UsageError(f"the text of {self.corpus.name} changed while it was being read; start again")
                ranges = held_out_ranges(int(self.lengths[document]), self.share, self.stretches)
            while text and ranges:
                side, end = ranges[0]
                taken, text = text[: end - position], text[end - position :]
                position += len(taken)
                ends = position == end
                if taken:
                    yield side, taken, ends
                if ends:
                    ranges.pop(0)
            if last:
                document, position, ranges = document + 1, 0, None

    def texts(self, side):
        """Yield the pieces of text of one side."""
        for found, text, _ in self.pieces():
            if found == side:
                yield text


def held_out_ranges(length, share, stretches):
    """Cut a text of `length` characters in equal parts, the last `share` of each held out: [(side, end), ...].

    There are at most `stretches` parts, fewer where a held-out stretch would be shorter than `SHORTEST_STRETCH`.
    """
    parts = max(1, min(stretches, int(length * share) // SHORTEST_STRETCH))
    ranges = []
    for part in range(parts):
        start, end = length * part // parts, length * (part + 1) // parts
        cut = min(start + int((end - start) * (1 - share)), end - 1)
        ranges += [(TRAIN, cut), (HELD_OUT, end)]
    return ranges


def split_documents(corpus, held_out=None, seed=0, on_bytes=None):
    """Decide for every document of `corpus` whether it is trained on or held out. Reads the corpus once.

    held_out: the share to hold out, above 0 and at most 0.5 (default: the corpus's own). The documents with the smallest
    hashes of (content, seed) are held out, white space ignored, so that copies of a document fall on one side; a held-out
    document is kept once, and its copies are removed. If the corpus has held-out files, those are the held-out side, and
    training documents that occur in them are removed. A corpus of too few documents (an undivided text) is cut in equal
    parts, and the end of each is held out.

    Returns a Split. Raises ValueError if the corpus has no text, or none to train on, or the share is out of range.
    """
    share = corpus.held_out if held_out is None else held_out
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise InputTypeError(f"held_out must be a number, not {share!r}")
    if not 0 < share <= 0.5:
        raise UsageError(f"held_out is {share}; it is the share of the text to hold out, above 0 and at most 0.5")
    hashes, lengths = _fingerprints(corpus, False, on_bytes)
    if not lengths.sum():
        raise UsageError(f"{corpus.files[0]} holds no text, only white space or empty documents")
    nothing = np.zeros(0, np.uint8)

    if corpus.held_out_files:
        own_hashes, own_lengths = _fingerprints(corpus, True, on_bytes)
        if not own_lengths.sum():
            raise UsageError(f"{corpus.held_out_files[0]} holds no text, only white space or empty documents")
        known = np.isin(hashes, own_hashes)
        sides = np.where(known, DROPPED, TRAIN).astype(np.uint8)
        if known.all():
            raise UsageError(f"every document of {corpus.files[0]} is held out too; give different files")
        own_sides = np.where(_first_occurrence(own_hashes), HELD_OUT, DROPPED).astype(np.uint8)
        removed = int(known.sum() + (own_sides == DROPPED).sum())
        repeated = int((~_first_occurrence(hashes[~known])).sum())
        return Split(corpus, lengths, sides, own_sides, share, None, removed, repeated)

    keys = mix(hashes ^ mix(np.uint64(seed % 2**64)))
    distinct = np.unique(keys)
    wanted = int(round(len(distinct) * share))
    if len(distinct) < 2 or len(distinct) * share < 1:
        stretches = max(1, corpus.stretches // len(lengths))
        if lengths.max() < 2:
            raise UsageError(f"{corpus.files[0]} has no document of two characters: nothing is left to train on; give more text")
        what = "the text is one document"
        if len(lengths) > 1:
            what = f"the text has only {len(distinct)} different document{'s' if len(distinct) > 1 else ''}"
        notes = (
            () if corpus.stretches == 1 else (f"{what}: {share:.0%} of it is held out, in stretches, instead of by document",)
        )
        return Split(corpus, lengths, nothing, nothing, share, stretches, notes=notes)
    threshold = distinct[wanted - 1]
    first = _first_occurrence(keys)
    chosen = keys <= threshold
    sides = np.where(chosen, np.where(first, HELD_OUT, DROPPED), TRAIN).astype(np.uint8)
    return Split(corpus, lengths, sides, nothing, share, None, int((sides == DROPPED).sum()), int((~first & ~chosen).sum()))


def _fingerprints(corpus, held_out, on_bytes):
    """Hash and length of every document: (n,) uint64 and (n,) int64."""
    hashes, lengths = array("Q"), array("q")
    fingerprint, length = Fingerprint(), 0
    for text, last in corpus.pieces(held_out, on_bytes):
        fingerprint.update(text)
        length += len(text)
        if last:
            if corpus.marker is None and fingerprint.value() == Fingerprint().value():
                length = 0  # an undivided text of nothing but white space
            hashes.append(fingerprint.value())
            lengths.append(length)
            fingerprint, length = Fingerprint(), 0
    return np.frombuffer(hashes, np.uint64) if hashes else np.zeros(0, np.uint64), (
        np.frombuffer(lengths, np.int64) if lengths else np.zeros(0, np.int64)
    )


def _first_occurrence(hashes):
    """(n,) bool: whether no earlier entry has the same hash."""
    first = np.zeros(len(hashes), bool)
    first[np.unique(hashes, return_index=True)[1]] = True
    return first
