"""From settings to what the loop works with: prepared text, model, optimizer, batches; and the report before step 1."""

import glob
import json
import math
import os
from pathlib import Path
from typing import NamedTuple

from .. import optimizers
from ..console import count, size
from ..data import CORPORA, Batches, load_corpus, load_prepared, prepare
from ..data.corpora import TASK_PREFIX
from ..data.preparation import MARK, idle_options
from ..data.token_file import TokenFile
from ..data.tokenizer import LEVELS
from ..errors import UsageError
from ..fitters.counts_offset import Calibration, attach_counts
from ..fitters.data import FitData
from ..fitters.start import start_from_counts
from ..formats.checkpoint import load_checkpoint, read_training
from ..host import cpu_name
from ..model.precision import describe
from ..model.transformer import TransformerLM
from ..threads import get_threads, physical_cores, set_threads
from .periodic_fits import PeriodicFits
from .run_folder import read_run
from .schedule import Schedule
from .settings import FIELDS, MODEL_FIELDS, refuse_idle

# What is decided when a folder is prepared.
PREPARED = ("tokenizer", "vocab_size", "held_out", "held_out_data", "separator", "limit")


class Parts(NamedTuple):
    """What `set_up` makes."""

    model: object
    optimizer: object
    batches: object
    schedule: Schedule
    fits: PeriodicFits
    calibration: object = None  # where there are counts: what sets their weight (toylm.fitters.counts_offset.Calibration)


def check_settings(settings, flags):
    """Everything about the settings that can be wrong without having read the text: raises UsageError before any work.

    flags: the settings that were asked for by name.
    """
    refuse_idle(settings, flags)
    settings.model_config(settings.vocab_size or 257)
    set_threads(settings.threads)


# -- text ------------------------------------------------------------------------------------------------------------------


def settle_text(settings, flags):
    """The settings with absolute paths, so that the run can be resumed from another folder.

    flags: the settings that were asked for by name. Raises UsageError for one that the text has no use for.
    """
    settings = settings.updated(absolute({name: getattr(settings, name) for name in FIELDS}))
    idle = idle_options(_data(settings), settings.tokenizer)
    if settings.data[0].startswith(TASK_PREFIX) and idle:  # bare ids: no samples
        idle |= dict.fromkeys([name for name in flags if name.startswith("sample_")], idle["tokenizer"])
    for name in flags:
        if name in idle and flags.get(name) is not None:
            raise UsageError(f"{name} {idle[name]}")
    if _prepared_folder(settings.data):
        tokenizer = settings.tokenizer if settings.start_from else settings.data[0]
        return settings.updated({**dict.fromkeys(PREPARED), "tokenizer": tokenizer})
    return settings


def absolute(values):
    """Those of the settings (name -> value) that name files, with absolute paths and patterns; names of corpora, tasks and kinds of
    tokenizers stay as they are."""

    def one(text):
        named = text in CORPORA or text in LEVELS or text.startswith(TASK_PREFIX)
        return text if named or not (Path(text).exists() or glob.has_magic(text)) else str(Path(text).absolute())

    return {
        name: tuple(map(one, value)) if isinstance(value, tuple) else one(value) if value is not None else None
        for name, value in values.items()
        if name in FIELDS and FIELDS[name].metadata["path"]
    }


def _data(settings):
    return settings.data[0] if len(settings.data) == 1 else list(settings.data)


def prepare_text(settings, quiet=False, kept=None):
    """The prepared text of the settings, from toylm's cache where it is there already.

    kept: the folder an earlier process of the same run found it in, used where the text itself is gone.
    """
    data = _data(settings)
    idle = idle_options(data, settings.tokenizer)
    options = {name: getattr(settings, name) for name in PREPARED if name not in idle}
    try:
        return prepare(data, **options, context_length=settings.model.context_length, progress=not quiet)
    except FileNotFoundError:
        if kept is None or not Path(kept).is_dir():
            raise
        return load_prepared(kept)


def is_own_text(checkpoint, texts, separator=None):
    """Whether texts (named as for `load_corpus`) are the text that the run of the checkpoint folder was trained on.

    Raises UsageError where they are only a part of it.
    """
    run = Path(checkpoint).parent
    if not (run / "run.json").is_file():
        return False
    asked = set()
    for text in texts:
        corpus = None if text.startswith(TASK_PREFIX) else load_corpus(text, separator)
        if corpus is not None and not corpus.held_out_files:  # else those are what is measured
            asked |= {file.resolve() for file in corpus.files}
    trained = _training_files(read_run(run)[0])
    if asked & trained and not trained <= asked:
        raise UsageError(f"{sorted(asked & trained)[0]} is text that {run} was trained on: leave it out, or name no text at all")
    return bool(asked & trained)


def _training_files(settings):
    """The files, resolved, whose text a run was trained on but for what it held out; none where they are gone."""
    if _prepared_folder(settings.data):
        about = json.loads((Path(settings.data[0]) / MARK).read_text(encoding="utf-8")).get("settings", {})
        files = [file for file, *_ in about.get("files", [])]
        return {Path(file) for file in files[: len(files) - about.get("own_held_out_files", 0)]}
    if settings.data[0].startswith(TASK_PREFIX):
        return set()
    try:
        return {file.resolve() for file in load_corpus(_data(settings), settings.separator).files}
    except (OSError, ValueError):
        return set()


def _prepared_folder(data):
    return len(data) == 1 and (Path(data[0]) / MARK).is_file()


def text_record(prepared):
    """What run.json tells of the text; its identity is compared when the run is resumed or measured."""
    sides = {"train": prepared.train.identity(), "held_out": prepared.held_out.identity()}
    path = None if prepared.path is None else str(prepared.path)
    return {"name": prepared.name, "path": path, "identity": sides, "counts": prepared.counts, "notes": prepared.notes}


def text_of_run(checkpoint, tokenizer, quiet=True):
    """(TrainSettings, Prepared) of the run that the checkpoint folder belongs to.

    tokenizer: the checkpoint's, or None. Raises UsageError where it belongs to no run, or the run's text is another one now.
    """
    run = Path(checkpoint).parent
    if not (run / "run.json").is_file():
        raise UsageError(f"{checkpoint} belongs to no run whose text could be taken; name a text")
    settings, record = read_run(run)
    prepared = prepare_text(settings, quiet, kept=(record.get("data") or {}).get("path"))
    check_same_text(checkpoint, settings, record, prepared, tokenizer)
    return settings, prepared


def check_same_text(checkpoint, settings, record, prepared, tokenizer):
    """Raise UsageError unless the prepared text is the one that the checkpoint's run began with: another text has another split."""
    same = _digest(tokenizer) == _digest(prepared.tokenizer)
    known, here = (record.get("data") or {}).get("identity"), text_record(prepared)["identity"]
    if known is None and settings.counts is None:  # a run of an earlier version: its checkpoints name the training side
        position = (read_training(checkpoint) or {}).get("batches") or {}
        known = here | {"train": position.get("source", here["train"])}
    if not same or known not in (None, here):
        raise UsageError(
            f"the text of {Path(checkpoint).parent} has changed since it was trained: restore the text, or start a new run with it"
        )


def _digest(tokenizer):
    return None if tokenizer is None else tokenizer.digest


def running_text(prepared, what):
    """The training tokens as a TokenFile. Raises UsageError where they are the examples of a task."""
    if not isinstance(prepared.train, TokenFile):
        raise UsageError(f"{what} is counted on running text, and {prepared.name} is a synthetic task: leave it out")
    return prepared.train


# -- model, optimizer, batches -----------------------------------------------------------------------------------------------


def load_start(settings, flags):
    """(settings, Checkpoint) to go on from `settings.start_from`: its model's shape and tokenizer are taken over.

    flags: the settings that were asked for by name. Raises UsageError where one of them contradicts the model, where it has no
    tokenizer, or where the context is longer than it can take.
    """
    checkpoint = load_checkpoint(settings.start_from, settings.precision, settings.threads, transformer=True)
    config, path = checkpoint.model.config, checkpoint.path
    if checkpoint.tokenizer is None:
        raise UsageError(f"{path} has no tokenizer.json: there is no way to turn the text into this model's tokens")
    shape = {name: getattr(config, name) for name in MODEL_FIELDS}
    length = flags.get("context_length", config.context_length)
    for name in flags.keys() & shape.keys() - {"context_length"}:
        if flags[name] != shape[name]:
            raise UsageError(f"{name} is {flags[name]!r}, but the model in {path} has {shape[name]!r}: leave it out")
    for name in ("tokenizer", "vocab_size", "start"):
        if name in flags:
            raise UsageError(f"{name} cannot be chosen with --from: the model in {path} has its own")
    if length > config.context_length:
        raise UsageError(f"context_length is {length}; the model in {path} takes at most {config.context_length} tokens")
    folder = str(path.absolute())
    changes = {"context_length": length, "tokenizer": folder, "vocab_size": None, "start_from": folder}
    return settings.updated(shape | changes), checkpoint


def make_optimizer(settings, model):
    """The optimizer that the settings name."""
    s, rate = settings, settings.peak_learning_rate
    if s.optimizer == "sgd":
        return optimizers.SGD(model, rate, momentum=s.momentum, weight_decay=s.weight_decay)
    shared = {"betas": (s.beta1, s.beta2), "eps": s.eps, "embedding_rate": s.embedding_rate, "vector_rate": s.vector_rate}
    if s.optimizer == "muon":
        return optimizers.Muon(model, rate, weight_decay=s.weight_decay, **shared)
    return optimizers.Adam(model, rate, weight_decay=s.weight_decay if s.optimizer == "adamw" else 0.0, **shared)


def set_up(settings, prepared, model=None):
    """Model (a new one unless given), optimizer, batches and schedule. Raises UsageError if the settings do not fit."""
    length = settings.model.context_length
    if model is None:
        config = settings.model_config(prepared.vocab_size)
        model = TransformerLM(config, seed=settings.seed, precision=settings.precision, threads=settings.threads)
        if settings.start != "random":
            start_from_counts(model, running_text(prepared, f"start {settings.start}").tokens, settings.start)
    fits = PeriodicFits(settings, prepared, model.config)
    batches, calibration = prepared.batches(settings.batch_size, length, settings.seed), None
    if settings.counts is not None:
        attach_counts(model, running_text(prepared, "counts"), settings.counts, settings.counts_folds, prepared.tokenizer)
        text = FitData(prepared.train, prepared.held_out, None, length, settings.batch_size)
        batches = Batches(text.fitting, settings.batch_size, length, settings.seed)
        calibration = Calibration(model, text)
    schedule = Schedule(settings, batches.context_length)
    return Parts(model, make_optimizer(settings, model), batches, schedule, fits, calibration)


# -- the report ------------------------------------------------------------------------------------------------------------


def memory_bytes(parts, settings):
    """What training will hold, in bytes, by kind: parameters, gradients, moments, activations, what kernels reserve, counts."""
    shape, scratch = (settings.batch_size, settings.model.context_length), parts.optimizer.scratch_sizes()
    return {
        "parameters": parts.model.parameters.flat.nbytes,
        "gradients": parts.model.gradients.flat.nbytes,
        "moments": sum(array.nbytes for array in parts.optimizer.state().values()),
        "activations": parts.model.workspace_bytes(*shape, settings.dropout > 0),
        "kernels": sum((parts.model.scratch_sizes(*shape) | scratch).values()),
        "counts": parts.model.counts.nbytes if parts.model.counts is not None else 0,
    }


def describe_text(prepared):
    """The line of a report that tells how much text there is."""
    train, held_out = prepared.counts["train"], prepared.counts["held_out"]
    noun = "part" if prepared.counts.get("stretches") else "document"
    return (
        f"{prepared.name}: {count(train['documents'], noun)}, {size(train['bytes'])}, {train['tokens']:,} tokens; "
        f"held out {count(held_out['documents'], noun)}, {held_out['tokens']:,} tokens"
    )


def report(settings, prepared, parts, console):
    """Print what is about to be trained: text, model, memory, tokens per step and epoch."""
    config, schedule, say = parts.model.config, parts.schedule, console.say
    say(f"machine      {count(get_threads(), 'thread')} on {cpu_name()}")
    for note in _busy():
        say(f"note         {note}")
    say(f"text         {describe_text(prepared)}")
    if prepared.tokenizer is not None:
        train = prepared.counts["train"]
        level = settings.tokenizer if settings.tokenizer in LEVELS else Path(settings.tokenizer).name
        say(f"tokenizer    {level}, {prepared.vocab_size:,} tokens, {train['bytes'] / max(1, train['tokens']):.2f} bytes a token")
    for note in prepared.notes:
        say(f"note         {note}")
    say(
        f"model        {parts.model.parameters.size:,} parameters: d_model {config.d_model}, d_ff {config.d_ff}, "
        f"{count(config.n_layers, 'layer')}, {count(config.n_heads, 'head')}, context {config.context_length}, "
        f"positions {config.positions}, {describe(settings.precision)}"
    )
    if parts.model.counts is not None:
        say(f"counts       {parts.model.counts}")
    memory = memory_bytes(parts, settings)
    kinds = ", ".join(f"{kind} {size(held)}" for kind, held in memory.items() if held)
    say(f"memory       {size(sum(memory.values()))}: {kinds}")
    accumulated = f" x {settings.grad_accum} accumulated" if settings.grad_accum > 1 else ""
    per_epoch = parts.batches.windows_per_epoch / (settings.batch_size * settings.grad_accum)
    say(
        f"a step       {schedule.tokens_per_step:,} tokens ({settings.batch_size} sequences x {parts.batches.context_length}"
        f"{accumulated}); an epoch {math.ceil(per_epoch):,} steps"
    )
    say(f"length       {_length(settings, schedule, per_epoch)}")
    say(f"optimizer    {settings.optimizer}, learning rate {settings.peak_learning_rate:g}, seed {settings.seed}")


def _busy():
    """A line where other programs want the cores too: threads that wait for one that is held up are slower than one alone."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, physical_cores()
    if get_threads() > 1 and load > 1.5 * cores:
        yield f"other programs keep this machine busy (load {load:.1f}, {count(cores, 'core')}): --threads 1 may be faster"


def _length(settings, schedule, per_epoch):
    patience = "" if settings.patience is None else f", or until {settings.patience} evaluations bring nothing better"
    if schedule.total_steps is None:
        return f"{settings.minutes:g} minutes{patience}"
    total = schedule.total_steps
    return f"{count(total, 'step')}, {total * schedule.tokens_per_step:,} tokens, {total / per_epoch:.2f} epochs{patience}"
