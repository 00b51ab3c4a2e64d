"""How well a model predicts a text: loss in nats per token, perplexity, and bits per byte.

  toylm evaluate runs/first my-text.txt
  toylm evaluate runs/first shakespeare --json
  toylm evaluate runs/first                     on the run's own held-out text

Without TEXT, and for the very text that the run was trained on, its held-out part is measured. RUN is a run folder (its best
checkpoint is taken; RUN/latest names the newest) or any checkpoint folder. TEXT is a UTF-8 file
or the name of a corpus, of which its own held-out file is taken if it has one. Every token is predicted once, in windows of the
model's context length that do not overlap; each document is followed by <|endoftext|>. Bits per byte compares models with
different tokenizers.
"""

import json
import math

from ..console import use_utf8_output
from ..data import encode_corpus, load_corpus
from ..data.separator import add_separator
from ..errors import DivergedError, UsageError
from ..evaluation import evaluate
from ..train.run_folder import open_checkpoint


def build_parser(parser):
    """Add the arguments of `toylm evaluate`."""
    parser.add_argument("run", metavar="RUN", help="run or checkpoint folder")
    parser.add_argument("text", metavar="TEXT", nargs="*", help="UTF-8 file or corpus name (default: the run's held-out text)")
    add_separator(parser)
    parser.add_argument("--context-length", metavar="N", type=int, help="tokens in a window (default: the model's)")
    parser.add_argument("--batch-size", metavar="N", type=int, default=16, help="windows at once")
    parser.add_argument("--max-tokens", metavar="N", type=int, help="evaluate about this many tokens, spread over the text")
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: physical cores)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args):
    """Run `toylm evaluate`; returns the exit status."""
    for name in ("context_length", "batch_size", "max_tokens"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")
    if args.separator is not None and not args.text:
        raise UsageError("--separator is for TEXT, and there is none: the run's own text is separated as it was in training")
    from ..train.setup import is_own_text, text_of_run  # numba: `toylm evaluate -h` need not wait for it

    use_utf8_output()
    model, tokenizer, _, path = open_checkpoint(args.run, threads=args.threads)
    if tokenizer is None and args.text:
        raise UsageError(f"{path} has no tokenizer.json: it can be evaluated on its own held-out data, not on text")
    length = args.context_length or model.config.context_length
    if length > model.config.context_length:
        raise UsageError(f"context_length is {length}; the model was trained for at most {model.config.context_length}")
    note = None
    if args.text and is_own_text(path, args.text, args.separator):
        note = f"{' '.join(args.text)} is the text that {path.parent} was trained on: only its held-out part is measured"
    if args.text and note is None:
        name, tokens = read_text(args, tokenizer)
    else:
        _, prepared = text_of_run(path, tokenizer)
        name, tokens = f"{prepared.name}, held out", prepared.held_out
    unknown = tokens.unknown_tokens / len(tokens)
    windows = tokens.windows(length, args.batch_size, args.max_tokens)
    result = evaluate(model, windows)
    if not math.isfinite(result.loss):
        raise DivergedError(f"{path}: the loss is {result.loss} on {name}: its weights have diverged; take an earlier checkpoint")
    if args.json:
        about = {"checkpoint": str(path), "text": name, "context_length": windows.context_length, "unknown_share": unknown,
                 "note": note}  # fmt: skip
        figures = about | result.to_dict()
        print(json.dumps(figures, ensure_ascii=False))
        return 0
    print(f"checkpoint       {path}")
    print(f"text             {name}: {result.tokens:,} tokens, {result.bytes:,} bytes, windows of {windows.context_length}")
    print(f"loss             {result.loss:.4f} nats/token")
    print(f"perplexity       {result.perplexity:,.2f}")
    if result.bits_per_byte is not None:
        print(f"bits per byte    {result.bits_per_byte:.4f}")
    if note:
        print(f"note             {note}")
    if unknown:
        print(f"note             {unknown:.2%} of the tokens are unknown to the tokenizer: bits per byte come out too low")
    return 0


def read_text(args, tokenizer, limit=None):
    """(name, TokenFile) of args.text, about `limit` characters of it; of a corpus with a held-out file of its own, that file."""
    corpus = load_corpus(args.text[0] if len(args.text) == 1 else args.text, args.separator, limit=limit)
    name = f"{corpus.name}, held out" if corpus.held_out_files else corpus.name
    return name, encode_corpus(corpus, tokenizer, progress=not args.json)
