"""Write a trained model in the form that other programs open.

  toylm export runs/first --to hf --out my-model             transformers (AutoModelForCausalLM, AutoTokenizer)
  toylm export runs/first --to hf --dtype bfloat16           the same in half the bytes
  toylm export runs/first --to gguf --out my-model.gguf      llama.cpp and relatives; Llama models (pip install gguf)
  toylm export runs/first --to llama2c --out my-model.bin    llama2.c; Llama models with a tokenizer in SentencePiece's manner
  toylm export runs/tuned --to peft --out my-adapter         peft; the adapter that fit --keep-beside left beside the model

RUN is a run folder (its best checkpoint is taken; RUN/latest names the newest) or any checkpoint folder. A model trained with
`--config llama` is a Llama model.
"""

import sys
from pathlib import Path

from ..errors import UsageError

NAMES, DTYPES = ("hf", "llama2c", "gguf", "peft"), ("float32", "float16", "bfloat16")  # of toylm.formats.foreign, which loads more


def build_parser(parser):
    """Add the arguments of `toylm export`."""
    parser.add_argument("run", metavar="RUN", help="run or checkpoint folder")
    parser.add_argument("--to", required=True, choices=NAMES, help="hf: a Hugging Face folder; llama2c: .bin; gguf: .gguf; "
                        "peft: an adapter's folder")  # fmt: skip
    parser.add_argument("--out", metavar="PATH", help="what to write (default: NAME-hf, NAME.bin, NAME.gguf or NAME-adapter here)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the matrices (hf, gguf)")


def run(args):
    """Run `toylm export`; returns the exit status."""
    from ..formats.checkpoint import find_checkpoint, load_checkpoint
    from ..formats.foreign import FORMATS

    form = FORMATS[args.to]
    if args.dtype not in form.dtypes:
        raise UsageError(f"dtype is {args.dtype}; {args.to} files are {', '.join(form.dtypes)}")
    path = find_checkpoint(args.run)
    out = Path(args.out or form.out.format(name=Path(args.run).resolve().name))
    if not Path(form.out).suffix:
        check_folder(out, path)
    elif out.is_dir():
        raise UsageError(f"{out} is a folder, and a {Path(form.out).suffix} is a file: give --out a name inside it")
    written, note = form.write(load_checkpoint(path, transformer=True), out, args.dtype)
    if note:
        print(f"toylm export: {note}", file=sys.stderr)
    print(f"from         {path}")
    for what, target in written:
        print(f"{what:<13}{target}")
    return 0


def check_folder(out, source):
    """Raise UsageError where a model written to the folder `out` would take the place of what cannot be made again."""
    if out.resolve() == Path(source).resolve():
        raise UsageError(f"{out} is where the model comes from: choose another folder with --out")
    if (out / "training.json").exists():
        raise UsageError(f"{out} belongs to a run, which could not be resumed from it any more: choose another folder with --out")
