"""Compare gradient descent, one-shot fits and their combination on one text.

  toylm compare tinystories.txt --minutes 7              everything below, on your text
  toylm compare stories --minutes 1 --only counts adam   two of them, quickly
  toylm compare stories --minutes 1 --only sgd           one more, into the same table

Contestants: counts (Kneser-Ney with an induction head), bigram (embeddings from log-PMI, no step), heads (closed-form heads
on random features), adam (the learning rate is chosen among --adam-rates on training text), combination (counts and a
transformer as two experts, then Adam), polish (a cross-entropy head on Adam's model), sgd. Each long run takes --minutes; the
learning rates are tried before, for a tenth of that each. Writes a table, the curves, samples and JSON into --out.
"""

import time
from pathlib import Path

from ..compare import pages
from ..compare.answers import answers
from ..compare.settings import SHAPE, Settings
from ..console import Bar, Console, display_path, use_utf8_output
from ..errors import UsageError, nearest
from ..host import cpu_name, versions

CONTESTANTS = {
    "counts": "counts", "bigram": "bigram_start", "heads": "feature_heads", "adam": "adam", "combination": "combination",
    "polish": "polish", "sgd": "sgd",
}  # fmt: skip


def build_parser(parser):
    """Add the arguments of `toylm compare`."""
    default = Settings()
    parser.add_argument("text", metavar="TEXT", nargs="+", help="stories (comes with toylm), a UTF-8 text file, or several")
    parser.add_argument("--minutes", metavar="M", type=float, default=default.minutes, help="of each long run")
    parser.add_argument("--only", metavar="NAME", nargs="+", help=f"some contestants: {', '.join(CONTESTANTS)}")
    parser.add_argument("--out", metavar="DIR", help="folder of the results (default: compare/NAME)")
    parser.add_argument("--tokenizer", default="bpe", help="bpe, char, byte, word, or the path of a tokenizer.json")
    parser.add_argument("--vocab-size", metavar="N", type=int, default=512, help="tokens in the vocabulary, at most")
    parser.add_argument("--held-out", metavar="X", type=float, default=0.1, help="share of the documents held out")
    parser.add_argument("--prompt", default="", help="start of the samples; empty: a new document")
    for name, f in SHAPE.items():
        flag, help = f"--{name.replace('_', '-')}", f.metadata["help"]
        parser.add_argument(flag, metavar="N" if f.type is int else "X", type=f.type, default=f.default, help=help)
    for name in ("adam_rates", "sgd_rates"):
        rates = getattr(default, name)
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="X", type=float, nargs="+", default=list(rates),
                            help="peak learning rates to try; one is taken as it is"
                            + ("; combination takes the one that was best for adam" if name == "adam_rates" else ""))  # fmt: skip
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: physical cores)")
    parser.add_argument("--quiet", action="store_true", help="print the table only")


def run(args):
    """Run `toylm compare`; returns the exit status."""
    from ..compare.contest import Contest
    from ..data import prepare
    from ..fitters.data import FitData
    from ..threads import set_threads

    use_utf8_output()
    chosen = _chosen(args.only)
    settings = _settings(args)
    threads = set_threads(args.threads)
    console = Console(quiet=args.quiet)
    text = args.text[0] if len(args.text) == 1 else args.text
    vocab_size = args.vocab_size if args.tokenizer in ("bpe", "word") else None
    prepared = prepare(text, tokenizer=args.tokenizer, vocab_size=vocab_size, held_out=args.held_out,
                       context_length=settings.context_length, progress=not args.quiet)  # fmt: skip
    data = FitData.of_prepared(prepared, context_length=settings.context_length, batch_size=settings.batch_size, seed=settings.seed)
    out = Path(args.out) if args.out else Path("compare") / prepared.name
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; --out names a folder")
    counted = prepared.counts
    about = {
        "text": prepared.name,
        "train": counted["train"],
        "held_out": counted["held_out"],
        "vocab_size": prepared.vocab_size,
        "minutes": args.minutes,
        "shape": {name: getattr(settings, name) for name in SHAPE},
        "rates": {"adam": settings.adam_rates, "sgd": settings.sgd_rates},
        "machine": cpu_name(),
        "threads": threads,
        "versions": versions(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    console.say(f"text         {prepared.name}: {counted['train']['tokens']:,} training tokens, "
                f"{counted['held_out']['tokens']:,} held out, vocabulary {prepared.vocab_size:,}")  # fmt: skip

    def keep(contest):
        pages.write_pages(out, about, contest.rows, answers(contest.rows, args.minutes))

    with Bar(args.quiet) as progress:
        rows = pages.read_rows(out, about) if args.only else ()
        contest = Contest(data, settings, console.say, progress, keep, args.prompt, rows)
        contest.check(chosen)
        out.mkdir(parents=True, exist_ok=True)
        contest.warm_up()
        try:
            for name in chosen:
                getattr(contest, CONTESTANTS[name])()
        finally:  # also after Ctrl-C: what is known is kept
            drawn = pages.draw_curves(out / "curves.png", contest.rows, prepared.name)
    print(f"\n{pages.table(contest.rows)}\n")
    for sentence in answers(contest.rows, args.minutes):
        print(f"- {sentence}")
    curves = "curves.png, " if drawn else ""
    console.say(f"\nwritten      {display_path(out)}: table.md, {curves}samples.txt, compare.json")
    return 0


def _chosen(only):
    names = list(CONTESTANTS) if only is None else only
    for name in names:
        if name not in CONTESTANTS:
            raise UsageError(f"no contestant {name!r}{nearest(name, CONTESTANTS)}")
    return [name for name in CONTESTANTS if name in names]


def _settings(args):
    values = {name: getattr(args, name) for name in SHAPE}
    return Settings(minutes=args.minutes, adam_rates=tuple(args.adam_rates), sgd_rates=tuple(args.sgd_rates), **values)
