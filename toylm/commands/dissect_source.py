"""The arguments that `toylm residual` and `toylm coupling` share, and their folder for results."""

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
