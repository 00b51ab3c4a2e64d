"""Make a toylm checkpoint of a model from elsewhere: generate, evaluate, fine-tune and dissect it like one trained here.

  toylm import stories260K.bin --tokenizer tok512.bin --out runs/stories260K     llama2.c
  toylm import model.gguf --out runs/mine                                        llama.cpp and relatives (pip install gguf)
  toylm import some/hugging-face/folder --out runs/mine                          GPT-2, Llama, Arcee; one file, in float32
  toylm import some/adapter --base some/model --out runs/mine                    peft's LoRA, merged into its model

A Hugging Face folder needs no import: every verb opens it as it is.
"""

import sys
import warnings
from pathlib import Path

from ..invocation import command_line
from .export import check_folder


def build_parser(parser):
    """Add the arguments of `toylm import`."""
    parser.add_argument("path", metavar="PATH", help="a llama2.c .bin, a .gguf, a Hugging Face model folder, or an adapter's")
    parser.add_argument("--out", metavar="DIR", help="checkpoint folder to write (default: runs/NAME)")
    parser.add_argument("--tokenizer", metavar="FILE", help="tokenizer.bin of a llama2.c model, or a tokenizer.json")
    parser.add_argument("--base", metavar="DIR", help="the model that an adapter belongs to (default: as its file says)")


def run(args):
    """Run `toylm import`; returns the exit status."""
    from ..formats.checkpoint import save_checkpoint
    from ..formats.families import stock_class
    from ..formats.foreign import read_foreign

    path = Path(args.path)
    out = Path(args.out) if args.out else Path("runs") / (path.resolve().name if path.is_dir() else path.stem)
    check_folder(out, path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model, tokenizer = read_foreign(path, args.tokenizer, args.base)
    for warning in () if args.tokenizer else said:
        print(f"toylm import: {warning.message}", file=sys.stderr)
    save_checkpoint(out, model, tokenizer)
    name = stock_class(model.config)
    print(f"model        {model!r}")
    print("tokenizer    " + (f"{tokenizer.vocab_size} tokens" if tokenizer else "none (--tokenizer FILE names one)"))
    print("opens in     toylm" + (f", and transformers as {name}" if name else ""))
    print(f"checkpoint   {out}")
    print("next         " + (command_line("generate", out) if tokenizer else "toylm.load(...) in Python"))
    return 0
