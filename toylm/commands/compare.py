"""Compare gradient descent, one-shot fits and their combination on one text, each tuned for the time that it gets.

  toylm compare stories --quick                          a first look, about two minutes
  toylm compare my.txt                                   three budgets, three seeds, all contestants: hours; it can be interrupted
  toylm compare my.txt --only adamw muon counts          some of them
  toylm compare my.txt --budgets 60 420 --seeds 0        other budgets in seconds, one seed
  toylm compare my.txt --megabytes 0.1 1                 and how the best change with the amount of text

The text has three parts. Every contestant tries the same number of settings (rates, sizes, penalties, orders) on validation text;
the best of them then runs once a seed, and only these runs are measured on the test text. A gradient run belongs to one budget,
with a size and a schedule for it: no long run is read early. What is done is kept in --out, and the same command goes on there.
Writes table.md, compare.json, samples.txt and pictures.
"""

import dataclasses
import json
import time
from pathlib import Path

from ..compare.settings import TUPLES, Settings
from ..console import Bar, Console, display_path, duration, use_utf8_output
from ..errors import UsageError, nearest
from ..fields import add_flags, parse
from ..files import write_json
from ..host import cpu_name, versions

QUICK = {"budgets": (5.0, 15.0), "seeds": (0,), "trials": 1}
QUICK_CONTESTANTS = ("counts", "bigram start", "cross-entropy head", "adamw", "muon", "counts + muon")
ABOUT = "about.json"


def build_parser(parser):
    """Add the arguments of `toylm compare`."""
    parser.add_argument("text", metavar="TEXT", nargs="+", help="stories (comes with toylm), a UTF-8 text file, or several")
    parser.add_argument("--quick", action="store_true", help="two short budgets, one seed, no trials, six contestants")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="some contestants (see --list); quote a name with spaces")
    parser.add_argument("--list", action="store_true", help="list the contestants and stop")
    parser.add_argument("--out", metavar="DIR", help="folder of the results (default: compare/NAME)")
    parser.add_argument("--overwrite", action="store_true", help="delete a comparison of other settings that --out holds")
    parser.add_argument("--tokenizer", default="bpe", help="bpe, char, byte, word, or the path of a tokenizer.json")
    parser.add_argument("--vocab-size", metavar="N", type=int, help="tokens in the vocabulary, at most (default: 512)")
    parser.add_argument("--held-out", metavar="X", type=float, help="share of the documents in the test text (default: 0.1)")
    parser.add_argument("--prompt", default="", help="start of the samples; empty: a new document")
    default = Settings()
    for name, kind in TUPLES.items():
        field = next(f for f in dataclasses.fields(Settings) if f.name == name)
        shown = " ".join(f"{value:g}" for value in getattr(default, name))
        parser.add_argument(f"--{name}", metavar="X", type=kind, nargs="+",
                            help=field.metadata["help"] + (f" (default: {shown})" if shown else ""))  # fmt: skip
    add_flags(parser, [f for f in dataclasses.fields(Settings) if f.name not in TUPLES], default)
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: physical cores)")
    parser.add_argument("--quiet", action="store_true", help="print the table only")


def run(args):
    """Run `toylm compare`; returns the exit status."""
    from ..compare import pages
    from ..compare.answers import answers
    from ..compare.contest import Contest
    from ..compare.contestants import CONTESTANTS
    from ..compare.measure import document_losses
    from ..compare.row import rows_of
    from ..data import prepare
    from ..fitters.data import FitData
    from ..model.transformer import TransformerLM
    from ..threads import set_threads
    from ..train.sizing import measured_flops_per_second, shape_of

    use_utf8_output()
    if args.list:
        width = max(map(len, CONTESTANTS))
        for name, contestant in CONTESTANTS.items():
            print(f"{name:<{width}}  {contestant.help}" + (" (an ablation)" if contestant.ablation else ""))
        return 0
    chosen = _chosen(args.only or (QUICK_CONTESTANTS if args.quick else CONTESTANTS), CONTESTANTS)
    settings = _settings(args)
    threads = set_threads(args.threads)
    console = Console(quiet=args.quiet)
    if args.vocab_size is not None and args.tokenizer not in ("bpe", "word"):
        raise UsageError(f"vocab_size is {args.vocab_size}, but the tokenizer {args.tokenizer} has its own: leave it out")
    text = args.text[0] if len(args.text) == 1 else args.text
    vocab_size = (args.vocab_size or 512) if args.tokenizer in ("bpe", "word") else None
    prepared = prepare(text, tokenizer=args.tokenizer, vocab_size=vocab_size, held_out=args.held_out or 0.1,
                       context_length=settings.context_length, progress=not args.quiet)  # fmt: skip
    data = FitData.of_prepared(prepared, context_length=settings.context_length, batch_size=settings.batch_size,
                               validation=settings.validation)  # fmt: skip
    out = Path(args.out) if args.out else Path("compare") / prepared.name
    shared = {name: value for name, value in dataclasses.asdict(settings).items() if name not in TUPLES}
    same = {"text": prepared.name, "train": data.train.identity(), "test": data.held_out.identity(), "settings": shared}
    same = json.loads(json.dumps(same))
    about = _opened(out, same, args.overwrite)
    if "flops_per_second" not in about:
        model = TransformerLM(settings.model_config(prepared.vocab_size, **shape_of(128, 4)), threads=threads)
        console.say("measuring how fast this machine trains (kernels are compiled the first time) ...")
        model.loss_and_gradients(*data.training_batches().next())
        about |= same | {"flops_per_second": measured_flops_per_second(model, data.training_batches()), "machine": cpu_name(),
                         "threads": threads, "versions": versions(), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}  # fmt: skip
        write_json(out / ABOUT, about)
    with Bar(args.quiet) as progress:
        contest = Contest(data, settings, out, about["flops_per_second"], console.say, progress, args.prompt)
        parts = {"training": data.fitting, "validation": data.validation, "test": data.held_out}
        console.say("text         " + ", ".join(f"{what} {len(part):,} tokens" for what, part in parts.items())
                    + f", vocabulary {prepared.vocab_size:,}")  # fmt: skip
        left = duration(contest.expected_seconds(chosen))
        console.say(f"runs         {len(contest.runs)} known; the others fit for about {left}")
        try:
            contest.run(chosen)
        finally:  # also after Ctrl-C: what is known is written
            _, counts = document_losses(_Uniform(prepared.vocab_size), data)
            rows = rows_of(contest.runs, counts)
            said = answers(rows)
            pages.write_pages(out, about, rows, said)
            drawn = pages.draw(out, rows, prepared.name)
    print(f"\n{pages.table(rows)}\n")
    for sentence in said:
        print(f"- {sentence}")
    console.say(f"\nwritten      {display_path(out)}: {', '.join(['table.md', *drawn, 'samples.txt', 'compare.json'])}")
    return 0


class _Uniform:
    """Knows nothing: for the number of tokens in each document."""

    def __init__(self, vocab_size):
        self.vocab_size = vocab_size

    def token_losses(self, tokens, targets):
        import numpy as np

        return np.full(targets.shape, np.log(self.vocab_size))


def _chosen(asked, known):
    for name in asked:
        if name not in known:
            raise UsageError(f"no contestant {name!r}{nearest(name, known)}")
    return [name for name in known if name in asked]


def _settings(args):
    values = dict(QUICK) if args.quick else {}
    for field in dataclasses.fields(Settings):
        given = getattr(args, field.name)
        if given is not None:
            values[field.name] = tuple(given) if field.name in TUPLES else parse(field, given)
    return Settings(**values)


def _opened(out, same, overwrite):
    """What an earlier call kept in the folder about itself, {} for a new one. Raises UsageError: that was another comparison."""
    from ..compare.contest import RUNS

    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; --out names a folder")
    out.mkdir(parents=True, exist_ok=True)
    path = out / ABOUT
    if not path.exists():
        (out / RUNS).unlink(missing_ok=True)
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        differs = [name for name in same if about[name] != same[name]]
    except (ValueError, KeyError, TypeError):
        differs = ["about.json"]
    if not differs:
        return about
    if not overwrite:
        what = " and ".join(differs)
        raise UsageError(f"{display_path(out)} holds a comparison with another {what}: give another --out, or --overwrite")
    path.unlink()
    (out / RUNS).unlink(missing_ok=True)
    return {}
