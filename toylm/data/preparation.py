"""From a name or a path to everything training needs: split, tokenizer, token files; kept in a folder and reused."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import numpy as np
import tokenizers

from ..errors import MissingFileError, UsageError, nearest
from ..files import sync_directory, write_json
from ..resources import cache_directory, lock_of, locked
from ..schema import read_json, text, whole
from .batches import Batches
from .corpora import TASK_PREFIX, load_corpus
from .encoding import write_tokens
from .examples import ExampleSet
from .progress import Progress
from .split import TRAIN, split_documents
from .tasks import TASKS, task_dataset, task_vocab_size
from .token_file import TokenFile
from .tokenizer import LEVELS, Tokenizer, resolve_tokenizer, train_tokenizer

VERSION = 2  # of what is written; part of the key
MARK = "prepared.json"  # written first, empty: the folder is ours; and once more at last: it is whole
FILES = (
    *(f"{side}.{ending}" for side in ("train", "held_out") for ending in ("bin", "json", "npy")),
    "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
_SIDE = {"documents": whole(0), "tokens": whole(0), "bytes": whole(0), "unknown_tokens": whole(0)}
FORM = {
    "name": text(), "key": text(), "notes": [text()],
    "counts": {"train": _SIDE, "held_out": _SIDE, "duplicates_removed": whole(0), "repeated_documents": whole(0)},
}  # fmt: skip

TOKENIZER_CHARACTERS = 100_000_000  # a tokenizer is trained on at most this much of the training text
TASK_EXAMPLES = 4096  # of a synthetic task
TASK_LENGTH = 512  # of its sequences, where no context length is given
LONGEST_TASK = 16384  # tokens of a sequence: more of TASK_EXAMPLES would take gigabytes


@dataclass
class Prepared:
    """A corpus ready for training.

    `counts`: {"train": {"documents", "tokens", "bytes", "unknown_tokens"}, "held_out": the same, "duplicates_removed",
    "repeated_documents"}. `notes`: sentences that the user should see. `tokenizer` is None for a synthetic task of bare ids.
    """

    name: str
    train: object  # TokenFile, or ExampleSet for a task
    held_out: object
    tokenizer: Tokenizer | None
    counts: dict
    notes: list = field(default_factory=list)
    path: Path | None = None  # the folder it is kept in
    reused: bool = False  # nothing had to be done

    @property
    def vocab_size(self):
        """Number of token ids."""
        return self.train.vocab_size

    def batches(self, batch_size, context_length=None, seed=0):
        """Endless training batches; see `Batches`."""
        return Batches(self.train, batch_size, context_length, seed)

    def check_context(self, context_length):
        """Raises ValueError if the training text is shorter than one context, or the held-out text is empty."""
        self.train.check_context(context_length)
        if not len(self.held_out):
            raise UsageError(f"{self.name} has no held-out tokens: raise held_out, or give more text")

    def _call(self, name):
        """What messages call the token files: the text that the user knows, not a file of the cache."""
        self.train.name = self.held_out.name = name


def prepare(
    data,
    out=None,
    tokenizer=None,
    vocab_size=None,
    held_out=None,
    separator=None,
    seed=0,
    context_length=None,
    limit=None,
    held_out_data=None,
    cache_dir=None,
    progress=True,
):
    """Prepare a corpus for training, or reuse what an earlier call with the same settings and the same files left in `out`.

    data: a corpus name, path, pattern or list (see `load_corpus`), "task:NAME" (a synthetic task), or a folder that
    `prepare` made, which is taken as it is. out: the folder for tokenizer and token files (default: one in toylm's cache).
    tokenizer: "bpe" (the default), "char", "byte", "word", a Tokenizer, or the path of a tokenizer.json or of a folder with one,
    such as a checkpoint. vocab_size: see `train_tokenizer`. held_out: share of the documents. held_out_data: what to hold out
    instead. seed: of the split by document. What a text has no use for is refused (see `idle_options`). context_length: check that
    there is at least one window. limit: characters to read. cache_dir: where downloads go. progress: show it on stderr.

    The tokenizer is trained on training documents only. Memory stays bounded whatever the size of the corpus, but for 9 bytes
    a document. Nothing half-done is left behind by an error or Ctrl-C, and what a killed process left is removed by the next one.
    Of several processes that prepare the same folder one works and the others wait. Returns a Prepared. Raises ValueError,
    TypeError or FileNotFoundError, in one sentence, for whatever is wrong with the input.
    """
    if context_length is not None and context_length < 1:
        raise UsageError(f"context_length is {context_length}; it must be at least 1")
    given = {
        "out": out, "tokenizer": tokenizer, "vocab_size": vocab_size, "held_out": held_out, "separator": separator,
        "seed": seed or None, "limit": limit, "held_out_data": held_out_data,
    }  # fmt: skip
    for name, why in idle_options(data, tokenizer).items():
        if given[name] is not None:
            raise UsageError(f"{name} {why}")
    if isinstance(data, str) and data.startswith(TASK_PREFIX):
        prepared = _task(data, seed, held_out, context_length)
    elif is_prepared(data):
        with locked(data, "prepares"):
            _remove_leftovers(Path(data))
            prepared = load_prepared(data)
    else:
        tokenizer = resolve_tokenizer("bpe" if tokenizer is None else tokenizer)
        corpus = load_corpus(data, separator, cache_dir, limit, held_out_data)
        if corpus.held_out_files:
            for name in ("held_out", "seed"):
                if given[name] is not None:
                    what = held_out_data or f"the file that comes with {corpus.name}"
                    raise UsageError(f"{name} is {given[name]}, but what is held out is {what}: leave {name} out")
        settings = _settings(corpus, tokenizer, vocab_size, held_out, seed)
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        out = Path(out) if out is not None else prepared_directory() / f"{corpus.name}-{key[:12]}"
        with locked(out, "prepares"):
            _remove_leftovers(out)
            prepared = _reuse(out, key)
            if prepared is None:
                prepared = _make(corpus, out, tokenizer, vocab_size, held_out, seed, context_length, settings, key, progress)
        prepared._call(_known_as(corpus))
        if seed and prepared.counts.get("stretches"):
            raise UsageError(f"seed is {seed}, but {corpus.name} is not split by document, it changes nothing: leave it out")
    if context_length is not None:
        prepared.check_context(context_length)
    return prepared


def idle_options(data, tokenizer=None):
    """The options of `prepare` that decide nothing for this text and tokenizer: name -> why, the end of a sentence."""
    if is_prepared(data):
        names = ("out", "tokenizer", "vocab_size", "held_out", "separator", "seed", "limit", "held_out_data")
        return dict.fromkeys(names, f"was decided when {data} was prepared: leave it out, or prepare the text again")
    if isinstance(data, str) and data.startswith(TASK_PREFIX):
        names = ("out", "tokenizer", "vocab_size", "separator", "limit", "held_out_data")
        return dict.fromkeys(names, f"is for text, and {data} has none: leave it out")
    exists = isinstance(tokenizer, Tokenizer) or (tokenizer not in (None, *LEVELS) and os.path.exists(tokenizer))
    if not exists and tokenizer != "byte":
        return {}
    own = "the byte tokenizer" if tokenizer == "byte" else "a tokenizer that exists"
    return {"vocab_size": f"cannot be chosen with {own}: leave it out"}


def prepared_directory():
    """Where texts are kept that are prepared without a folder of their own."""
    return cache_directory() / "prepared"


def is_prepared(data):
    """Whether `data` is a folder that `prepare` made."""
    return isinstance(data, str | os.PathLike) and (Path(data) / MARK).is_file()


def load_prepared(directory):
    """Open a folder that `prepare` made. Raises FileNotFoundError or ValueError if it is not whole."""
    directory = Path(directory)
    if not (directory / MARK).is_file():
        raise MissingFileError(f"{directory} holds no prepared data; make it with `toylm data SOURCE --out {directory}`")
    try:
        about = read_json(directory / MARK, FORM)
    except ValueError as error:
        raise UsageError(f"{directory / MARK} is corrupt; prepare the data again ({error})") from None
    tokenizer = Tokenizer.load(directory)
    sides = [TokenFile.open(directory / f"{side}.bin") for side in ("train", "held_out")]
    for side in sides:
        if side.tokenizer != tokenizer.digest:
            raise UsageError(f"{side.path} was made with another tokenizer than the one in {directory}; prepare the data again")
        side.byte_lengths = tokenizer.byte_lengths
    return Prepared(about["name"], *sides, tokenizer, about["counts"], about["notes"], directory)


def _settings(corpus, tokenizer, vocab_size, held_out, seed):
    """Everything that the result depends on, JSON-able: settings, library versions, and the files by size and time."""
    stamps = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in (*corpus.files, *corpus.held_out_files)]
    trained = isinstance(tokenizer, str)
    return {
        "version": VERSION,
        "tokenizers": tokenizers.__version__,
        "files": stamps,
        "own_held_out_files": len(corpus.held_out_files),
        "marker": corpus.marker,
        "stretches": corpus.stretches,
        "limit": corpus.limit,
        "held_out": corpus.held_out if held_out is None else held_out,
        "seed": seed,
        "tokenizer": tokenizer if trained else tokenizer.digest,
        "vocab_size": vocab_size if trained else None,
    }


def _reuse(out, key):
    """What `out` holds, if it is whole and has this key; else None."""
    try:
        if json.loads((out / MARK).read_text(encoding="utf-8"))["key"] == key:
            prepared = load_prepared(out)
            prepared.reused = True
            return prepared
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent, older or damaged: it is made again
    return None


def _make(corpus, out, tokenizer, vocab_size, held_out, seed, context_length, settings, key, progress):
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; the output must be a folder")
    _check_unused(out)
    with Progress(f"reading {corpus.name}", corpus.bytes, show=progress) as bar:
        split = split_documents(corpus, held_out, seed, bar.update)
    notes = [*corpus.notes, *split.notes]
    if isinstance(tokenizer, str):
        level, tokenizer = tokenizer, _trained(corpus, split, tokenizer, vocab_size, progress)
        if vocab_size is not None and tokenizer.vocab_size < vocab_size and level != "byte":
            notes.append(f"the text supports {tokenizer.vocab_size:,} {level} tokens, fewer than the {vocab_size:,} asked for")
    with _staging(out) as staging:
        counts = write_tokens(corpus, split, tokenizer, staging, progress)
        sides = {name: counts[name]["unknown_tokens"] / max(counts[name]["tokens"], 1) for name in ("train", "held_out")}
        if sides["held_out"]:
            notes.append(
                f"{sides['held_out']:.2%} of the held-out tokens are unknown to the tokenizer ({sides['train']:.2%} of the "
                f"training tokens): bits per byte come out too low"
            )
        made = Prepared(corpus.name, *(TokenFile.open(staging / f"{s}.bin") for s in ("train", "held_out")), tokenizer, counts)
        if context_length is not None:
            made._call(_known_as(corpus))
            made.check_context(context_length)
        del made  # Windows does not rename what is mapped
        tokenizer.save(staging, context_length)
        if _settings(corpus, tokenizer, None, held_out, seed)["files"] != settings["files"]:
            raise UsageError(f"the text of {corpus.name} changed while it was being read; start again")
        about = {"name": corpus.name, "key": key, "counts": counts, "notes": notes, "settings": settings}
        write_json(staging / MARK, about)
        write_json(out / MARK, {})
        for name in (*FILES, MARK):
            os.replace(staging / name, out / name)
        sync_directory(out)
    return load_prepared(out)


def _check_unused(out):
    """Raise ValueError where a file of ours would take the place of another program's, or of a model's tokenizer."""
    ours = () if (out / MARK).exists() else FILES
    for name in ("config.json", *ours):
        if (out / name).exists():
            raise UsageError(f"{out} holds {name} and is no folder of prepared data: choose a new or an empty one with --out")


def _known_as(corpus):
    """What the user knows the text by."""
    return corpus.files[0] if len(corpus.files) == 1 else corpus.name


def _trained(corpus, split, level, vocab_size, progress):
    total = int(min(split.lengths.sum(), TOKENIZER_CHARACTERS))
    with Progress(f"training the {level} tokenizer", total, "characters", show=progress) as bar:

        def texts():
            taken = 0
            for text in split.texts(TRAIN):
                yield text
                taken += len(text)
                bar.update(len(text))
                if taken >= TOKENIZER_CHARACTERS:
                    return

        return train_tokenizer(texts(), level, vocab_size)


@contextlib.contextmanager
def _staging(out):
    """A temporary folder inside `out`, removed whatever happens; so is `out`, if it was made for nothing."""
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".preparing-", dir=out))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if made and not any(out.iterdir()):
            out.rmdir()


def _remove_leftovers(out):
    """Remove what killed processes left in `out`, whose lock we hold, and in the other folders of the cache."""
    for old in out.glob(".preparing-*"):
        shutil.rmtree(old, ignore_errors=True)
    for folder in prepared_directory().glob("*"):
        if folder.resolve() == out.resolve() or not any(folder.glob(".preparing-*")):
            continue
        with contextlib.suppress(filelock.Timeout), lock_of(folder).acquire(timeout=0):
            for old in folder.glob(".preparing-*"):
                shutil.rmtree(old, ignore_errors=True)
            if not any(folder.iterdir()):
                folder.rmdir()


def _task(data, seed, held_out, context_length):
    """A synthetic task: its examples split at random, those of the training side removed from the held-out side."""
    task = data.removeprefix(TASK_PREFIX).replace("_", "-")
    if task not in TASKS:
        raise UsageError(f"there is no task {task!r}{nearest(task, TASKS)}")
    share = 0.1 if held_out is None else held_out
    if not 0 < share <= 0.5:
        raise UsageError(f"held_out is {share}; it is the share of the examples to hold out, above 0 and at most 0.5")
    length = context_length or TASK_LENGTH
    if length > LONGEST_TASK:
        raise UsageError(f"context_length is {length}; the sequences of a task have at most {LONGEST_TASK} tokens: choose fewer")
    if task == "reverse":
        length //= 2  # the input, then the answer
    inputs, targets = task_dataset(task, TASK_EXAMPLES, max_len=length, seed=seed)
    order = np.random.default_rng([seed, 1]).permutation(len(inputs))
    count = max(1, round(len(inputs) * share))
    known = {row.tobytes() for row in inputs[order[count:]]}
    kept = [i for i in order[:count] if inputs[i].tobytes() not in known]
    if not kept:
        raise UsageError(f"{data}: every held-out example of {length} tokens occurs in training too; choose a longer context")
    vocab_size = task_vocab_size(inputs, targets)
    sides = [ExampleSet(inputs[rows], targets[rows], vocab_size) for rows in (order[count:], kept)]
    counts = {
        name: {"documents": side.documents, "tokens": len(side), "bytes": 0, "unknown_tokens": 0}
        for name, side in zip(("train", "held_out"), sides)
    }
    counts |= {"duplicates_removed": count - len(kept), "repeated_documents": 0}
    return Prepared(data, *sides, None, counts)
