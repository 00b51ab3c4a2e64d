"""`toylm fit TEXT --with counts`: a language model of a text, counted."""

import json
import math
import time

from ..console import count, size
from ..data.separator import add_separator
from ..errors import UsageError

FITTERS = {"counts": "a language model of a text's n-grams (Kneser-Ney) and of copying from the window [TEXT]"}


def add_arguments(parser):
    """The arguments of this family."""
    group = parser.add_argument_group("a whole model of a text, counted")
    group.add_argument("--order", metavar="N", type=int, help="tokens of the longest n-grams (default: 6; 7 for characters)")
    group.add_argument("--near", metavar="N", type=int, help="tokens before the words in the view of words (default: 2; 3)")
    group.add_argument("--no-words", action="store_true", help="no view of whole words, n-grams of tokens alone")
    group.add_argument("--tokenizer", metavar="TEXT", help="bpe (the default), char, byte, word, or the path of a tokenizer.json")
    group.add_argument("--vocab-size", metavar="N", type=int, help="tokens in the vocabulary, at most")
    group.add_argument("--held-out", metavar="X", type=float, help="share kept for evaluation (default: the corpus's own, 0.05)")
    add_separator(group)
    group.add_argument("--limit", metavar="N", type=int, help="read this many characters of the text only")
    group.add_argument("--window", metavar="N", type=int, default=1000, help="tokens that copies come from in the streaming figure")


def takes(args):
    """Whether the command line asks for this family."""
    return args.fitter == "counts"


def reads(args):
    """See fit.FAMILIES."""
    return "--with counts", (
        "fitter", "order", "near", "no_words", "tokenizer", "vocab_size", "held_out", "separator", "limit", "window", "out",
        "overwrite", "context_length", "seed", "threads", "json",
    )  # fmt: skip


def run(args):
    """`toylm fit TEXT --with counts`."""
    from ..checks import check_count
    from ..counts.language_model import CountsLM, load_kernels
    from ..counts.views import word_symbols
    from ..kernels.jit import compile_seconds
    from ..threads import set_threads
    from ..train.run_folder import check_free
    from ..train.setup import prepare_text
    from .counts_run import check_text, report_of, save, settings_of

    set_threads(args.threads)
    check_count(args.window, "--window", 0)
    if args.out:
        check_free(args.out, args.overwrite)
    check_text(args.source)
    settings = settings_of(args)
    prepared = prepare_text(settings, quiet=args.json)
    if prepared.tokenizer is None:
        raise UsageError(f"{args.source} is a synthetic task; counts are fitted to running text")
    _check_held_out(prepared)
    say = (lambda text: None) if args.json else print
    train, held_out = prepared.counts["train"], prepared.counts["held_out"]
    say(
        f"text         {prepared.name}: {count(train['documents'], 'document')}, {size(train['bytes'])}, "
        f"{train['tokens']:,} tokens; held out {count(held_out['documents'], 'document')}, {held_out['tokens']:,} tokens"
    )
    for note in prepared.notes:
        say(f"note         {note}")
    compiled = compile_seconds()
    load_kernels()
    compiled, began = compile_seconds() - compiled, time.perf_counter()
    words = None if args.no_words else word_symbols(prepared.tokenizer)
    model = CountsLM.fit(prepared.train.tokens, prepared.vocab_size, prepared.train.end_id, order=args.order,
                         context_length=settings.model.context_length, words=words, near=args.near)  # fmt: skip
    seconds = time.perf_counter() - began
    report, streaming = report_of(args, model, prepared, seconds)
    _print(args, report, streaming, compiled)
    if args.out:
        path = save(args, settings, model, prepared, report)
        say(f"saved        {path}")
    else:
        say("not saved: --out RUN keeps the model")
    return 0


def _check_held_out(prepared):
    if not len(prepared.held_out):
        raise UsageError(f"{prepared.name} has no held-out tokens: raise --held-out, or give more text")


def _print(args, report, streaming, compiled):
    if args.json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
        return
    apart = f"; kernels compiled in {compiled:.1f} s besides" if compiled > 0.05 else ""
    d = report.details
    held = f"{report.parameters:,} n-grams up to {d['order']} tokens, {size(report.n_bytes)}"
    print(f"counted      {held}, in {report.seconds:.2f} s{apart}")
    lines = (
        (f"cold windows of {d['context_length']}", report.loss_after, report.bits_per_byte_after),
        (f"streaming, copies from {d['window']:,}", *streaming),
    )
    print(f"held-out     {report.tokens:,} tokens")
    for what, loss, bits in lines:
        said = "" if bits is None else f" | {bits:.4f} bits/byte"
        print(f"  {what:<30}{loss:.4f} nats/token | perplexity {math.exp(loss):,.2f}{said}")
