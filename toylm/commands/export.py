"""Write a trained model in the form that other programs open.

  toylm export runs/first --to hf --out my-model             transformers (AutoModelForCausalLM, AutoTokenizer)
  toylm export runs/first --to hf --dtype bfloat16           the same in half the bytes
  toylm export runs/first --to gguf --out my-model.gguf      llama.cpp and relatives; Llama models (pip install gguf)
  toylm export runs/first --to llama2c --out my-model.bin    llama2.c; Llama models with a tokenizer in SentencePiece's manner

RUN is a run folder (its best checkpoint is taken; RUN/latest names the newest) or any checkpoint folder. A model trained with
`--feed-forward swiglu` is a Llama model.
"""

import sys
from pathlib import Path

from ..errors import CheckpointError, UsageError

FORMATS = {"hf": "{name}-hf", "llama2c": "{name}.bin", "gguf": "{name}.gguf"}
DTYPES = ("float32", "float16", "bfloat16")


def build_parser(parser):
    """Add the arguments of `toylm export`."""
    parser.add_argument("run", metavar="RUN", help="run or checkpoint folder")
    parser.add_argument("--to", required=True, choices=FORMATS, help="hf: a Hugging Face folder; llama2c: .bin; gguf: .gguf")
    parser.add_argument("--out", metavar="PATH", help="what to write (default: NAME-hf, NAME.bin or NAME.gguf here)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the matrices (hf, gguf)")


def run(args):
    """Run `toylm export`; returns the exit status."""
    from ..formats.checkpoint import find_checkpoint, load_checkpoint

    if args.to == "llama2c" and args.dtype != "float32":
        raise UsageError(f"dtype is {args.dtype}; llama2.c's version 0 files are float32")
    path = find_checkpoint(args.run)
    out = Path(args.out or FORMATS[args.to].format(name=Path(args.run).resolve().name))
    if args.to == "hf":
        check_folder(out, path)
    elif out.is_dir():
        raise UsageError(f"{out} is a folder, and a {Path(FORMATS[args.to]).suffix} is a file: give --out a name inside it")
    model, tokenizer, _, _ = load_checkpoint(path, transformer=True)
    written = {"hf": _to_hf, "llama2c": _to_llama2c, "gguf": _to_gguf}[args.to](model, tokenizer, out, args.dtype)
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


def _to_hf(model, tokenizer, out, dtype):
    from ..formats.checkpoint import save_checkpoint
    from ..formats.huggingface import stock_class

    name = stock_class(model.config)
    if name is None:
        c = model.config
        if c.counts or c.output_bias:
            raise CheckpointError("no stock transformers class adds counts or a bias to its logits: this model opens in toylm only")
        raise CheckpointError(
            f"no stock transformers class has {c.norm} norm, {c.positions} positions, a {c.feed_forward} feed-forward and these "
            f"heads: train with rope and rms (Llama, Arcee), or with learned, layer and biases (GPT-2)"
        )
    return [("written", save_checkpoint(out, model, tokenizer, dtype=dtype)), ("opens as", name)]


def _to_llama2c(model, tokenizer, out, dtype):
    from ..formats.llama2c import write_model
    from ..formats.sentencepiece import pieces_of, write_tokenizer

    write_model(out, model)
    written = [("written", out)]
    if tokenizer is not None and pieces_of(tokenizer) is not None:
        beside = out.with_name(f"{out.stem}-tokenizer.bin")
        write_tokenizer(beside, tokenizer, model.config.vocab_size)
        written.append(("tokenizer", beside))
    else:
        _warn(f"{out.name} has no tokenizer beside it: llama2.c knows only those in SentencePiece's manner, with <s> as id 1")
    return written


def _to_gguf(model, tokenizer, out, dtype):
    from ..formats.gguf_files import write_model

    if not write_model(out, model, tokenizer, dtype):
        _warn(f"{out.name} holds no tokenizer: GGUF has no word for this model's (byte-level BPE as GPT-2's would do)")
    return [("written", out)]


def _warn(sentence):
    print(f"toylm export: {sentence}", file=sys.stderr)
