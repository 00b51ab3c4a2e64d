"""Checkpoints: a model, its tokenizer and, to go on training, the optimizer's state, in one Hugging Face model directory.

    step-000500/
      config.json  model.safetensors  tokenizer.json  tokenizer_config.json      the model
      counts.safetensors  counts.json                                            the counts that a model adds to its logits
      adapter/                                                                   low-rank corrections; loading merges them
      training.safetensors  training.json                                        what resuming needs, where it was given

A checkpoint appears whole or not at all: it is written under a temporary name, flushed to disk and renamed. An earlier one of
that name is put aside first ("step-000500.old-PID"); where a process is killed just then, a run goes on from what was put aside.
Nothing in it is code: tensors are safetensors, the rest is JSON.
"""

import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from ..errors import CheckpointError, MissingFileError, UsageError
from ..files import is_abandoned, is_partial, sync_directory, write_json, write_text
from ..schema import anything, mapping, number, optional, read_json, text, whole
from . import adapters, counted
from .families import read_model, write_model
from .safetensors_files import CONFIG, INDEX, WEIGHTS, SafetensorsFile, refuse_pickle, save_tensors
from .tokenizer_files import load_tokenizer

STEP_NAME = re.compile(r"step-(\d+)")
MOMENTS, TRAINING = "training.safetensors", "training.json"
# All that is ever written into a checkpoint's folder; the first two are in each.
FILES = (CONFIG, WEIGHTS, "tokenizer.json", "tokenizer_config.json", MOMENTS, TRAINING, counted.TENSORS, counted.FIELDS,
         adapters.EARLIER, "head_gram.safetensors")  # fmt: skip
FOLDERS = {adapters.FOLDER: adapters.FILES}
DESKTOP = (".DS_Store", "Thumbs.db", "desktop.ini")  # what a file manager leaves in a folder that was looked at
POINTERS = ("latest", "best")  # small text files in a run folder that name one of its checkpoints
_ASIDE = re.compile(r"(?P<name>.+)\.(?P<kind>tmp|old)-(?P<pid>\d+)")
_BEST = {"loop": {"best_step": optional(whole(0)), "best_loss": optional(number())}}  # what tells the best checkpoint
_TOLD = {
    "loop": optional({
        "step": optional(whole(0), null=False), "tokens": optional(whole(0), null=False),
        "seconds": optional(number(0), null=False),
    }, null=False),
    "batches": optional({"source": optional(anything())}),
}  # fmt: skip
# training.json as toylm.train writes it: LoopState, the optimizer, the position in the data, the sizes of the logs.
TRAINING_FORM = {
    "loop": {
        "step": whole(0),
        "seconds": number(0),
        "loss_sum": optional(number(), null=False),
        **dict.fromkeys(("tokens", "loss_count", "evaluations_since_best"), optional(whole(0), null=False)),
        **dict.fromkeys(("best_step", "evaluated_step"), optional(whole(0))),
        **dict.fromkeys(("first_loss", "best_loss"), optional(number())),
        "recent_losses": optional([number()], null=False),
        "finished": optional(text()),
    },
    "optimizer": {"name": text(), "step_count": whole(0)},
    "batches": {"epoch": whole(0), "position": whole(0), "seed": whole(), "context_length": whole(1), "source": anything()},
    "log_sizes": mapping(whole(0)),
}


class TrainingState(NamedTuple):
    """What resuming needs beside the model: `arrays`, name -> float array (the optimizer's), and `state`, JSON-able."""

    arrays: dict
    state: dict


class Checkpoint(NamedTuple):
    """What `load_checkpoint` returns. `tokenizer` and `training` are None where the checkpoint has none."""

    model: object
    tokenizer: object
    training: TrainingState | None
    path: Path


def save(model, directory, tokenizer=None, dtype=None):
    """Write a model as a checkpoint directory (toylm.save), as `save_checkpoint` does; tokenizer: None for the model's own."""
    return save_checkpoint(directory, model, tokenizer or model.tokenizer, dtype=dtype)


def load(path, precision="float32", threads=None):
    """The model of a checkpoint, a run (its best checkpoint) or a Hugging Face folder (toylm.load): a TransformerLM or a CountsLM.

    Its `tokenizer` is that of the folder, or None. Raises what `load_checkpoint` does.
    """
    return load_checkpoint(path, precision, threads).model


# -- saving ----------------------------------------------------------------------------------------------------------------


def save_checkpoint(directory, model, tokenizer=None, training=None, dtype=None, beside=None):
    """Write a checkpoint directory atomically and return its path; an earlier checkpoint of that name is replaced.

    `tokenizer` is a toylm.data.Tokenizer; `training` a TrainingState; `dtype` of the tensors: None for the model's, else
    "float32", "float16", "bfloat16" or "float64"; `beside`: further files, name -> a callable that writes it to a path (what
    a fitter keeps, see toylm.fitters). Raises ValueError if `directory` holds anything but a checkpoint's own files, OSError
    (a full disk, no permission) with nothing half-written left behind and the earlier checkpoint in its place.
    """
    given = _name_before(Path(directory))
    directory = given.resolve()  # resolved, because "." has no name to put a suffix behind
    replaces = directory.exists()
    if replaces:
        _check_replaceable(given, {*FILES, *(beside or {})})
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial, old = (directory.with_name(f"{directory.name}.{kind}-{os.getpid()}") for kind in ("tmp", "old"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        _write_files(partial, model, tokenizer, training, dtype)
        for name, write in (beside or {}).items():
            write(partial / name)
        for path in partial.rglob("*"):
            sync_directory(path) if path.is_dir() else _sync_file(path)
        sync_directory(partial)
        if replaces:
            # A directory cannot be replaced in one step where it is not empty: the old one makes way first.
            os.replace(directory, old)
            os.replace(partial, directory)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(partial, directory)
    except BaseException:
        if replaces and old.exists() and not directory.exists():
            os.replace(old, directory)
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_directory(directory.parent)
    _remove_leftovers(directory)
    return given


def foreign_files(directory, own=FILES):
    """Names of what lies in a checkpoint's folder and is no part of a checkpoint, sorted: such a folder is not to be deleted."""
    found = []
    for path in directory.iterdir():
        if path.is_dir() and path.name in FOLDERS and not path.is_symlink():
            inside = (inner.name for inner in path.iterdir())
            found += [f"{path.name}/{name}" for name in inside if not (name in (*FOLDERS[path.name], *DESKTOP) or is_partial(name))]
        elif not (path.name in DESKTOP or is_partial(path.name)) and (path.is_dir() or path.name not in own):
            found.append(path.name)
    return sorted(found)


def _check_replaceable(directory, own):
    """Raise ValueError unless the folder is empty, or a checkpoint with no files but those named in `own`: it is deleted."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is a file, and a checkpoint is a folder: choose another name")
    names = sorted(path.name for path in directory.iterdir() if path.name not in DESKTOP)
    foreign = foreign_files(directory, own)
    if foreign:
        raise UsageError(f"{directory} holds {foreign[0]}, which is no part of a checkpoint: choose a new or an empty folder")
    if names and not set(FILES[:2]) <= set(names):
        raise UsageError(f"{directory} holds {names[0]} and is not a checkpoint: choose a new or an empty folder")


def _write_files(directory, model, tokenizer, training, dtype):
    if tokenizer is None:
        write_model(directory, model, dtype)
    else:
        write_model(directory, model, dtype, tokenizer.end_id, tokenizer.start_id)
        tokenizer.save(directory, model_max_length=model.config.context_length)
    if training is not None:
        save_tensors(directory / MOMENTS, training.arrays, layout=json.dumps(_layout(model.parameters)))
        write_json(directory / TRAINING, training.state)


def _layout(parameters):
    return [[name, mat.nrows, mat.ncols] for name, mat in parameters.items()]


def _sync_file(path):
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _name_before(directory):
    """The name that a run's checkpoint had before a killed process put it aside, where that name is still missing."""
    match = _ASIDE.fullmatch(directory.name)
    if match and match["kind"] == "old" and STEP_NAME.fullmatch(match["name"]):
        before = directory.with_name(match["name"])
        return directory if before.exists() else before
    return directory


def _remove_leftovers(directory):
    """Remove what killed processes left under this name: checkpoints half-written and, in a run, those that were replaced."""
    for path in directory.parent.iterdir():
        match = _ASIDE.fullmatch(path.name)
        if match and match["name"] == directory.name and path.is_dir() and is_abandoned(path, int(match["pid"])):
            is_rubbish = match["kind"] == "tmp" or STEP_NAME.fullmatch(directory.name)
            if is_rubbish and not foreign_files(path):
                shutil.rmtree(path, ignore_errors=True)


# -- finding ---------------------------------------------------------------------------------------------------------------


def list_checkpoints(run):
    """The checkpoints in a run folder as (step, path), in the order of their steps."""
    named = {path.name: path for path in Path(run).iterdir() if STEP_NAME.fullmatch(path.name) and path.is_dir()}
    found = named | _put_aside(run)
    return sorted((int(STEP_NAME.fullmatch(name).group(1)), path) for name, path in found.items())


def recover_checkpoints(run):
    """Undo what a killed process left half-done, for whoever holds the run folder's lock.

    What it had put aside gets the name that is missing, and `best` names the best.
    """
    for name, path in _put_aside(run).items():
        os.replace(path, path.with_name(name))
    best = read_pointer(run, "best")
    if best is not None and best != _named_by(Path(run) / "best"):
        write_pointer(run, "best", best)


def _put_aside(folder, name=STEP_NAME.pattern):
    """Checkpoints that a killed process had put aside and not replaced yet, by the `name` (a pattern) that is missing."""
    folder, found = Path(folder), {}
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        match = re.fullmatch(rf"(?P<name>{name})\.old-\d+", path.name)
        if match and path.is_dir() and not path.with_name(match["name"]).exists():
            found[match["name"]] = path
    return found


def write_pointer(run, name, checkpoint):
    """Let `latest` or `best` in `run` name `checkpoint`, one of its directories."""
    write_text(Path(run) / name, Path(checkpoint).name + "\n")


def read_pointer(run, name):
    """The checkpoint directory that `latest` or `best` in `run` names, or None where there is none.

    A process killed between the two may have left `best` behind: what the latest checkpoint notes as the best is taken where its
    held-out loss is lower.
    """
    found = _named_by(Path(run) / name)
    latest = _named_by(Path(run) / "latest") if name == "best" else None
    if latest is None or found == latest:
        return found
    step = _best_noted(latest)[0]
    noted = None if step is None else _named(run, f"step-{step:06d}")
    return noted if noted is not None and _loss_noted(noted) < _loss_noted(found) else found


def _named_by(pointer):
    if pointer.is_dir():  # a symbolic link, made by hand, will do
        return pointer
    try:
        target = pointer.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return _named(pointer.parent, target) if STEP_NAME.fullmatch(target) else None


def _named(run, name):
    """The checkpoint of this name in a run folder, or what was put aside for it, or None."""
    directory = Path(run) / name
    return directory if directory.is_dir() else _put_aside(run).get(name)


def _best_noted(checkpoint):
    """(step, held-out loss) of the best evaluation until a checkpoint, as its training.json has them; None where it has none."""
    try:
        loop = read_json(checkpoint / TRAINING, _BEST)["loop"]
    except (FileNotFoundError, CheckpointError):
        return None, None
    return loop.get("best_step"), loop.get("best_loss")


def _loss_noted(checkpoint):
    """The held-out loss of a checkpoint that was the best when it was written; infinite for another and for none.

    Of one without training.json (a fit's, a link made by hand) nothing says more than the pointer: it counts as the lowest.
    """
    if checkpoint is None:
        return math.inf
    match = STEP_NAME.fullmatch(_name_before(checkpoint).name) or STEP_NAME.fullmatch(checkpoint.name)
    if match is None or not (checkpoint / TRAINING).is_file():
        return -math.inf
    step, loss = _best_noted(checkpoint)
    return loss if loss is not None and int(match.group(1)) == step else math.inf


def find_checkpoint(path, prefer="best"):
    """The checkpoint directory that `path` means: a checkpoint, RUN/latest, RUN/best, or a run folder.

    For a run folder the `prefer`red pointer decides ("best" or "latest"), else the other one, else the highest step. Raises
    FileNotFoundError or CheckpointError saying what is there instead.
    """
    path = Path(path)
    if path.name in POINTERS and not path.is_dir():
        found = read_pointer(path.parent, path.name)
        if found is None:
            raise MissingFileError(f"{path} names no checkpoint{_what_is_there(path.parent)}")
        return found
    if not path.exists():
        path = _instead_of(path)
    if not path.is_dir():
        raise CheckpointError(
            f"{path} is a file; a checkpoint is a folder with config.json and model.safetensors "
            f"(toylm import makes one of a llama2.c .bin or a .gguf file)"
        )
    if any((path / name).is_file() for name in ("config.json", WEIGHTS, INDEX)):
        return path
    for name in (prefer, *POINTERS):
        found = read_pointer(path, name)
        if found is not None:
            return found
    steps = list_checkpoints(path)
    if steps:
        return steps[-1][1]
    if (path / "run.json").is_file():
        raise CheckpointError(f"{path} is a run that has saved no checkpoint yet")
    refuse_pickle(path)
    raise CheckpointError(f"{path} holds neither a checkpoint (config.json, model.safetensors) nor a run's step-* folders")


def _instead_of(path):
    """The checkpoint of a run that was put aside for the missing `path`. Raises FileNotFoundError where there is none."""
    aside = _put_aside(path.parent, re.escape(path.name)).get(path.name)
    if aside is not None and STEP_NAME.fullmatch(path.name):
        return aside
    hint = "" if aside is None else f"; {aside.name} may be what a save put aside when it was interrupted: rename it to {path.name}"
    raise MissingFileError(f"{path} does not exist{hint or _what_is_there(path.parent)}")


def _what_is_there(folder):
    if not folder.is_dir():
        return ""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not names:
        return ""
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f"; {folder} holds {shown}"


# -- loading ---------------------------------------------------------------------------------------------------------------


def load_checkpoint(path, precision="float32", threads=None, training=False, prefer="best", transformer=False):
    """Open a checkpoint (or a run's, see `find_checkpoint`) and return a Checkpoint: model, tokenizer, training, path.

    With `training` the state that a run goes on from is read as well, and missing it is an error; with `transformer` a model that
    is none (counts) is refused. `model.tokenizer` is the tokenizer; ids from its size on (`model.valid_ids`), where a vocabulary is
    padded, are never generated. Raises FileNotFoundError where there is no checkpoint, CheckpointError where it is of another
    architecture, truncated, corrupt, or its parts do not fit together.
    """
    path = find_checkpoint(path, prefer)
    model = read_model(path, precision, threads, transformer or training)
    tokenizer = load_tokenizer(path, model.config.vocab_size)
    adapter = adapters.read_kept(path, model.config)
    if adapter is not None:
        adapter.merge(model)
    model.tokenizer = tokenizer
    if tokenizer is not None:
        model.valid_ids = min(tokenizer.vocab_size, model.config.vocab_size)
    return Checkpoint(model, tokenizer, _load_training(path, model.parameters) if training else None, path)


def read_training(path):
    """The training.json of a checkpoint directory, or None where it has none. Raises CheckpointError where it is damaged."""
    file = Path(path) / TRAINING
    return read_json(file, _TOLD) if file.is_file() else None


def _load_training(path, parameters):
    if not (path / TRAINING).is_file():
        raise CheckpointError(f"{path} holds a model only, no {TRAINING}: it can generate but not resume training")
    state, file = read_json(path / TRAINING, TRAINING_FORM), path / MOMENTS
    if not file.is_file():
        raise MissingFileError(f"{path} has no {file.name}: not a whole checkpoint")
    opened = SafetensorsFile(file)
    try:
        layout = json.loads(opened.metadata.get("layout", "null"))
    except (ValueError, RecursionError):
        raise CheckpointError(f"{file} is damaged: its layout is not valid JSON") from None
    if layout != _layout(parameters):
        raise CheckpointError(f"{file} was written for another parameter layout: cannot resume")
    arrays = {name: opened.read(name) for name in opened.names}
    for name, array in arrays.items():
        if array.shape != (parameters.size,) or array.dtype.kind != "f":
            raise CheckpointError(
                f"{file}: {name} has shape {array.shape} of {array.dtype.name}; the model has {parameters.size} parameters"
            )
    return TrainingState(arrays, state)
