"""A run from its settings to its last line: a new one (`start`), or one that goes on (`resume`)."""

import shlex
import sys
import time
from pathlib import Path

from ..console import Console, display_path, duration, size
from ..errors import UsageError
from ..files import write_json
from ..formats.checkpoint import find_checkpoint, load_checkpoint
from ..formats.families import stock_class
from ..host import host, peak_memory, versions
from ..invocation import command_line
from ..model.precision import resolve
from ..threads import get_threads
from .interrupt import StopRequest
from .loop import Trainer
from .run_folder import RunFolder, check_free, default_path, newest_run, read_run
from .settings import is_fixed
from .setup import (
    absolute,
    check_same_text,
    check_settings,
    load_start,
    prepare_text,
    report,
    set_up,
    settle_text,
    text_record,
)
from .sizing import size_by_the_clock
from .warm_up import load_kernels

RUNS = "runs"


def start(settings, flags, name, recipe, out=None, overwrite=False, dry_run=False, quiet=False):
    """Train a new run in the folder `out`, or in a new one called `name`; returns the exit status.

    flags: the settings that were asked for by name; recipe: what the others come from. Raises UsageError.
    """
    console, begun = Console(quiet=quiet), None
    # Decided once: a run that is resumed on another machine keeps its arithmetic.
    settings = settings.updated({"precision": resolve(settings.precision)})
    if settings.start_from is not None:
        settings, begun = load_start(settings, flags)
    check_settings(settings, flags)
    if out:
        check_free(out, overwrite)
    settings = settle_text(settings, flags)
    prepared = prepare_text(settings, quiet)
    if begun is not None and (prepared.tokenizer is None or prepared.tokenizer.digest != begun.tokenizer.digest):
        raise UsageError(f"{prepared.name} was prepared with another tokenizer than that of {begun.path}: give the text itself")
    if settings.counts is not None:
        console.say(f"counting n-grams up to {settings.counts} tokens ...")
    compiled, why = 0.0, None
    if settings.sized_by_clock:
        compiled = load_kernels(settings, console)
        settings, why = size_by_the_clock(settings, prepared)
    settings = settings.updated({"size": "shape"})
    parts = set_up(settings, prepared, begun and begun.model)
    report(settings, prepared, parts, console)
    if why:
        console.say(f"size         {why}")
    if dry_run:
        return 0
    compiled += load_kernels(settings, console)
    path = Path(out) if out else default_path(name, RUNS)
    with RunFolder.create(path, overwrite=overwrite) as run_folder, StopRequest() as stop:
        write_json(path / "run.json", _record(path, settings, parts, prepared, recipe))
        return _train(Trainer(settings, parts, prepared, run_folder, console, stop, compiled))


def resume(named, flags, dry_run=False, show_settings=False, quiet=False):
    """Go on with the run or checkpoint `named` ("": the newest run); returns the exit status.

    Nothing is written before everything has been checked. Raises UsageError, MissingFileError or CheckpointError.
    """
    console = Console(quiet=quiet)
    named = Path(named) if named else newest_run(RUNS)
    path = find_checkpoint(named, prefer="latest").parent
    settings, record = read_run(path)
    settings = settings.updated(_allowed_changes(settings, flags))
    if show_settings:
        print(settings.to_toml(), end="")
        return 0
    with RunFolder(path) as run_folder:
        found = find_checkpoint(named, prefer="latest")  # again: now nobody else changes the folder
        check_settings(settings, flags)
        checkpoint = load_checkpoint(found, precision=settings.precision, threads=settings.threads, training=True)
        prepared = prepare_text(settings, quiet, kept=(record.get("data") or {}).get("path"))
        check_same_text(found, settings, record, prepared, checkpoint.tokenizer)
        parts = set_up(settings, prepared, checkpoint.model)
        with StopRequest() as stop:
            trainer = Trainer(settings, parts, prepared, run_folder, console, stop)
            if trainer.load(checkpoint.training) and not dry_run:
                console.say(_complete(path, settings))
                return 0
        state = trainer.state
        run_folder.check_later(state.step)
        report(settings, prepared, parts, console)
        if record.get("threads") not in (None, get_threads()):
            console.say(
                f"note         {get_threads()} threads instead of {record['threads']}: from here on sums are rounded differently, "
                f"and the run has not the bits that it would have had"
            )
        console.say(f"resuming {found} after step {state.step:,} and {duration(state.seconds)} of training")
        if dry_run:
            return 0
        trainer.compile_seconds = load_kernels(settings, console)
        with trainer.stop:
            resumed = {"step": state.step, "time": _now(), "command": _command(), "threads": get_threads()}
            record |= {"settings": settings.to_dict(), "resumed": [*record.get("resumed", []), resumed]}
            write_json(path / "run.json", record)
            run_folder.rewind(trainer.log_sizes)
            run_folder.prune(state.step, settings.keep_last)
            return _train(trainer)


def _complete(path, settings):
    length = getattr(settings, settings.horizon)
    longer = command_line("train", "--resume", display_path(path), f"--{settings.horizon}", f"{2 * length:g}")
    return f"{display_path(path)} is complete ({length:g} {settings.horizon}); to train longer: {longer}"


def _allowed_changes(settings, flags):
    """The flags that a resumed run may change. Raises UsageError for one that would make it another run."""
    now, changes = settings.to_dict(), {}
    for name, value in (flags | absolute(flags)).items():
        value = list(value) if isinstance(value, tuple) else value
        if value == now[name]:
            continue
        if is_fixed(name):
            raise UsageError(
                f"{name} cannot change in a resumed run (it is {now[name]!r}, {value!r} was asked for): start a new run"
            )
        changes[name] = value
    return changes


def _train(trainer):
    """Train to the end, a request to stop, or a second one; says what was left. Returns the exit status."""
    path, console, state, stop = trainer.run_folder.path, trainer.console, trainer.state, trainer.stop
    go_on = command_line("train", "--resume", display_path(path))
    console.say(f"run          {display_path(path)}\n")
    try:
        trainer.run()
        trainer.finish(peak_memory())
    except KeyboardInterrupt:
        latest = trainer.run_folder.latest()
        kept = f"go on from {display_path(latest)} with: {go_on}" if latest else "no checkpoint had been saved"
        raise KeyboardInterrupt(f"stopped at once; {kept}") from None
    interrupted = state.finished is None
    ended = "interrupted" if interrupted else "stopped early (patience)" if state.finished == "patience" else "done"
    compiled = f", kernels compiled in {trainer.compile_seconds:.1f} s besides" if trainer.compile_seconds > 0.05 else ""
    console.say(f"\n{ended} after {state.step:,} steps, {state.tokens:,} tokens, {duration(state.seconds)}{compiled}")
    if state.best_loss is not None:
        console.say(f"held-out     {state.best_loss:.4f} nats/token at its best, step {state.best_step:,}")
    if peak_memory():
        console.say(f"memory       {size(peak_memory())} at the peak")
    console.say(f"checkpoint   {display_path(trainer.run_folder.latest())}")
    opens = stock_class(trainer.model.config)
    if opens is not None:
        console.say(f"opens as     {opens}.from_pretrained({display_path(trainer.run_folder.latest())!r}) in transformers")
    if (path / "loss.png").exists():
        console.say(f"loss curve   {display_path(path / 'loss.png')}")
    if interrupted:
        print(f"go on with: {go_on}", flush=True)
        return 128 + stop.requested
    verb = "evaluate" if trainer.tokenizer is None else "generate"  # a task of bare ids has no text
    console.say(f"next         {command_line(verb, display_path(path))}")
    return 0


def _record(path, settings, parts, prepared, recipe):
    """What run.json holds."""
    return {
        "name": path.name,
        "recipe": recipe,
        "settings": settings.to_dict(),
        "parameters": parts.model.parameters.size,
        "model": parts.model.config.to_dict(),
        "data": text_record(prepared),
        "seed": settings.seed,
        "threads": get_threads(),
        "versions": versions(),
        "host": host(),
        "command": _command(),
        "started": _now(),
    }


def _command():
    arguments = sys.argv[1:]
    if arguments[:1] == ["train"]:  # toylm train ...
        arguments = arguments[1:]
    return shlex.join(["python", "-m", "toylm.train", *arguments])


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
