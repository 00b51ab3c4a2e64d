"""What `toylm residual` and `toylm coupling` work on: a model from a run, a checkpoint or a llama2.c file; a text; a folder."""

from pathlib import Path

from ..errors import UsageError


def add_source_arguments(parser, out):
    """The arguments that both verbs share; `out` names the folder for results."""
    parser.add_argument(
        "run", metavar="RUN", help="run folder, checkpoint folder (toylm's, GPT-2, Llama) or llama2.c .bin file"
    )
    parser.add_argument("--tokenizer", metavar="PATH", help="tokenizer.json or tokenizer.bin, where RUN brings none")
    parser.add_argument(
        "--out", metavar="DIR", help=f"where results go (default: RUN/{out} in a run folder, else NAME-{out} here)"
    )
    parser.add_argument("--no-untrained", action="store_true", help="leave out the untrained model of the same shape")
    parser.add_argument("--precision", choices=("float32", "float64"), default="float32", help="arithmetic")
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of random bases, samples and the untrained model"
    )
    parser.add_argument("--threads", metavar="N", type=int, help="threads (default: physical cores)")
    parser.add_argument(
        "--json", action="store_true", help="print every number as JSON (as in the file) instead of the summary"
    )


def open_model(args):
    """(model, tokenizer or None, path) of `args.run`. Raises what loading raises."""
    from ..formats.checkpoint import load_checkpoint

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
    from ..formats.llama2c import is_llama2c, read_model
    from ..threads import set_threads

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
        raise FileNotFoundError(f"there is no tokenizer {path}")
    if path.suffix == ".bin":
        from ..formats.sentencepiece import read_tokenizer

        return read_tokenizer(path, model.config.vocab_size)
    from ..data import Tokenizer

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
    from ..data.token_file import TokenFile
    from . import evaluate

    name, tokens = evaluate.own_held_out(path, tokenizer)
    if not isinstance(tokens, TokenFile):
        raise UsageError(
            f"{path.parent} was trained on a synthetic task, whose examples are no running text: dissect a run on a text"
        )
    return name, tokens


def out_folder(args, verb):
    """The folder for results: --out, or RUN/verb in a run folder, else NAME-verb in the current folder."""
    run = Path(args.run)
    if args.out:
        folder = Path(args.out)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; --out names a folder")
        return folder
    for candidate in (run, run.parent):
        if (candidate / "run.json").is_file():
            return candidate / verb
    return Path(f"{run.resolve().stem if run.is_file() else run.resolve().name}-{verb}")
