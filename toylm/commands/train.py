"""Train a language model on text and leave a checkpoint, a loss curve and samples.

  python -m toylm.train                                   a small model on the stories that come with toylm, three minutes
  python -m toylm.train --data my.txt --out runs/mine     your own text
  python -m toylm.train --config nano --steps 500         a recipe, and what should differ from it
  python -m toylm.train --resume runs/mine                go on after Ctrl-C, a crash, or for longer (--minutes 10)
  python -m toylm.train --from DIR --data my.txt          fine-tune a run, an imported or a Hugging Face model

Settings come from the defaults, then --config, then the flags. Ctrl-C finishes the step, saves, and says how to resume.
"""

import shlex
import sys
import time
from pathlib import Path

from ..console import Console, display_path, duration, size, use_utf8_output
from ..data.separator import unescape
from ..errors import UsageError
from ..files import write_json
from ..invocation import command_line
from ..train.settings import FIELDS, GROUPS, TrainSettings, fields_of, find_config, parse_value, read_toml, recipes

DEFAULT_RECIPE = "stories"
RUNS = "runs"


def build_parser(parser):
    """Add the arguments of `toylm train`: the settings by group, generated from TrainSettings, and where to run."""
    parser.usage = "%(prog)s [--config RECIPE|FILE] [--data TEXT ...] [--out RUN | --resume [RUN]] [options]"
    parser.epilog = _recipe_list()
    start = parser.add_argument_group("what to run")
    start.add_argument("--config", metavar="NAME", help="a recipe (listed below) or a TOML file of your own")
    start.add_argument("--out", metavar="RUN", help="run folder (default: a new one in runs/)")
    start.add_argument("--overwrite", action="store_true", help="replace the run that --out holds already, with its analyses")
    start.add_argument("--resume", metavar="RUN", nargs="?", const="", help="go on with a run (default: the newest in runs/)")
    start.add_argument("--show-settings", action="store_true", help="print the settings as TOML and stop")
    start.add_argument("--dry-run", action="store_true", help="print parameters, memory and tokens, and stop")
    start.add_argument("--quiet", action="store_true", help="print nothing but errors")
    for group, heading in GROUPS.items():
        target = parser.add_argument_group(heading)
        for field in fields_of(group):
            _add_setting(target, field)


def _add_setting(group, field):
    choices = field.metadata["choices"] or (("true", "false") if field.type is bool else None)
    number = {int: "N", float: "X"}.get(field.type) or ("N" if field.type == int | None else None)
    number = number or ("X" if field.type == float | None else None)
    text = field.metadata["help"]
    default = field.default
    if field.name == "data":
        default = " ".join(default)
    elif field.type is bool:
        default = str(default).lower()
    if default is not None and default != "":
        text += f" (default: {default})"
    group.add_argument(
        *(["--from"] if field.name == "start_from" else []),
        f"--{field.name.replace('_', '-')}",
        dest=field.name,
        nargs="+" if field.name == "data" else None,
        type=unescape if field.name == "separator" else None,
        metavar="{" + ",".join(choices) + "}" if choices else number or "TEXT",
        help=text,
    )


def _recipe_list():
    try:
        known = recipes()
    except FileNotFoundError:
        return None
    width = max(map(len, known), default=0) + 2
    lines = "\n".join(f"  {name:<{width}}{line}" for name, (_, line) in known.items())
    return f"recipes (--config NAME; train/NAME.toml):\n{lines}"


def run(args):
    """Run `toylm train`; returns the exit status."""
    use_utf8_output()
    # "--minutes none" is a request too, and must not look like a flag that was left out.
    flags = {name: parse_value(name, value) for name in FIELDS if (value := getattr(args, name)) is not None}
    if args.resume is not None:
        if args.config or args.out or args.overwrite:
            raise UsageError("--resume keeps its run's folder and settings: leave out --config, --out and --overwrite")
        return _resume(args, flags)
    settings = TrainSettings()
    if args.config:
        settings = settings.updated(read_toml(find_config(args.config)))
    settings = settings.updated(flags)
    if args.show_settings:
        print(settings.to_toml(), end="")
        return 0
    return _start(args, settings, flags)


# -- a new run -------------------------------------------------------------------------------------------------------------


def _start(args, settings, flags):
    from ..model.precision import resolve
    from ..train.run_folder import RunFolder, check_free, default_path
    from ..train.setup import check_settings, load_start, prepare_text, report, set_up

    console = Console(quiet=args.quiet)
    name, model = _run_name(args, settings), None
    # Decided once: a run that is resumed on another machine keeps its arithmetic.
    settings = settings.updated({"precision": resolve(settings.precision)})
    if settings.start_from is not None:
        settings, model = load_start(settings, flags)
    check_settings(settings)
    if args.out:
        check_free(args.out, args.overwrite)
    settings = settings.updated({"data": _absolute(settings.data)})
    prepared = prepare_text(settings, args.quiet)
    if settings.counts is not None:
        console.say(f"counting n-grams up to {settings.counts} tokens ...")
    parts = set_up(settings, prepared, model)
    report(settings, prepared, parts, console)
    if args.dry_run:
        return 0
    path = Path(args.out) if args.out else default_path(name, RUNS)
    with RunFolder.create(path, overwrite=args.overwrite) as run_folder:
        _write_run_json(path, settings, parts, prepared, args.config or DEFAULT_RECIPE)
        return _train(settings, parts, prepared, run_folder, console, None)


def _run_name(args, settings):
    if args.data is None and args.config:
        return Path(args.config).stem
    return "-".join(Path(text).stem.replace(":", "-") or "text" for text in settings.data)[:60]


def _absolute(data):
    """Paths made absolute, so that the run can be resumed from another folder; names of corpora as they are."""
    return tuple(str(Path(text).absolute()) if Path(text).exists() and not _is_corpus(text) else text for text in data)


def _is_corpus(name):
    from ..data import CORPORA

    return name in CORPORA


# -- resuming --------------------------------------------------------------------------------------------------------------


def _resume(args, flags):
    from ..formats.checkpoint import find_checkpoint, load_checkpoint
    from ..train.run_folder import RunFolder, newest_run, read_run
    from ..train.setup import check_settings, prepare_text, report, set_up

    console = Console(quiet=args.quiet)
    named = Path(args.resume) if args.resume else newest_run(RUNS)
    checkpoint_path = find_checkpoint(named, prefer="latest")
    path = checkpoint_path.parent
    settings, record = read_run(path)
    settings = settings.updated(_allowed_changes(settings, flags))
    if args.show_settings:
        print(settings.to_toml(), end="")
        return 0
    with RunFolder(path) as run_folder:
        checkpoint_path = find_checkpoint(named, prefer="latest")  # again: now nobody else changes the folder
        check_settings(settings)
        checkpoint = load_checkpoint(checkpoint_path, precision=settings.precision, threads=settings.threads, training=True)
        prepared = prepare_text(settings, args.quiet, kept=(record.get("data") or {}).get("path"))
        if _digest(checkpoint.tokenizer) != _digest(prepared.tokenizer):
            raise UsageError(
                f"the text of {path} has changed: the tokenizer made from it is not the one in {checkpoint_path.name}; "
                f"restore the text, or start a new run"
            )
        parts = set_up(settings, prepared, model=checkpoint.model)
        loop = checkpoint.training.state["loop"]
        if parts.schedule.finished(loop["step"], loop["seconds"]) and not args.dry_run:
            length = f"{getattr(settings, settings.horizon):g} {settings.horizon}"
            longer = f"--resume {shlex.quote(str(path))} --{settings.horizon} ..."
            console.say(f"{path} is complete ({length}); to train longer: {longer}")
            return 0
        run_folder.check_later(loop["step"])
        report(settings, prepared, parts, console)
        console.say(f"resuming {checkpoint_path} after step {loop['step']:,} and {duration(loop['seconds'])} of training")
        if args.dry_run:
            return 0
        record["settings"] = settings.to_dict()
        record.setdefault("resumed", []).append({"step": loop["step"], "time": _now(), "command": _command()})
        write_json(path / "run.json", record)
        return _train(settings, parts, prepared, run_folder, console, checkpoint.training)


def _digest(tokenizer):
    return None if tokenizer is None else tokenizer.digest


def _allowed_changes(settings, flags):
    """The flags that a resumed run may change. Raises UsageError for one that would make it another run."""
    changes = {}
    for name, value in flags.items():
        if value == getattr(settings, name):
            continue
        if name == "data" and _absolute(value) == settings.data:
            continue
        if FIELDS[name].metadata["fixed"]:
            raise UsageError(
                f"{name} cannot change in a resumed run (it is {getattr(settings, name)!r}, {value!r} was asked for): "
                f"start a new run"
            )
        changes[name] = value
    return changes


# -- both ------------------------------------------------------------------------------------------------------------------


def _train(settings, parts, prepared, run_folder, console, training):
    from ..host import peak_memory
    from ..train.interrupt import StopRequest
    from ..train.loop import Trainer
    from ..train.warm_up import load_kernels

    path = run_folder.path
    resume_command = command_line("train", "--resume", display_path(path))
    compiled = load_kernels(settings, console)
    with StopRequest() as stop:
        trainer = Trainer(settings, parts.model, parts.optimizer, prepared.tokenizer, parts.batches, prepared.held_out,
                          run_folder, console, stop, compiled, parts.calibration)  # fmt: skip
        if training is not None:
            trainer.load(training)
        console.say(f"run          {display_path(path)}\n")
        try:
            state = trainer.run()
            trainer.finish(peak_memory())
        except KeyboardInterrupt:
            latest = run_folder.latest()
            kept = f"go on from {display_path(latest)} with: {resume_command}" if latest else "no checkpoint had been saved"
            print(f"stopped at once; {kept}", file=sys.stderr)
            raise
    _say_end(state, trainer, path, stop, console, resume_command, peak_memory())
    return 0


def _say_end(state, trainer, path, stop, console, resume_command, peak):
    ended = "interrupted" if state.finished is None else "stopped early (patience)" if state.finished == "patience" else "done"
    compiled = f", kernels compiled in {trainer.compile_seconds:.1f} s besides" if trainer.compile_seconds > 0.05 else ""
    console.say(f"\n{ended} after {state.step:,} steps, {state.tokens:,} tokens, {duration(state.seconds)}{compiled}")
    if state.best_loss is not None:
        console.say(f"held-out     {state.best_loss:.4f} nats/token at its best, step {state.best_step:,}")
    if peak:
        console.say(f"memory       {size(peak)} at the peak")
    console.say(f"checkpoint   {display_path(trainer.run_folder.latest())}")
    if (path / "loss.png").exists():
        console.say(f"loss curve   {display_path(path / 'loss.png')}")
    if stop.requested and state.finished is None:
        print(f"resume with: {resume_command}", flush=True)
    else:
        verb = "evaluate" if trainer.tokenizer is None else "generate"  # a task of bare ids has no text
        console.say(f"next         {command_line(verb, display_path(path))}")


def _write_run_json(path, settings, parts, prepared, recipe):
    from ..host import host, versions
    from ..threads import get_threads

    write_json(
        path / "run.json",
        {
            "name": path.name,
            "recipe": recipe,
            "settings": settings.to_dict(),
            "parameters": parts.model.parameters.size,
            "model": parts.model.config.to_dict(),
            "data": {"name": prepared.name, "path": str(prepared.path), "counts": prepared.counts, "notes": prepared.notes},
            "seed": settings.seed,
            "threads": get_threads(),
            "versions": versions(),
            "host": host(),
            "command": _command(),
            "started": _now(),
        },
    )


def _command():
    arguments = sys.argv[1:]
    if arguments[:1] == ["train"]:  # toylm train ...
        arguments = arguments[1:]
    return shlex.join(["python", "-m", "toylm.train", *arguments])


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
