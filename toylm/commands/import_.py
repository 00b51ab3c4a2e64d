"""Make a toylm checkpoint of a model from elsewhere: generate, evaluate, fine-tune and dissect it like one trained here.

  toylm import stories260K.bin --tokenizer tok512.bin --out runs/stories260K     llama2.c
  toylm import model.gguf --out runs/mine                                        llama.cpp and relatives (pip install gguf)
  toylm import some/hugging-face/folder --out runs/mine                          GPT-2, Llama, Arcee; one file, in float32

A Hugging Face folder needs no import: every verb opens it as it is.
"""

import sys
import warnings
from pathlib import Path

from ..errors import UsageError
from ..invocation import command_line

PICKLE_STARTS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch's zip archives, and bare pickles


def build_parser(parser):
    """Add the arguments of `toylm import`."""
    parser.add_argument("path", metavar="PATH", help="a llama2.c .bin, a .gguf, or a Hugging Face model folder")
    parser.add_argument("--out", metavar="DIR", help="checkpoint folder to write (default: runs/NAME)")
    parser.add_argument("--tokenizer", metavar="FILE", help="tokenizer.bin of a llama2.c model, or a tokenizer.json")


def run(args):
    """Run `toylm import`; returns the exit status."""
    from ..formats.checkpoint import save_checkpoint
    from ..formats.huggingface import stock_class
    from .export import check_folder

    path = Path(args.path)
    out = Path(args.out) if args.out else Path("runs") / (path.resolve().name if path.is_dir() else path.stem)
    check_folder(out, path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model, tokenizer = read_model(path, args.tokenizer)
    for warning in () if args.tokenizer else said:
        print(f"toylm import: {warning.message}", file=sys.stderr)
    save_checkpoint(out, model, tokenizer)
    print(f"model        {model!r}")
    print("tokenizer    " + (f"{tokenizer.vocab_size} tokens" if tokenizer else "none (--tokenizer FILE names one)"))
    name = stock_class(model.config)
    print("opens in     toylm" + (f", and transformers as {name}" if name else ""))
    print(f"checkpoint   {out}")
    print("next         " + (command_line("generate", out) if tokenizer else "toylm.TransformerLM.load(...) in Python"))
    return 0


def read_model(path, tokenizer=None):
    """(TransformerLM, Tokenizer or None) of a model in any format that toylm reads.

    tokenizer: path of a tokenizer.bin (llama2.c) or tokenizer.json to use. Raises CheckpointError or FileNotFoundError.
    """
    from ..errors import CheckpointError
    from ..formats import gguf_files, llama2c
    from ..formats.checkpoint import load_checkpoint

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.is_dir():
        model, own = load_checkpoint(path, transformer=True)[:2]
    else:
        with open(path, "rb") as file:
            head = file.read(4)
        if head[:2] in PICKLE_STARTS:
            raise CheckpointError(
                f"{path} is a pickle, as torch saves them, which can run any code when it is opened: save the model as "
                f"safetensors (transformers' save_pretrained) or with llama2.c's export.py, and import that"
            )
        if head == gguf_files.MAGIC:
            model, own = gguf_files.read_model(path)
        elif llama2c.is_llama2c(path):
            model, own = llama2c.read_model(path), None
        else:
            raise CheckpointError(f"{path} is neither a llama2.c .bin, nor a .gguf, nor a Hugging Face model folder")
    return model, _tokenizer(tokenizer, model.config.vocab_size) if tokenizer else own


def _tokenizer(path, vocab_size):
    from ..data import Tokenizer
    from ..formats.sentencepiece import read_tokenizer

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no tokenizer at {path}")
    if path.suffix == ".bin":
        return read_tokenizer(path, vocab_size)
    tokenizer = Tokenizer.load(path)
    if tokenizer.vocab_size > vocab_size:
        raise UsageError(f"{path} has {tokenizer.vocab_size} tokens and the model {vocab_size}: they do not belong together")
    return tokenizer
