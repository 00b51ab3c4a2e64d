"""Fit in closed form, or by gradient descent: a part of a trained model, or a whole model of a text.

  toylm fit RUN --part head --with cross-entropy --out runs/polished
  toylm fit RUN --part attention:3 --with ridge --reset       how much of a lost matrix a refit brings back
  toylm fit RUN --part blocks:4-5 --with collapse             two blocks taken out, what they did put into the one before
  toylm fit RUN --with collapse --curve 3                     what taking out blocks costs, as a table and a picture
  toylm fit RUN --part all --with lora-gradient --rank 8
  toylm fit RUN --add story.txt                               learn one story more: a ridge head, or counts

RUN is a run folder or a checkpoint folder; the text is the run's own (or --data). A fit is measured on held-out text before and
after, and written only with --out. --add and --remove change the run itself unless --out is given, and measure nothing; --curve
writes into RUN/collapse, or --out. What fits what is listed below.
"""

import argparse

from ..console import use_utf8_output
from ..errors import UsageError, nearest
from . import fit_counts, fit_curve, fit_documents, fit_part

# Families of fitters, each a module with a command of its own: `FITTERS` (name -> what it does in a line), `add_arguments(parser)`,
# `takes(args)` (whether the command line is meant for it), `reads(args)` (what it is asked for, as flags, and the names of the
# arguments that it then reads) and `run(args)`. The first that takes it runs; what it does not read is refused.
FAMILIES = (fit_curve, fit_part, fit_documents, fit_counts)


def build_parser(parser):
    """Add the arguments of `toylm fit`."""
    parser.short = ("--part", "--with", "--data", "--out", "--overwrite", "--add", "--remove", "--curve", "--reset", "--rank")
    parser.add_argument("source", metavar="RUN|TEXT", help="run or checkpoint folder; or a text, where a whole model is fitted")
    parser.add_argument("--with", dest="fitter", metavar="FITTER", help="what to fit with (listed below)")
    parser.add_argument("--out", metavar="RUN", help="keep the result in this new folder")
    parser.add_argument("--overwrite", action="store_true", help="replace what --out holds already")
    parser.add_argument("--context-length", metavar="N", type=int, help="tokens in a window (default: the model's)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of everything drawn at random")
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: physical cores)")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    lists = []
    for family in FAMILIES:
        family.add_arguments(parser)
        lists.append(family.FITTERS)
    width = max(len(name) for names in lists for name in names) + 2
    lines = "\n".join(f"  {name:<{width}}{line}" for names in lists for name, line in names.items())
    parser.epilog = f"fitters (--with):\n{lines}"


def run(args):
    """Run `toylm fit`; returns the exit status."""
    use_utf8_output()
    for family in FAMILIES:
        if family.takes(args):
            _refuse_unread(args, *family.reads(args))
            return family.run(args)
    names = [name for family in FAMILIES for name in family.FITTERS]
    if args.fitter is None:
        raise UsageError(f"--with names the fitter: {', '.join(names)}")
    raise UsageError(f"no fitter {args.fitter!r}{nearest(args.fitter, names)}")


def _refuse_unread(args, asked, names):
    """Raise UsageError for an argument that would be ignored without a word."""
    parser = argparse.ArgumentParser()
    build_parser(parser)
    for name, value in vars(args).items():
        if name not in (*names, "source", "debug") and value != parser.get_default(name):
            flag = "--with" if name == "fitter" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} has no effect on {asked}: leave it out")
