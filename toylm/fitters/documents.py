"""The documents that a model has learned, by fingerprint, so that only those can be forgotten; and adding and removing them."""

import hashlib
import json
import time

import numpy as np

from ..errors import UsageError

# What `toylm fit` reads where documents are added and removed (see command.FAMILIES).
CHANGES = ("--add and --remove", ("add", "remove", "separator", "out", "overwrite", "json", "threads"))


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
        raise ValueError(
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


def change_documents(args, learner, tokenizer):
    """`--remove FILE ...`, then `--add FILE ...`: `learner.remove(ids)` and `learner.add(ids)` of every document in the files.

    Returns a row a document: action, file, tokens, seconds. Raises UsageError for a file without text and for what the learner
    refuses; what the learner holds is then of no use.
    """
    from ..data import load_corpus

    done = []
    for action, files in (("remove", args.remove), ("add", args.add)):
        for file in files:
            documents = [document for document in load_corpus(file, args.separator) if document.strip()]
            if not documents:
                raise UsageError(f"{file} holds no text, only white space or empty documents")
            for document in documents:
                ids = [*tokenizer.encode(document), tokenizer.end_id]
                began = time.perf_counter()
                try:
                    getattr(learner, action)(ids)
                except ValueError as error:
                    raise UsageError(f"{file}: {error}") from None
                done.append({"action": action, "file": file, "tokens": len(ids), "seconds": time.perf_counter() - began})
    return done


def print_changes(args, path, done, tokens, total):
    """What `change_documents` did and where it was saved; tokens: all that are learned now; total: the same as a line."""
    from ..console import duration

    if args.json:
        print(json.dumps({"checkpoint": str(path), "documents": done, "tokens": tokens}, ensure_ascii=False))
        return
    for row in done:
        word = "added" if row["action"] == "add" else "removed"
        spent = f"{row['seconds'] * 1000:.0f} ms" if row["seconds"] < 1 else duration(row["seconds"])
        print(f"{word:<13}{row['file']}: {row['tokens']:,} tokens in {spent}")
    print(total)
    print(f"saved        {path}")
