"""Train a language model on text and leave a checkpoint, a loss curve and samples.

  toylm train                                   three minutes on stories
  toylm train --data my.txt --out runs/mine     your own text
  toylm train --config nano --steps 500         a recipe, with changes
  toylm train --resume runs/mine                go on after Ctrl-C or a crash
  toylm train --resume runs/mine --minutes 10   or for longer
  toylm train --from DIR --data my.txt          fine-tune a model

Settings come from the defaults, then --config, then the flags. Ctrl-C finishes the step, saves, and says how to go on.
"""

import re
from pathlib import Path

from ..console import use_utf8_output
from ..errors import UsageError
from ..fields import add_flags
from ..train.settings import (
    ALL_FIELDS,
    GROUPS,
    MODEL_FIELDS,
    TrainSettings,
    fields_of,
    find_config,
    parse_values,
    read_toml,
    recipes,
)

DEFAULT_RECIPE = "stories"
# What -h explains; --help-all has the rest.
SHORT = (
    "--config", "--data", "--out", "--resume", "--from", "--dry-run", "--tokenizer", "--vocab-size", "--held-out", "--d-model",
    "--n-layers", "--n-heads", "--context-length", "--learning-rate", "--batch-size", "--steps", "--minutes", "--seed",
)  # fmt: skip


def build_parser(parser):
    """Add the arguments of `toylm train`: the settings by group, generated from TrainSettings, and where to run."""
    parser.usage = "%(prog)s [--config NAME] [--data TEXT ...] [--out RUN] [options]\n       %(prog)s --resume [RUN] [options]"
    parser.short = SHORT
    parser.epilog = _recipe_list()
    run = parser.add_argument_group("what to run")
    run.add_argument("--config", metavar="NAME", help="a recipe (listed below) or a TOML file of your own")
    run.add_argument("--out", metavar="RUN", help="run folder (default: a new one in runs/)")
    run.add_argument("--overwrite", action="store_true", help="replace the run that --out holds already, with its analyses")
    run.add_argument("--resume", metavar="RUN", nargs="?", const="", help="go on with a run (default: the newest in runs/)")
    run.add_argument("--show-settings", action="store_true", help="print the settings as TOML and stop")
    run.add_argument("--dry-run", action="store_true", help="print parameters, memory and tokens, and stop")
    run.add_argument("--quiet", action="store_true", help="print nothing but errors")
    defaults = TrainSettings()
    for group, heading in GROUPS.items():
        target = parser.add_argument_group(heading)
        for field in fields_of(group):
            add_flags(target, [field], defaults.model if field.name in MODEL_FIELDS else defaults)


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
    flags = parse_values({name: value for name in ALL_FIELDS if (value := getattr(args, name)) is not None}, "the command line")
    if args.resume is not None and (args.config or args.out or args.overwrite):
        raise UsageError("--resume keeps its run's folder and settings: leave out --config, --out and --overwrite")
    settings = TrainSettings()
    if args.resume is None:
        if args.config:
            settings = settings.updated(read_toml(find_config(args.config)))
        settings = settings.updated(flags)
        if args.show_settings:
            print(settings.to_toml(), end="")
            return 0
    try:
        from ..train.session import resume, start  # numba: `toylm train -h` need not wait for it

        if args.resume is not None:
            return resume(args.resume, flags, args.dry_run, args.show_settings, args.quiet)
        name = Path(args.config).stem if args.data is None and args.config else run_name(settings.data)
        return start(
            settings, flags, name, args.config or DEFAULT_RECIPE, args.out, args.overwrite, args.dry_run, args.quiet
        )
    except KeyboardInterrupt as stopped:
        if not stopped.args:
            stopped.args = ("stopped before the first step: nothing was saved or changed; the same command begins again",)
        raise


def run_name(data):
    """A run's name for its texts: what their names and patterns have in common with file names, no wildcards."""
    return "-".join(map(_name_of, data))[:60].strip("-") or "text"


def _name_of(text):
    path = Path(text)
    for part in (path.stem, *(folder.name for folder in path.absolute().parents)):
        name = re.sub(r"\[.*?\]|[*?\[\]]", "", part).replace(":", "-").strip(" -_.")
        if name:
            return name
    return "text"
