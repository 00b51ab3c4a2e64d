"""What `toylm residual` and `toylm coupling` work on: a model from a run, a checkpoint or a llama2.c file; a text; prompts."""

from pathlib import Path

import numpy as np

from ..data.token_file import TokenFile
from ..data.tokenizer import Tokenizer
from ..errors import MissingFileError, UsageError
from ..formats.checkpoint import load_checkpoint
from ..formats.llama2c import is_llama2c, read_model
from ..formats.sentencepiece import read_tokenizer
from ..threads import set_threads
from ..train.setup import text_of_run

DEFAULT_PROMPTS = 4


def open_model(args):
    """(model, tokenizer or None, path) of `args.run`. Raises what loading raises."""
    path = Path(args.run)
    if path.is_file():
        model, tokenizer = _llama2c(path, args)
        return model, tokenizer or _tokenizer(args.tokenizer, model), path
    checkpoint = load_checkpoint(path, threads=args.threads, transformer=True)
    model = checkpoint.model
    if args.precision != model.precision:
        model = model.astype(args.precision)
    return model, _tokenizer(args.tokenizer, model) or checkpoint.tokenizer, checkpoint.path


def _llama2c(path, args):
    if not is_llama2c(path):
        raise UsageError(f"{path} is a file, and no llama2.c checkpoint; give a run or checkpoint folder")
    set_threads(args.threads)
    model = read_model(path, precision=args.precision)
    beside = [path.with_name(name) for name in (f"tok{model.config.vocab_size}.bin", "tokenizer.bin")]
    found = next((file for file in beside if file.is_file()), None)
    return model, None if args.tokenizer or found is None else _tokenizer(found, model)


def _tokenizer(path, model):
    if path is None:
        return None
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"there is no tokenizer {path}")
    if path.suffix == ".bin":
        return read_tokenizer(path, model.config.vocab_size)
    tokenizer = Tokenizer.load(path)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise UsageError(f"{path} has {tokenizer.vocab_size} tokens and the model only {model.config.vocab_size}")
    return tokenizer


def need_tokenizer(tokenizer, path):
    """Raise UsageError where there is no tokenizer to read text with."""
    if tokenizer is None:
        raise UsageError(f"{path} has no tokenizer, so text cannot be read; name one with --tokenizer")


def own_held_out(path, tokenizer, verb):
    """(name, TokenFile) of the held-out text of the run that a checkpoint belongs to."""
    if not (path.parent / "run.json").is_file():
        raise UsageError(
            f"{path} belongs to no run whose held-out text could be taken; name a text: toylm {verb} RUN TEXT"
        )
    _, prepared = text_of_run(path, tokenizer)
    name, tokens = f"{prepared.name}, held out", prepared.held_out
    if not isinstance(tokens, TokenFile):
        raise UsageError(
            f"{path.parent} was trained on a synthetic task, whose examples are no running text: dissect a run on a text"
        )
    return name, tokens


def prompts_of(args, tokenizer, path, length):
    """What coupling is measured on: (texts or None, lists of ids).

    A prompt opens with the token that opens a document, as in training.
    """
    if not args.prompts:
        _, tokens = own_held_out(path, tokenizer, "coupling")
        return _held_out_starts(tokens, tokenizer, length)
    need_tokenizer(tokenizer, path)
    texts = [text for prompt in args.prompts for text in _texts_of(prompt)]
    return texts, [[tokenizer.start_id, *tokenizer.encode(text)][:length] for text in texts]


def _texts_of(prompt):
    """The prompts in a file, one a line, or the prompt itself."""
    try:
        is_file = Path(prompt).is_file()
    except OSError:  # longer than a file name can be
        is_file = False
    if not is_file:
        if prompt.endswith(".txt"):
            raise MissingFileError(f"there is no file {prompt!r}")
        if not prompt:
            raise UsageError("a prompt is empty; give at least one word")
        return [prompt]
    try:
        lines = [line.strip() for line in Path(prompt).read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise UsageError(f"{prompt} is not UTF-8") from None
    lines = [line for line in lines if line and line != "<|endoftext|>"]
    if not lines:
        raise UsageError(f"{prompt} holds no prompt; write one a line")
    return lines


def _held_out_starts(tokens, tokenizer, length):
    """(texts, ids) of the starts of the first held-out documents that are long enough, else of stretches of the text."""
    ids = np.asarray(tokens.tokens[: 400 * length]).astype(np.int64)
    ends = np.flatnonzero(ids == tokens.end_id)
    starts = [int(e) for e, following in zip(ends, [*ends[1:], len(ids)]) if following - e >= length]
    if len(starts) < DEFAULT_PROMPTS:
        starts = list(range(0, max(1, len(ids) - length + 1), length))
    prompts = [ids[s : s + length].tolist() for s in starts[:DEFAULT_PROMPTS]]
    return (None if tokenizer is None else [tokenizer.decode(p) for p in prompts]), prompts
