"""`toylm fit TEXT --with counts`, and `toylm fit RUN --add FILE` / `--remove FILE` for a run that was fitted so."""

import json
import time
from pathlib import Path

from ..data.separator import add_separator
from ..errors import CheckpointError, UsageError
from ..fitters.documents import CHANGES, change_documents, print_changes

FITTERS = {"counts": "a language model of a text's n-grams (Kneser-Ney) and of copying from the window [TEXT]"}
SAMPLE_PROMPTS, SAMPLE_TOKENS = 3, 120


def add_arguments(parser):
    """The arguments of this family."""
    group = parser.add_argument_group("a whole model of a text, counted")
    group.add_argument("--order", metavar="N", type=int, help="tokens of the longest n-grams (default: 6; 7 for characters)")
    group.add_argument("--near", metavar="N", type=int, help="tokens before the words in the view of words (default: 2; 3)")
    group.add_argument("--no-words", action="store_true", help="no view of whole words, n-grams of tokens alone")
    group.add_argument("--tokenizer", metavar="TEXT", default="bpe", help="bpe, char, byte, word, or the path of a tokenizer.json")
    group.add_argument("--vocab-size", metavar="N", type=int, help="tokens in the vocabulary, at most")
    group.add_argument("--held-out", metavar="X", type=float, help="share kept for evaluation (default: the corpus's own, 0.05)")
    add_separator(group)
    group.add_argument("--limit", metavar="N", type=int, help="read this many characters of the text only")
    group.add_argument("--window", metavar="N", type=int, default=1000, help="tokens that copies come from in the streaming figure")
    group.add_argument("--add", metavar="FILE", action="append", default=[],
                       help="count this document too; RUN is of counts, or has a ridge head saved with --by-document")  # fmt: skip
    group.add_argument("--remove", metavar="FILE", action="append", default=[],
                       help="take this document out of the counts, or of the ridge head")  # fmt: skip


def takes(args):
    """Whether the command line asks for this family."""
    return args.fitter == "counts" or (args.fitter is None and bool(args.add or args.remove))


def reads(args):
    """See command.FAMILIES."""
    if args.add or args.remove:
        asked, names = CHANGES
        return asked, (*names, "fitter")
    return "--with counts", (
        "fitter", "order", "near", "no_words", "tokenizer", "vocab_size", "held_out", "separator", "limit", "window", "out",
        "overwrite", "context_length", "seed", "threads", "json",
    )  # fmt: skip


def run(args):
    """Fit or change a counts model; returns the exit status."""
    return change(args) if args.add or args.remove else fit(args)


# -- fitting a text ----------------------------------------------------------------------------------------------------------


def fit(args):
    """`toylm fit TEXT --with counts`."""
    from ..closed_form.estimator import check_count
    from ..console import count, size
    from ..counts.language_model import CountsLM, load_kernels
    from ..counts.views import word_symbols
    from ..kernels.jit import compile_seconds
    from ..threads import set_threads
    from ..train.setup import prepare_text
    from .fit_part import check_out

    set_threads(args.threads)
    check_count(args.window, "--window", 0)
    if args.out:
        check_out(args.out, args.overwrite)
    _check_text(args.source)
    settings = _settings(args)
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
                         context_length=settings.context_length, words=words, near=args.near)  # fmt: skip
    seconds = time.perf_counter() - began
    report, streaming = _report(args, model, prepared, seconds)
    _print(args, report, streaming, compiled)
    if args.out:
        path = _save(args, settings, model, prepared, report)
        say(f"saved        {path}")
    else:
        say("not saved: --out RUN keeps the model")
    return 0


def _settings(args):
    from ..train.settings import TrainSettings

    source = args.source
    if Path(source).exists():
        source = str(Path(source).absolute())
    return TrainSettings(
        data=(source,), tokenizer=args.tokenizer, vocab_size=args.vocab_size, held_out=args.held_out, separator=args.separator,
        limit=args.limit, seed=args.seed, threads=args.threads,
        context_length=256 if args.context_length is None else args.context_length,
    )  # fmt: skip


def _check_text(source):
    """Raise UsageError for a run or a checkpoint, whose files would be read as texts."""
    from ..formats.checkpoint import find_checkpoint

    try:
        find_checkpoint(source)
    except (CheckpointError, FileNotFoundError):
        if not (Path(source) / "run.json").is_file():
            return
    raise UsageError(f"{source} is a run: counts are fitted to a text; give --with counts the text that it was trained on")


def _check_held_out(prepared):
    if not len(prepared.held_out):
        raise UsageError(f"{prepared.name} has no held-out tokens: raise --held-out, or give more text")


def _report(args, model, prepared, seconds):
    """(FitReport on cold windows, (nats/token, bits/byte) with the context carried over)."""
    import math

    import numpy as np

    from ..evaluation import evaluate
    from ..fitters.report import FitReport

    began = time.perf_counter()
    cold = evaluate(model, prepared.held_out.windows(model.config.context_length, 64))
    evaluation_seconds = time.perf_counter() - began
    stream = float(model.stream_losses(np.asarray(prepared.held_out.tokens), args.window).mean())
    bits = stream * cold.tokens / math.log(2) / cold.bytes if cold.bytes else None
    details = {
        "order": model.config.order, "context_length": model.config.context_length, "window": args.window,
        "streaming_loss": stream, "streaming_perplexity": math.exp(stream), "streaming_bits_per_byte": bits,
        "evaluation_seconds": evaluation_seconds, **model.fitting,
    }  # fmt: skip
    report = FitReport(
        fitter="counts", part="all", changed=("ngrams", "counts", "weights"), solver="counting and EM", seconds=seconds,
        parameters=model.n_parameters, n_bytes=model.nbytes, loss_after=cold.loss, tokens=cold.tokens,
        bits_per_byte_after=cold.bits_per_byte, details=details,
    )  # fmt: skip
    return report, (stream, bits)


def _print(args, report, streaming, compiled):
    from ..console import size

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
    import math

    for what, loss, bits in lines:
        said = "" if bits is None else f" | {bits:.4f} bits/byte"
        print(f"  {what:<30}{loss:.4f} nats/token | perplexity {math.exp(loss):,.2f}{said}")


def _save(args, settings, model, prepared, report):
    """A run folder that generate, evaluate and info open; returns the checkpoint's path."""
    import shlex
    import sys

    from ..files import write_json, write_text
    from ..formats.checkpoint import write_pointer
    from ..host import host, versions
    from ..threads import get_threads
    from ..train import metrics
    from ..train.run_folder import METRICS, SAMPLES, RunFolder

    out = Path(args.out)
    with RunFolder.create(out, overwrite=args.overwrite):
        path = model.save(out / "step-000000", prepared.tokenizer)
        for name in ("latest", "best"):
            write_pointer(out, name, path)
        data = {"name": prepared.name, "path": str(prepared.path), "counts": prepared.counts, "notes": prepared.notes}
        write_json(out / "run.json", {
            "name": out.name, "recipe": "counts", "settings": settings.to_dict(), "parameters": model.n_parameters,
            "model": model.config.to_dict(), "data": data, "seed": args.seed, "threads": get_threads(), "versions": versions(),
            "host": host(), "command": shlex.join(["toylm", *sys.argv[1:]]), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "fitted": [report.to_dict()],
        })  # fmt: skip
        metrics.append(out / METRICS, {"step": 0, "held_out_loss": report.loss_after, "perplexity": report.perplexity_after,
                                       "bits_per_byte": report.bits_per_byte_after, "held_out_tokens": report.tokens})  # fmt: skip
        write_text(out / SAMPLES, _samples(model, prepared.tokenizer, args.seed))
    return path


def _samples(model, tokenizer, seed):
    texts = []
    for i in range(SAMPLE_PROMPTS):
        ids = model.generate([tokenizer.start_id], SAMPLE_TOKENS, 0.8, seed=seed + i, stop_ids=(tokenizer.end_id,))
        texts.append(f"--- sample {i + 1}, temperature 0.8\n{tokenizer.decode(ids)}\n")
    return "\n".join(texts)


# -- adding and removing documents -------------------------------------------------------------------------------------------


def change(args):
    """`toylm fit RUN --add FILE ... --remove FILE ...`: the run's counts with these documents more or less."""
    from ..counts.language_model import CountsLM, load_kernels
    from ..formats.checkpoint import load_checkpoint
    from .fit_part import check_out, save_checkpoint_run

    if args.out:
        check_out(args.out, args.overwrite)
    checkpoint = load_checkpoint(args.source, threads=args.threads)
    model, tokenizer, path = checkpoint.model, checkpoint.tokenizer, checkpoint.path
    if not isinstance(model, CountsLM):
        raise UsageError(
            f"{path} keeps neither counts nor moments: documents are added to and removed from what --with counts has fitted, or "
            f"--part head --with ridge --by-document"
        )
    if tokenizer is None:
        raise UsageError(f"{path} has no tokenizer.json: documents can be added from Python with token ids, not from text")
    load_kernels()
    done = change_documents(args, model, tokenizer)
    path = save_checkpoint_run(args.out, checkpoint, {}, args.overwrite) if args.out else model.save(path, tokenizer)
    print_changes(args, path, done, model.n_tokens, f"counts       {model.n_tokens:,} tokens, {model.n_parameters:,} n-grams")
    return 0
