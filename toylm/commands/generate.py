"""Write text with a trained model, token by token as it comes.

  toylm generate runs/first --prompt "Once upon a time"
  toylm generate runs/first --prompt-file start.txt --top-p 0.9 --num-samples 3
  echo "The dog" | toylm generate runs/first --prompt - --stop "."

RUN is a run folder (its best checkpoint is taken; RUN/latest names the newest) or any checkpoint folder. The text goes to
stdout, the figures to stderr. Without a prompt a new document begins.
"""

import sys
import time

from ..console import use_utf8_output
from ..data.separator import unescape
from ..errors import UsageError
from ..train.run_folder import open_checkpoint


def build_parser(parser):
    """Add the arguments of `toylm generate`."""
    parser.add_argument("run", metavar="RUN", help="run or checkpoint folder")
    start = parser.add_argument_group("prompt").add_mutually_exclusive_group()
    start.add_argument("--prompt", metavar="TEXT", help="text to go on from; - reads it from stdin")
    start.add_argument("--prompt-file", metavar="FILE", help="UTF-8 file with the text to go on from; - is stdin")
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--max-tokens", metavar="N", type=int, default=200, help="tokens to write at most")
    sampling.add_argument(
        "--temperature", metavar="X", type=float, default=0.8, help="0: always the likeliest token; 1: as the model has it"
    )
    sampling.add_argument("--top-k", metavar="N", type=int, help="choose among the N likeliest tokens only")
    sampling.add_argument("--top-p", metavar="X", type=float, help="choose among the likeliest tokens that sum to X")
    sampling.add_argument("--seed", metavar="N", type=int, default=0, help="of the random choices; sample i uses seed + i")
    sampling.add_argument("--num-samples", metavar="N", type=int, default=1, help="texts to write")
    ending = parser.add_argument_group("ending")
    ending.add_argument("--stop", metavar="TEXT", action="append", default=[], type=unescape,
                        help=r"end at this text (may be repeated); \n and \t are understood")  # fmt: skip
    ending.add_argument("--ignore-end", action="store_true", help="go on past <|endoftext|>, into the next document")
    other = parser.add_argument_group("other")
    other.add_argument("--raw", action="store_true", help="do not begin with the token that opens a document, <|endoftext|>")
    other.add_argument("--threads", metavar="N", type=int, help="threads (default: physical cores)")
    other.add_argument("--quiet", action="store_true", help="no figures on stderr")


class StopStrings:
    """Cuts a stream of text at the first of some strings; text that may be the beginning of one is held back.

    `push(piece)` returns what may be shown; `found` tells that a stop string was met. `flush()` returns what was held back.
    """

    def __init__(self, stops):
        self.stops = [stop for stop in stops if stop]
        self.found = False
        self._held = ""

    def push(self, piece):
        """Text that can be shown now that `piece` has come."""
        text = self._held + piece
        self._held = ""
        starts = [start for stop in self.stops if (start := text.find(stop)) >= 0]
        if starts:
            self.found = True
            return text[: min(starts)]
        keep = max((n for stop in self.stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
        if keep:
            text, self._held = text[:-keep], text[-keep:]
        return text

    def flush(self):
        """What is left when no more text comes."""
        held, self._held = self._held, ""
        return held


def stream_text(model, tokenizer, prompt_ids, *, stop=(), ignore_end=False, **sampling):
    """Yield (text, ids): pieces of valid UTF-8 as they become complete, and the number of ids they took.

    prompt_ids: what to go on from; stop: strings to end at; sampling: the arguments of `TransformerLM.stream`.
    """
    stop_ids = () if ignore_end else (tokenizer.end_id,)
    stops, decoder, count = StopStrings(stop), tokenizer.stream(prompt_ids), 0
    for token in model.stream(prompt_ids, stop_ids=stop_ids, **sampling):
        count += 1
        if token == tokenizer.end_id:  # the end of a document is shown as a blank line where the text goes on past it
            text, decoder = decoder.flush() + "\n\n", tokenizer.stream()
        else:
            text = decoder.push(token)
        piece = stops.push(text)
        yield piece, count
        count = 0
        if stops.found:
            return
    # The beginning of a character that never came is not shown.
    yield stops.push(decoder.flush().removesuffix("\ufffd")) + stops.flush(), count


def read_prompt(args):
    """The prompt that the arguments name, or None where they name none. Raises UsageError for an unreadable file."""
    source = args.prompt_file if args.prompt_file is not None else "-" if args.prompt == "-" else None
    if source is None:
        return args.prompt
    try:
        if source == "-":
            text = sys.stdin.buffer.read().decode("utf-8")
        else:
            with open(source, "rb") as file:
                text = file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        name = "stdin" if source == "-" else source
        raise UsageError(f"the prompt from {name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    return text.removesuffix("\n")  # the end of the file's last line is not part of the prompt


def run(args):
    """Run `toylm generate`; returns the exit status."""
    from ..model.generation import check_sampling

    check_sampling(args.temperature, args.top_k, args.top_p, args.max_tokens)
    for name, least in (("max_tokens", 1), ("num_samples", 1), ("seed", 0)):
        if getattr(args, name) < least:
            raise UsageError(f"{name} is {getattr(args, name)}; it must be at least {least}")
    prompt = read_prompt(args)
    if args.raw and prompt is None:
        raise UsageError("--raw is for a prompt, and there is none: a new document begins with the token that opens it")
    if prompt == "":
        raise UsageError("the prompt is empty: it has no tokens; give some text, or leave it out to begin a new document")
    from ..kernels.jit import compile_seconds

    use_utf8_output()
    model, tokenizer, _, path = open_checkpoint(args.run, threads=args.threads)
    if tokenizer is None:
        raise UsageError(f"{path} has no tokenizer.json: the model can be used from Python with token ids, not with text")
    ids = tokenizer.encode(prompt) if prompt else []
    if prompt and not ids:
        raise UsageError(f"the prompt {prompt!r} has no tokens; give some text")
    if prompt is None or not args.raw:
        ids = [tokenizer.start_id, *ids]
    if not args.quiet:
        print(f"[{path}]", file=sys.stderr, flush=True)
    tokens, rates, compiled = 0, _Rate(), compile_seconds()
    for sample in range(args.num_samples):
        if args.num_samples > 1:
            print(f"--- sample {sample + 1}")
        print(prompt or "", end="", flush=True)
        rates.start()
        pieces = stream_text(
            model, tokenizer, ids, stop=args.stop, ignore_end=args.ignore_end, max_tokens=args.max_tokens,
            temperature=args.temperature, top_k=args.top_k, top_p=args.top_p, seed=args.seed + sample,
        )  # fmt: skip
        for piece, count in pieces:
            tokens += count
            rates.count(count)
            print(piece, end="", flush=True)
        print(flush=True)
    compiled = compile_seconds() - compiled
    if not args.quiet:
        apart = f"; kernels compiled in {compiled:.1f} s besides" if compiled > 0.05 else ""
        print(f"[{tokens} tokens{rates}{apart}]", file=sys.stderr)
    return 0


class _Rate:
    """Tokens a second after the first of each sample, which waits for the prompt and for kernels to load."""

    def __init__(self):
        self.tokens, self.seconds, self._last = 0, 0.0, None

    def start(self):
        """A sample begins."""
        self._last = None

    def count(self, tokens):
        """So many more tokens have come."""
        now = time.perf_counter()
        if self._last is not None:
            self.tokens += tokens
            self.seconds += now - self._last
        self._last = now

    def __str__(self):
        return f", {self.tokens / self.seconds:,.0f} tokens/s" if self.tokens and self.seconds > 0 else ""
