"""Corpora by name or by path: where the text is, and how it falls into documents."""

import glob
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import MissingFileError, UsageError, nearest
from ..resources import resource_path
from .download import hub_file
from .text import END_OF_TEXT, contains, json_lines, read_chunks, split_pieces

TEXT_SUFFIXES = (".txt", ".text", ".md", ".rst")
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
TASK_PREFIX = "task:"


@dataclass(frozen=True)
class Corpus:
    """Text files and how they fall into documents. Iterating it yields the documents (str); it never holds all of them."""

    name: str
    files: tuple[Path, ...]
    held_out_files: tuple[Path, ...] = ()  # where the corpus brings its own held-out documents
    marker: str | None = None  # what ends a document; None: a file is a document
    held_out: float = 0.05  # share of the documents to hold out, if nothing else is asked for
    stretches: int = 10  # an undivided text has its held-out share taken from this many places
    limit: int | None = None  # stop after about this many characters, at the end of a document
    notes: tuple[str, ...] = field(default=())

    @property
    def bytes(self):
        """Size of the files, held-out files included."""
        return sum(os.path.getsize(f) for f in (*self.files, *self.held_out_files))

    def pieces(self, held_out=False, on_bytes=None):
        """Yield `(text, last)` pieces of the documents (see `toylm.data.text`); of the held-out files if `held_out`."""
        characters = 0
        for path in self.held_out_files if held_out else self.files:
            for text, last in self._pieces_of(path, on_bytes):
                characters += len(text)
                full = self.limit is not None and not held_out and characters >= self.limit
                if full and self.marker is None:
                    text, last = text[: len(text) - (characters - self.limit)], True
                yield text, last
                if full and last:
                    return

    def _pieces_of(self, path, on_bytes):
        if path.suffix.lower() not in JSON_LINES_SUFFIXES:
            return split_pieces(read_chunks(path, on_bytes), self.marker)
        return (piece for text in json_lines(path, on_bytes) for piece in split_pieces([text], self.marker))

    def __iter__(self):
        parts = []
        for text, last in self.pieces():
            parts.append(text)
            if last:
                yield "".join(parts)
                parts = []


@dataclass(frozen=True)
class Source:
    """An entry of the registry."""

    description: str
    size: str
    licence: str
    locate: Callable  # cache_dir -> (files, held-out files)
    held_out: float = 0.05
    stretches: int = 10


def _stories(cache_dir):
    return [resource_path("data", "stories.txt")], []


def _tinystories(cache_dir):
    instead = "without a network: --data stories, or the path of a text file"
    files = [
        hub_file("roneneldan/TinyStories", f"TinyStoriesV2-GPT4-{part}.txt", cache_dir, size, instead=instead)
        for part, size in (("train", "2.2 GB"), ("valid", "22 MB"))
    ]
    return files[:1], files[1:]


def _tinystories_valid(cache_dir):
    instead = "without a network: --data stories, or the path of a text file"
    return [hub_file("roneneldan/TinyStories", "TinyStoriesV2-GPT4-valid.txt", cache_dir, "22 MB", instead=instead)], []


# The file is the same wherever it is found (1,115,394 bytes), so its hash is what counts, not the repository.
_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def _shakespeare(cache_dir):
    local = os.environ.get("TOYLM_DATA")
    if local and os.path.exists(os.path.join(local, "tinyshakespeare.txt")):
        return [Path(local, "tinyshakespeare.txt")], []
    instead = "without a network: put tinyshakespeare.txt in a folder and name the folder in TOYLM_DATA"
    return [hub_file("Trelis/tiny-shakespeare", "input.txt", cache_dir, "1.1 MB", _SHAKESPEARE_SHA256, instead)], []


CORPORA = {
    "stories": Source("children's stories from toylm's own generator, embedded", "4.0 MB", "CC0-1.0", _stories),
    "tinystories": Source(
        "TinyStories V2 (arXiv 2305.07759), with its own held-out file; downloaded",
        "2.2 GB",
        "CDLA-Sharing-1.0",
        _tinystories,
    ),
    "tinystories-valid": Source(
        "the held-out file of TinyStories V2 alone, a smaller download",
        "22 MB",
        "CDLA-Sharing-1.0",
        _tinystories_valid,
    ),
    # The last tenth is held out, as everyone who reports a loss on this text does.
    "shakespeare": Source(
        "tiny Shakespeare, the last tenth held out; downloaded", "1.1 MB", "public domain", _shakespeare, 0.1, 1
    ),
}


def load_corpus(data, separator=None, cache_dir=None, limit=None, held_out_data=None):
    """Find a corpus and how it falls into documents.

    data: a name of the registry (`CORPORA`), the path of a text file (UTF-8, or UTF-16 with a byte-order mark), of a folder of
    .txt, .text, .md or .rst files, a pattern such as "books/*.txt", or a list of these. Of a .jsonl file each line is a document,
    the string in its field "text". Documents end at `<|endoftext|>` where the text has it, else at
    `separator` (line ends of any kind match each other), else every file is one document. limit: read about this many
    characters, whole documents. held_out_data: what to hold out, named like `data`, instead of a share of it. cache_dir: where
    downloads go (default: the hub's cache).

    Returns a Corpus. Raises FileNotFoundError for a missing path or a failed download; ValueError for an unknown name (with
    the nearest one), an empty or non-UTF-8 file, a folder without text, or a separator that the text does not have.
    """
    options = {}
    if isinstance(data, str) and data in CORPORA:
        source = CORPORA[data]
        files, held_out_files = source.locate(cache_dir)
        name, options = data, {"held_out": source.held_out, "stretches": source.stretches}
    else:
        files, held_out_files = _files_of(data, cache_dir), []
        name = _name(data, files)
    if held_out_data is not None:
        held_out_files = _files_of(held_out_data, cache_dir)
        same = {f.resolve() for f in files} & {f.resolve() for f in held_out_files}
        if same:
            raise UsageError(f"{sorted(same)[0]} is both training and held-out text; give different files")
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit} characters; it must be at least 1")
    if separator is not None:  # as in the text
        separator = separator.replace("\r\n", "\n").replace("\r", "\n")
    files, held_out_files = _not_empty(files), _not_empty(held_out_files)
    marker, notes = _marker((*files, *held_out_files), separator)
    return Corpus(name, files, held_out_files, marker, limit=limit, notes=notes, **options)


def _files_of(data, cache_dir):
    """The text files of a corpus name, a path, or a list of either."""
    if isinstance(data, str) and data in CORPORA:
        return CORPORA[data].locate(cache_dir)[0]
    if isinstance(data, str | os.PathLike):
        return find_files(data)
    files = [path for item in data for path in _files_of(item, cache_dir)]
    if not files:
        raise UsageError("an empty list of paths names no text; give at least one file")
    return files


def find_files(data):
    """The text files that a path, a folder or a pattern names, as a list of Paths in a fixed order."""
    path = Path(data).expanduser()
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in TEXT_SUFFIXES and p.is_file())
        found = [p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)]
        if not found:
            raise UsageError(
                f"the folder {path} holds no text file ({', '.join(TEXT_SUFFIXES)}); name the files, or give a pattern such "
                f"as '{path}/*.csv'"
            )
        return found
    if path.exists():
        if not path.is_file():
            raise UsageError(f"{path} is no regular file; write its text to a file first")
        return [path]
    if glob.has_magic(str(path)):
        found = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if os.path.isfile(p))
        if not found:
            raise MissingFileError(f"no file matches {str(path)!r}")
        return found
    name = str(data)
    if path.suffix or os.sep in name or "/" in name:
        raise MissingFileError(f"there is no file or folder {name!r}")
    raise UsageError(f"there is no corpus and no file called {name!r}{nearest(name, CORPORA)}")


def _name(data, files):
    if isinstance(data, str | os.PathLike) and not glob.has_magic(str(data)):
        return Path(data).expanduser().resolve().stem
    return files[0].stem if len(files) == 1 else f"{files[0].stem} and {len(files) - 1} more"


def _not_empty(files):
    kept = tuple(f for f in files if os.path.getsize(f))
    if files and not kept:
        raise UsageError(f"{files[0]} is empty (0 bytes); give a UTF-8 text file")
    return kept


def _marker(files, separator):
    if separator == "":
        raise UsageError("the separator is empty; give the string that ends a document, such as '\\n\\n'")
    if any(contains(f, END_OF_TEXT) for f in files):
        if separator not in (None, END_OF_TEXT):
            return END_OF_TEXT, (f"the text ends its documents with {END_OF_TEXT}, so the separator {separator!r} is not used",)
        return END_OF_TEXT, ()
    if separator is None:
        return None, ()
    if not any(contains(f, separator) for f in files):
        more = f" (or the {len(files) - 1} other files)" if len(files) > 1 else ""
        raise UsageError(
            f"the separator {separator!r} does not occur in {files[0]}{more}; without a separator a text is one document"
        )
    return separator, ()
