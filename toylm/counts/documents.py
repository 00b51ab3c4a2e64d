"""The documents that a model has learned, by fingerprint, so that only those can be forgotten."""

import hashlib

import numpy as np

from ..errors import UsageError


class Documents(dict):
    """Fingerprint of a document's ids -> how often it was learned. A document ends in the end token, or where its text ends."""

    @classmethod
    def of(cls, documents):
        """Of an iterable of arrays of ids."""
        found = cls()
        for ids in documents:
            found.add(ids)
        return found

    def add(self, ids):
        """Note that `ids` was learned."""
        key = _fingerprint(ids)
        self[key] = self.get(key, 0) + 1

    def as_learned(self, ids):
        """`ids`, closed by the end token, as it was learned: so, or without that token where the text ended before it.

        Raises ValueError where it was not.
        """
        for form in (ids, ids[:-1]):
            if _fingerprint(form) in self:
                return form
        raise UsageError(
            f"this document of {len(ids)} tokens is not among those learned: only a document that was fitted or added, with "
            f"exactly these tokens, can be removed"
        )

    def remove(self, ids):
        """Note that `ids`, as it was learned, is forgotten."""
        key = _fingerprint(ids)
        self[key] -= 1
        if not self[key]:
            del self[key]

    def to_tensors(self):
        """Name -> array, for a file."""
        keys = sorted(self)
        return {
            "documents": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16),
            "document_counts": np.array([self[key] for key in keys], np.int64),
        }

    @classmethod
    def from_tensors(cls, tensors):
        """The inverse of `to_tensors`."""
        return cls({key.tobytes(): int(n) for key, n in zip(tensors["documents"], tensors["document_counts"])})


def _fingerprint(ids):
    return hashlib.blake2b(np.ascontiguousarray(ids, "<i8").tobytes(), digest_size=16).digest()
