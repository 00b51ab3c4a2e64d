"""Token files: the ids of a corpus in one flat array on disk, memory-mapped, so that its size does not matter.

`NAME.bin` is raw little-endian uint16 (uint32 for vocabularies above 65,536), without a header; `NAME.json` beside it says how
many tokens there are, of which vocabulary and tokenizer, how many documents and UTF-8 bytes of text, and a CRC-32. `NAME.npy`
lists the tokens that stand for other bytes of the text than their ids usually do, as unknown words and normalised text.
"""

import mmap
import zlib
from pathlib import Path

import numpy as np

from ..errors import MissingFileError, UsageError
from ..files import atomic_writer, write_json
from ..schema import optional, read_json, text, whole
from .windows import EvaluationWindows

FORMAT = "toylm tokens 1"
DTYPES = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
FORM = {
    "format": text(FORMAT), "dtype": text(*DTYPES), "tokens": whole(0), "vocab_size": whole(1), "end_id": whole(0),
    "documents": whole(0), "utf8_bytes": whole(0), "unknown_tokens": whole(0), "tokenizer": optional(text()), "crc32": whole(0),
}  # fmt: skip
_CHECK_TOKENS = 1 << 20  # tokens read at once when a file is checked
# Above this size, opening a file checks its ends only; `verify` reads all of it.
_CHECKED_BYTES = 64 << 20


def token_dtype(vocab_size):
    """The smallest unsigned type of at least 16 bits that holds the ids of a vocabulary."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


def _load_other_lengths(path):
    """(2, n) int64 of NAME.npy; None where there is none, as beside files of earlier versions."""
    if not path.exists():
        return None
    lengths = np.load(path, allow_pickle=False)
    if lengths.dtype != np.int64 or lengths.ndim != 2 or len(lengths) != 2:
        raise UsageError(f"{path.name} holds {lengths.dtype} of shape {lengths.shape}")
    return lengths


class TokenFile:
    """Tokens of a corpus: `.tokens`, a 1-D unsigned array, memory-mapped where it comes from a file.

    Attributes: `path`, `vocab_size`, `documents` (number of them), `utf8_bytes` (bytes of the text behind the tokens),
    `end_id` (the token that closes a document), `unknown_tokens` (how many are the unknown token), `tokenizer` (the
    tokenizer's digest). For `bytes_of`: `byte_lengths` ((V,) bytes each id stands for) and `other_lengths` ((2, n) int64: positions
    of the tokens that stand for other bytes, and how many more; None: not known). `name`: what messages call it.
    """

    def __init__(
        self,
        tokens,
        vocab_size,
        end_id=0,
        documents=1,
        utf8_bytes=0,
        unknown_tokens=0,
        tokenizer=None,
        path=None,
        crc32=None,
    ):
        self.tokens, self.vocab_size, self.end_id, self.path = tokens, int(vocab_size), int(end_id), path
        self.documents, self.utf8_bytes, self.unknown_tokens = int(documents), int(utf8_bytes), int(unknown_tokens)
        self.tokenizer, self.crc32, self.byte_lengths = tokenizer, crc32, None
        self.other_lengths, self.name, self._mapped = np.zeros((2, 0), np.int64), path or "the text", None

    @classmethod
    def open(cls, path):
        """Map the token file at `path` (NAME.bin). Raises FileNotFoundError if it or its JSON is missing, and ValueError if
        they do not belong together: truncated, corrupt, or with ids out of range."""
        path = Path(path)
        described = path.with_suffix(".json")
        for file in (path, described):
            if not file.exists():
                raise MissingFileError(f"there is no token file {file}; `toylm data` prepares one")
        try:
            about = read_json(described, FORM)
            lengths = _load_other_lengths(path.with_suffix(".npy"))
        except (ValueError, OSError, EOFError) as error:
            raise UsageError(f"{described} does not describe a token file ({error}); prepare the data again") from None
        dtype, count, vocab_size = DTYPES[about["dtype"]], about["tokens"], about["vocab_size"]
        fields = {k: about[k] for k in ("end_id", "documents", "utf8_bytes", "unknown_tokens", "tokenizer", "crc32")}
        size, expected = path.stat().st_size, count * dtype.itemsize
        if size != expected:
            what = "truncated" if size < expected else "too long"
            raise UsageError(f"{path} is {what}: {size} bytes, but {count} tokens take {expected}; prepare the data again")
        mapped = None
        if count:
            with open(path, "rb") as opened:
                mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        tokens = np.frombuffer(mapped, dtype) if count else np.zeros(0, dtype)
        file = cls(tokens, vocab_size, path=path, **fields)
        file._mapped, file.other_lengths = mapped, lengths
        if size <= _CHECKED_BYTES:
            file.verify()
        else:
            file._check_ids(0, _CHECK_TOKENS)
            file._check_ids(count - _CHECK_TOKENS, count)
        return file

    def verify(self):
        """Read all of it. Raises ValueError if an id is out of range or the CRC-32 is not the one that was written."""
        crc = 0
        for start in range(0, len(self), _CHECK_TOKENS):
            crc = zlib.crc32(self._check_ids(start, start + _CHECK_TOKENS), crc)
        if self.crc32 is not None and crc != self.crc32:
            raise UsageError(f"{self.path} is corrupt (its CRC-32 is not the one written); prepare the data again")

    def _check_ids(self, start, end):
        chunk = np.asarray(self.tokens[start:end])
        if len(chunk) and int(chunk.max()) >= self.vocab_size:
            where = start + int((chunk >= self.vocab_size).argmax())
            raise UsageError(
                f"{self.path or 'the token array'}: token {where} is {int(self.tokens[where])}, out of range for a vocabulary "
                f"of {self.vocab_size}; prepare the data again"
            )
        return chunk

    def check_size(self):
        """Raise ValueError where the mapped file was cut short meanwhile: reading past its end would end the process."""
        if self._mapped is not None and self._mapped.size() < self.tokens.nbytes:
            raise UsageError(f"{self.path} was truncated while it was being read; prepare the data again")

    def bytes_of(self, start, end):
        """UTF-8 bytes of the text that tokens start to end - 1 stand for; 0 where that is not known."""
        if (start, end) == (0, len(self)):
            return self.utf8_bytes
        if self.byte_lengths is None or self.other_lengths is None:
            return 0
        first, last = np.searchsorted(self.other_lengths[0], (start, end))
        return int(self.byte_lengths[self.tokens[start:end]].sum() + self.other_lengths[1, first:last].sum())

    def __len__(self):
        return len(self.tokens)

    def __repr__(self):
        return f"TokenFile({str(self.path)!r}, {len(self):,} tokens, {self.documents:,} documents, {self.tokens.dtype})"

    # What Batches asks of its source. Window i of an epoch holds tokens offset + i T .. offset + (i + 1) T, both ends included.

    def check_context(self, context_length):
        """`context_length`, if the file has a whole window of it. Raises ValueError saying how many tokens there are."""
        if context_length is None:
            raise UsageError("batches from a token file need a context_length")
        if len(self) < context_length + 1:
            raise UsageError(
                f"{self.name} has {len(self)} tokens; one context of {context_length} needs "
                f"{context_length + 1}: choose a context length of at most {max(len(self) - 1, 0)}, or give more text"
            )
        return int(context_length)

    def offsets(self, context_length):
        """Number of offsets at which an epoch's tiling can start."""
        return min(context_length, len(self) - context_length)

    def count_windows(self, context_length, offset=0):
        """Whole windows of context_length + 1 tokens from `offset` on; neighbours share one token."""
        return (len(self) - 1 - offset) // context_length

    def take(self, windows, offset, tokens, targets):
        """Copy the windows with these numbers into the rows of tokens and targets, (n, T) each."""
        self.check_size()
        length = tokens.shape[1]
        for row, window in enumerate(windows):
            start = offset + int(window) * length
            tokens[row] = self.tokens[start : start + length]
            targets[row] = self.tokens[start + 1 : start + length + 1]

    def identity(self):
        """What a saved position belongs to."""
        return f"{len(self)} tokens, CRC-32 {self.crc32:08x}" if self.crc32 is not None else f"{len(self)} tokens"

    def windows(self, context_length, batch_size, max_tokens=None):
        """The whole file once, in order, for evaluation: an `EvaluationWindows` of (tokens, targets) batches."""
        return EvaluationWindows(self, context_length, batch_size, max_tokens)


class TokenCollector:
    """Takes ids piece by piece and keeps them in memory; `collected()` is a TokenFile of them, without a file."""

    def __init__(self, vocab_size, end_id=0, tokenizer=None):
        self.vocab_size, self.end_id, self.tokenizer = int(vocab_size), int(end_id), tokenizer
        self.dtype = token_dtype(vocab_size)
        self.count = self.documents = self.utf8_bytes = self.unknown_tokens = self._crc = 0
        self._parts, self._others = [], []

    def write(self, ids, more_bytes=None):
        """Append ids, a list or an integer array. Raises ValueError if one is out of range.

        more_bytes: of each id, how many bytes of the text it stands for beyond those that its id usually does.
        """
        ids = np.asarray(ids)
        if more_bytes is not None and more_bytes.any():
            where = np.flatnonzero(more_bytes)
            self._others.append(np.stack([where + self.count, more_bytes[where]]))
        if not len(ids):
            return
        if int(ids.min()) < 0 or int(ids.max()) >= self.vocab_size:
            bad = next(int(i) for i in ids if i < 0 or i >= self.vocab_size)
            raise UsageError(f"token id {bad} is out of range for a vocabulary of {self.vocab_size}")
        ids = ids.astype(self.dtype)
        self._crc = zlib.crc32(ids, self._crc)
        self.count += len(ids)
        self._store(ids)

    def _store(self, ids):
        self._parts.append(ids)

    def _fields(self):
        names = ("end_id", "documents", "utf8_bytes", "unknown_tokens", "tokenizer")
        return {name: getattr(self, name) for name in names} | {"crc32": self._crc}

    def _other_lengths(self):
        return np.concatenate([np.zeros((2, 0), np.int64), *self._others], axis=1)

    def collected(self):
        """What was written, as a TokenFile."""
        tokens = np.concatenate(self._parts) if self._parts else np.zeros(0, self.dtype)
        found = TokenFile(tokens, self.vocab_size, **self._fields())
        found.other_lengths = self._other_lengths()
        return found


class TokenFileWriter(TokenCollector):
    """Writes a token file piece by piece; a context manager. On an exception nothing is left behind.

    with TokenFileWriter(path, vocab_size, end_id) as writer: writer.write(ids); writer.documents += 1; ...
    """

    def __init__(self, path, vocab_size, end_id=0, tokenizer=None):
        super().__init__(vocab_size, end_id, tokenizer)
        self.path = Path(path)
        if self.path.suffix != ".bin":
            raise UsageError(f"a token file's name ends in .bin, not as {self.path.name!r} does")

    def __enter__(self):
        self._context = atomic_writer(self.path)
        self._file = self._context.__enter__()
        return self

    def _store(self, ids):
        self._file.write(ids)

    def __exit__(self, *exception):
        handled = self._context.__exit__(*exception)
        if exception[0] is None:
            with atomic_writer(self.path.with_suffix(".npy")) as file:
                np.save(file, self._other_lengths())
            dtype = self.dtype.newbyteorder("=").name
            sizes = {"tokens": self.count, "vocab_size": self.vocab_size}
            write_json(self.path.with_suffix(".json"), {"format": FORMAT, "dtype": dtype} | sizes | self._fields())
        return handled
