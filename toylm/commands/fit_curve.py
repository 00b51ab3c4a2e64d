"""`toylm fit RUN --with collapse --curve N`: what 1 to N blocks fewer cost, as a table and a picture."""

import json
from pathlib import Path

from ..console import Bar
from ..errors import UsageError
from ..files import write_json
from .fit_part import DATA

FITTERS = {}


def add_arguments(parser):
    """--curve."""
    parser.add_argument("--curve", metavar="N", type=int, help="collapse: what 1 to N blocks fewer cost, each the best next one")


def takes(args):
    """Whether a curve is asked for."""
    return args.curve is not None


def reads(args):
    """See fit.FAMILIES."""
    return "--curve", ("curve", "fitter", "out", "json", "threads", "precision", "max_rows", *DATA)


def run(args):
    """Measure, print, draw; returns the exit status."""
    from ..fitters.removal_curve import draw, measure
    from ..formats.checkpoint import load_checkpoint
    from .fitted_runs import open_data

    if args.fitter is None:
        raise UsageError("--curve is for collapse: add --with collapse")
    if args.fitter != "collapse":
        raise UsageError(f"--curve is for --with collapse, not {args.fitter}")
    if args.out and Path(args.out).exists() and not Path(args.out).is_dir():
        raise UsageError(f"{args.out} is a file; --out names a folder")
    checkpoint = load_checkpoint(args.source, precision=args.precision, threads=args.threads, transformer=True)
    data = open_data(args, checkpoint)
    with Bar(args.json) as progress:
        found = measure(checkpoint.model, data, args.curve, 40_000 if args.max_rows is None else args.max_rows, progress)
    folder = Path(args.out) if args.out else _beside(args.source)
    write_json(folder / "collapse.json", found)
    drawn = draw(found, folder / "collapse.png")
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    print(f"whole        {found['layers']} blocks, held-out {found['loss']:.4f} nats/token, perplexity {found['perplexity']:.2f}")
    for row in found["rows"]:
        print(f"\nwithout block {', '.join(map(str, row['removed']))}")
        for way in row["ways"]:
            print(f"  {way['what']:<40} {way['loss']:.4f} | perplexity {way['perplexity']:8.2f} | {way['more']:+8.1%} | "
                  f"{way['seconds']:.1f} s")  # fmt: skip
    print(f"\nwritten      {folder / 'collapse.json'}" + (f", {folder / 'collapse.png'}" if drawn else ""))
    return 0


def _beside(source):
    run = Path(source)
    for candidate in (run, run.parent):
        if (candidate / "run.json").is_file():
            return candidate / "collapse"
    return Path(f"{run.resolve().name}-collapse")
