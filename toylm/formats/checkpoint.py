"""Checkpoints: a model, its tokenizer and, to go on training, the optimizer's state, in one Hugging Face model directory.

    step-000500/
      config.json  model.safetensors  tokenizer.json  tokenizer_config.json      the model
      counts.safetensors  counts.json                                            the counts that a model adds to its logits
      training.safetensors  training.json                                        what resuming needs, where it was given

A checkpoint appears whole or not at all: it is written under a temporary name, flushed to disk and renamed. An earlier one of
that name is put aside first ("step-000500.old-PID"); where a process is killed just then, a run goes on from what was put aside.
Nothing in it is code: tensors are safetensors, the rest is JSON.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import CheckpointError
from ..files import sync_directory, write_json, write_text
from .huggingface import canonical_names, entries_of, from_hf_config, to_hf_config
from .safetensors_files import INDEX, WEIGHTS, SafetensorsFile, WeightFiles, refuse_pickle, save_tensors
from .tensors import expected, fill, to_tensors

STEP_NAME = re.compile(r"step-(\d+)")
ADAPTER = "adapter.safetensors"  # low-rank corrections kept beside the weights: loading merges them
# All that is ever written into a checkpoint's folder; the first two are in each.
FILES = ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "training.safetensors", "training.json",
         "counts.safetensors", "counts.json", ADAPTER, "head_gram.safetensors")  # fmt: skip
DESKTOP = (".DS_Store", "Thumbs.db", "desktop.ini")  # what a file manager leaves in a folder that was looked at
POINTERS = ("latest", "best")  # small text files in a run folder that name one of its checkpoints


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


# -- saving ----------------------------------------------------------------------------------------------------------------


def save_checkpoint(directory, model, tokenizer=None, training=None, dtype=None, beside=None):
    """Write a checkpoint directory atomically and return its path; an earlier checkpoint of that name is replaced.

    `tokenizer` is a toylm.data.Tokenizer; `training` a TrainingState; `dtype` of the tensors: None for the model's, else
    "float32", "float16", "bfloat16" or "float64"; `beside`: further files, name -> a callable that writes it to a path (what
    a fitter keeps, see toylm.fitters). Raises ValueError if `directory` holds anything but a checkpoint's own files, OSError
    (a full disk, no permission) with nothing half-written left behind and the earlier checkpoint in its place.
    """
    given, directory = Path(directory), Path(directory).resolve()  # resolved, because "." has no name to put a suffix behind
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
        for file in partial.iterdir():
            _sync_file(file)
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
    return given


def foreign_files(directory, own=FILES):
    """Names of what lies in a checkpoint's folder and is no part of a checkpoint, sorted: such a folder is not to be deleted."""
    inside = (path for path in directory.iterdir() if path.name not in DESKTOP)
    return sorted(path.name for path in inside if path.name not in own or path.is_dir())


def _check_replaceable(directory, own):
    """Raise ValueError unless the folder is empty, or a checkpoint with no files but those named in `own`: it is deleted."""
    if not directory.is_dir():
        raise ValueError(f"{directory} is a file, and a checkpoint is a folder: choose another name")
    names = sorted(path.name for path in directory.iterdir() if path.name not in DESKTOP)
    foreign = foreign_files(directory, own)
    if foreign:
        raise ValueError(f"{directory} holds {foreign[0]}, which is no part of a checkpoint: choose a new or an empty folder")
    if names and not set(FILES[:2]) <= set(names):
        raise ValueError(f"{directory} holds {names[0]} and is not a checkpoint: choose a new or an empty folder")


def _write_files(directory, model, tokenizer, training, dtype):
    end_id = 0 if tokenizer is None else tokenizer.end_id
    dtype = "float64" if _is_counted(model.config) else dtype or model.dtype.name
    start_id = end_id if tokenizer is None else tokenizer.start_id
    write_json(directory / "config.json", to_hf_config(model.config, end_id, dtype, start_id))
    if _is_counted(model.config):
        _write_counted(directory, model)
    else:
        save_tensors(directory / "model.safetensors", to_tensors(entries_of(model.config), model.parameters), dtype)
    if getattr(model, "counts", None) is not None:
        from ..counts.files import save_beside

        save_beside(directory, model.counts)
    if tokenizer is not None:
        tokenizer.save(directory, model_max_length=model.config.context_length)
    if training is not None:
        layout = [[name, m.nrows, m.ncols] for name, m in ((n, model.parameters[n]) for n in model.parameters.names)]
        arrays = {name: np.ascontiguousarray(array) for name, array in training.arrays.items()}
        save_tensors(directory / "training.safetensors", arrays, layout=json.dumps(layout))
        write_json(directory / "training.json", training.state)


def _is_counted(config):
    from ..counts.config import CountsConfig

    return isinstance(config, CountsConfig)


def _write_counted(directory, model):
    """A counts model: integer tensors, whatever dtype was asked for, and beside its configuration what fitting measured."""
    from ..counts.files import to_fields
    from ..counts.files import to_tensors as counted_tensors

    save_tensors(directory / "model.safetensors", counted_tensors(model))
    file = directory / "config.json"
    write_json(file, {**read_json(file), **to_fields(model)})


def _load_counted(path):
    from ..counts.files import from_tensors

    files = WeightFiles(path)
    return from_tensors(read_json(path / "config.json"), {name: files.read(name) for name in files.names}, files.path)


def _sync_file(path):
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


# -- finding ---------------------------------------------------------------------------------------------------------------


def list_checkpoints(run):
    """The checkpoints in a run folder as (step, path), in the order of their steps."""
    named = {path.name: path for path in Path(run).iterdir() if STEP_NAME.fullmatch(path.name) and path.is_dir()}
    found = named | _put_aside(run)
    return sorted((int(STEP_NAME.fullmatch(name).group(1)), path) for name, path in found.items())


def recover_checkpoints(run):
    """Rename what a killed process had put aside to the name that is missing; for whoever holds the run folder's lock."""
    for name, path in _put_aside(run).items():
        os.replace(path, path.with_name(name))


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
    """The checkpoint directory that `latest` or `best` in `run` names, or None where there is none."""
    path = Path(run) / name
    if path.is_dir():  # a symbolic link, made by hand, will do
        return path
    try:
        target = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    directory = path.parent / target
    if not STEP_NAME.fullmatch(target):
        return None
    return directory if directory.is_dir() else _put_aside(path.parent).get(target)


def find_checkpoint(path, prefer="best"):
    """The checkpoint directory that `path` means: a checkpoint, RUN/latest, RUN/best, or a run folder.

    For a run folder the `prefer`red pointer decides ("best" or "latest"), else the other one, else the highest step. Raises
    FileNotFoundError or CheckpointError saying what is there instead.
    """
    path = Path(path)
    if path.name in POINTERS and not path.is_dir():
        found = read_pointer(path.parent, path.name)
        if found is None:
            raise FileNotFoundError(f"{path} names no checkpoint{_what_is_there(path.parent)}")
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
    raise FileNotFoundError(f"{path} does not exist{hint or _what_is_there(path.parent)}")


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

    With `training` the optimizer's state is read as well, and missing it is an error; with `transformer` so is a model that is
    none (counts). Raises FileNotFoundError where there is no checkpoint, CheckpointError where it is of another architecture,
    truncated, corrupt, or its parts do not fit together.
    """
    from ..model.transformer import TransformerLM

    path = find_checkpoint(path, prefer)
    config = read_config(path)
    tokenizer = _load_tokenizer(path)
    if tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"{path}: the tokenizer has {tokenizer.vocab_size} tokens and the model only {config.vocab_size}; "
            f"they do not belong together"
        )
    if _is_counted(config):
        if training or transformer:
            raise CheckpointError(
                f"{path} holds a counts model, not a transformer: toylm generate, evaluate, info and fit --add or --remove open it"
            )
        return Checkpoint(_load_counted(path), tokenizer, None, path)
    files, entries = open_weights(path, config)
    model = TransformerLM(config, seed=0, precision=precision, threads=threads)
    for name, entry in entries.items():
        fill(entry, model.parameters, files.read(name), files.path)
    if (path / ADAPTER).is_file():
        from ..fitters.lora import Adapter

        Adapter.load(path / ADAPTER).merge(model)
    if config.counts:
        from ..counts.files import load_beside

        model.counts = load_beside(path)
    return Checkpoint(model, tokenizer, _load_training(path, model.parameters) if training else None, path)


def read_config(path):
    """The ModelConfig of a checkpoint directory. Raises FileNotFoundError or CheckpointError."""
    file = Path(path) / "config.json"
    return from_hf_config(read_json(file), file)


def read_training(path):
    """The training.json of a checkpoint directory, or None where it has none."""
    file = Path(path) / "training.json"
    return read_json(file) if file.is_file() else None


def read_json(file):
    """The object in one of a checkpoint's or a run's JSON files. Raises FileNotFoundError or CheckpointError naming it."""
    if not file.is_file():
        raise FileNotFoundError(f"{file.parent} has no {file.name}: not a whole checkpoint")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} is damaged: not a JSON object")
    return value


def _load_tokenizer(path):
    if not (path / "tokenizer.json").is_file():
        return None
    from ..data import Tokenizer

    try:
        return Tokenizer.load(path)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise CheckpointError(f"{path / 'tokenizer.json'} is damaged: {error}") from None


def open_weights(path, config):
    """(WeightFiles, name in the file -> Entry) of a transformer's checkpoint directory. Raises CheckpointError where the files'
    headers do not hold what the configuration asks for. What a file holds beside (buffers, a copy of a tied matrix) is left out.
    """
    files = WeightFiles(path)
    names = canonical_names(config, files.names)
    shapes = {canonical: files.header(name)[0] for name, canonical in names.items()}
    entries = expected(entries_of, config, shapes, files.path)
    return files, {name: entries[canonical] for name, canonical in names.items()}


def _load_training(path, parameters):
    state = read_training(path)
    if state is None:
        raise CheckpointError(f"{path} holds a model only, no training.json: it can generate but not resume training")
    file = path / "training.safetensors"
    if not file.is_file():
        raise FileNotFoundError(f"{path} has no {file.name}: not a whole checkpoint")
    opened = SafetensorsFile(file)
    arrays, metadata = {name: opened.read(name) for name in opened.names}, opened.metadata
    layout = [[name, parameters[name].nrows, parameters[name].ncols] for name in parameters.names]
    if json.loads(metadata.get("layout", "null")) != layout:
        raise CheckpointError(f"{path / 'training.safetensors'} was written for another parameter layout: cannot resume")
    for name, array in arrays.items():
        if array.shape != (parameters.size,):
            raise CheckpointError(
                f"{path / 'training.safetensors'}: {name} has shape {array.shape}, the model {parameters.size} parameters"
            )
    return TrainingState(arrays, state)
