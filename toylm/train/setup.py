"""From settings to what the loop works with: prepared text, model, optimizer, batches; and the report before step 1."""

import math
from pathlib import Path
from typing import NamedTuple

from ..config import ModelConfig
from ..console import count, size
from .polish import check_polish
from .schedule import Schedule


class Parts(NamedTuple):
    """What `set_up` makes."""

    model: object
    optimizer: object
    batches: object
    schedule: Schedule
    calibration: object = None  # where there are counts: what sets their weight (toylm.fitters.counts_offset.Calibration)


def check_settings(settings):
    """Everything about the settings that can be wrong without having read the text: raises ValueError before any work."""
    from ..threads import set_threads

    model_config(settings, vocab_size=settings.vocab_size or 257)
    set_threads(settings.threads)


def model_config(settings, vocab_size):
    """The ModelConfig that the settings ask for."""
    return ModelConfig(
        vocab_size=vocab_size,
        d_model=settings.d_model,
        d_ff=settings.d_ff,
        n_heads=settings.n_heads,
        n_layers=settings.n_layers,
        context_length=settings.context_length,
        positions=settings.positions,
        norm=settings.norm,
        feed_forward=settings.feed_forward,
        biases=settings.biases,
        n_kv_heads=settings.n_kv_heads,
        d_head=settings.d_head,
        tied=settings.tied,
        counts=settings.counts is not None,
        output_bias=settings.start != "random",
    )


MODEL_FIELDS = ("d_model", "d_ff", "n_heads", "n_layers", "positions", "norm", "feed_forward", "biases", "n_kv_heads", "d_head",
                "tied")  # fmt: skip


def load_start(settings, flags):
    """(settings, model) to go on from `settings.start_from`: its shape and tokenizer are taken over.

    flags: the settings that were asked for by name. Raises UsageError where one of them contradicts the model, where it has no
    tokenizer, or where the context is longer than it can take.
    """
    from ..errors import UsageError
    from ..formats.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(settings.start_from, settings.precision, settings.threads, transformer=True)
    config, path = checkpoint.model.config, checkpoint.path
    if checkpoint.tokenizer is None:
        raise UsageError(f"{path} has no tokenizer.json: there is no way to turn the text into this model's tokens")
    for name in MODEL_FIELDS:
        if name in flags and flags[name] != getattr(config, name):
            raise UsageError(f"{name} is {flags[name]!r}, but the model in {path} has {getattr(config, name)!r}: leave it out")
    for name in ("tokenizer", "vocab_size"):
        if name in flags:
            raise UsageError(f"{name} cannot be chosen with --from: the model in {path} has its own")
    length = flags.get("context_length", config.context_length)
    if length > config.context_length:
        raise UsageError(f"context_length is {length}; the model in {path} takes at most {config.context_length} tokens")
    changes = {name: getattr(config, name) for name in MODEL_FIELDS}
    changes |= {"context_length": length, "tokenizer": str(path.absolute()), "vocab_size": None}
    return settings.updated({**changes, "start_from": str(path.absolute())}), checkpoint.model


def prepare_text(settings, quiet=False, kept=None):
    """The prepared text of the settings, from toylm's cache where it is there already.

    kept: the folder an earlier process of the same run found it in, used where the text itself is gone.
    """
    from ..data import load_prepared, prepare

    data = settings.data[0] if len(settings.data) == 1 else list(settings.data)
    try:
        return prepare(
            data,
            tokenizer=settings.tokenizer,
            vocab_size=settings.vocab_size,
            held_out=settings.held_out,
            separator=settings.separator,
            limit=settings.limit,
            held_out_data=settings.held_out_data,
            context_length=settings.context_length,
            progress=not quiet,
        )
    except FileNotFoundError:
        if kept is None or not Path(kept).is_dir():
            raise
        return load_prepared(kept)


def make_optimizer(settings, parameters):
    """The optimizer that the settings name."""
    from .. import optimizers

    if settings.optimizer == "sgd":
        return optimizers.SGD(
            parameters, settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
    decay = settings.weight_decay if settings.optimizer == "adamw" else 0.0
    betas = (settings.beta1, settings.beta2)
    return optimizers.Adam(parameters, settings.learning_rate, betas=betas, eps=settings.eps, weight_decay=decay)


def running_text(prepared, what):
    """The training tokens as a TokenFile. Raises UsageError where they are the examples of a task."""
    from ..data.token_file import TokenFile
    from ..errors import UsageError

    if not isinstance(prepared.train, TokenFile):
        raise UsageError(f"{what} is counted on running text, and {prepared.name} is a synthetic task: leave it out")
    return prepared.train


def set_up(settings, prepared, model=None):
    """Model (a new one unless given), optimizer, batches and schedule. Raises ValueError if the settings do not fit."""
    if model is None:
        from ..model.transformer import TransformerLM

        config = model_config(settings, prepared.vocab_size)
        model = TransformerLM(config, seed=settings.seed, precision=settings.precision, threads=settings.threads)
        if settings.start != "random":
            from ..fitters.start import start_from_counts

            start_from_counts(model, running_text(prepared, f"start {settings.start}").tokens, settings.start)
    batches, calibration = prepared.batches(settings.batch_size, settings.context_length, settings.seed), None
    if settings.counts is not None:
        from ..data.batches import Batches
        from ..fitters.counts_offset import Calibration, attach_counts
        from ..fitters.data import FitData

        attach_counts(model, running_text(prepared, "counts"), settings.counts, settings.counts_folds, prepared.tokenizer)
        text = FitData(prepared.train, prepared.held_out, None, settings.context_length, settings.batch_size)
        batches = Batches(text.fitting, settings.batch_size, settings.context_length, settings.seed)
        calibration = Calibration(model, text)
    check_polish(settings, prepared, model.config)
    schedule = Schedule(settings, batches.context_length)
    return Parts(model, make_optimizer(settings, model.parameters), batches, schedule, calibration)


def memory_bytes(parts, settings):
    """What training will hold, in bytes, by kind: parameters, gradients, moments, activations."""
    parameters = parts.model.parameters.flat.nbytes
    return {
        "parameters": parameters,
        "gradients": parts.model.gradients.flat.nbytes,
        "moments": sum(array.nbytes for array in parts.optimizer.state().values()),
        "activations": parts.model.workspace_bytes(settings.batch_size, settings.context_length, settings.dropout > 0),
        "counts": parts.model.counts.nbytes if parts.model.counts is not None else 0,
    }


def report(settings, prepared, parts, console):
    """Print what is about to be trained: text, model, memory, tokens per step and epoch."""
    from ..host import cpu_name
    from ..model.precision import spelled
    from ..threads import get_threads

    config, schedule = parts.model.config, parts.schedule
    counts = prepared.counts
    train, held_out = counts["train"], counts["held_out"]
    say = console.say
    say(f"machine      {count(get_threads(), 'thread')} on {cpu_name()}")
    say(
        f"text         {prepared.name}: {count(train['documents'], 'document')}, {size(train['bytes'])}, "
        f"{train['tokens']:,} tokens; held out {count(held_out['documents'], 'document')}, {held_out['tokens']:,} tokens"
    )
    if prepared.tokenizer is not None:
        ratio = train["bytes"] / max(1, train["tokens"])
        level = settings.tokenizer if not Path(settings.tokenizer).exists() else Path(settings.tokenizer).name
        say(f"tokenizer    {level}, {prepared.vocab_size:,} tokens, {ratio:.2f} bytes a token")
    for note in prepared.notes:
        say(f"note         {note}")
    say(
        f"model        {parts.model.parameters.size:,} parameters: d_model {config.d_model}, d_ff {config.d_ff}, "
        f"{count(config.n_layers, 'layer')}, {count(config.n_heads, 'head')}, context {config.context_length}, "
        f"positions {config.positions}, {spelled(settings.precision)}"
    )
    if parts.model.counts is not None:
        say(f"counts       {parts.model.counts}")
    memory = memory_bytes(parts, settings)
    kinds = ", ".join(f"{kind} {size(held)}" for kind, held in memory.items() if held)
    say(f"memory       {size(sum(memory.values()))}: {kinds}")
    accumulated = f" x {settings.grad_accum} accumulated" if settings.grad_accum > 1 else ""
    per_epoch = parts.batches.windows_per_epoch / (settings.batch_size * settings.grad_accum)
    say(
        f"a step       {schedule.tokens_per_step:,} tokens ({settings.batch_size} sequences x {settings.context_length}"
        f"{accumulated}); an epoch {math.ceil(per_epoch):,} steps"
    )
    say(f"length       {_length(settings, schedule, per_epoch)}")
    say(f"optimizer    {settings.optimizer}, learning rate {settings.learning_rate:g}, seed {settings.seed}")


def _length(settings, schedule, per_epoch):
    patience = "" if settings.patience is None else f", or until {settings.patience} evaluations bring nothing better"
    if schedule.total_steps is None:
        return f"{settings.minutes:g} minutes{patience}"
    total = schedule.total_steps
    return f"{total:,} steps, {total * schedule.tokens_per_step:,} tokens, {total / per_epoch:.2f} epochs{patience}"
