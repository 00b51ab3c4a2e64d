"""The registry of other programs' formats, which `toylm export` writes and `toylm import` reads. To add one: a line in FORMATS."""

from pathlib import Path
from typing import Any, NamedTuple

from ..data.tokenizer import Tokenizer
from ..errors import CheckpointError, MissingFileError, UsageError
from ..schema import optional, read_json, text
from . import adapters, gguf_files, llama2c, sentencepiece
from .adapters import Adapter
from .checkpoint import load_checkpoint, save_checkpoint
from .families import read_config, stock_class, why_not_stock
from .safetensors_files import CONFIG

PICKLE_STARTS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch's zip archives, and bare pickles
DTYPES = ("float32", "float16", "bfloat16")


class Format(NamedTuple):
    """A format. out: the default name of what is written, a folder where it has no suffix; help; write(checkpoint, out, dtype) ->
    (list of (word, what was written), sentence about what was left out or None); recognises(path, first bytes, none of a folder);
    read(path, base) -> (TransformerLM, Tokenizer or None), base: the model that an adapter belongs to.
    """

    out: str
    help: str
    write: Any
    recognises: Any
    read: Any
    dtypes: tuple = DTYPES


def _write_folder(checkpoint, out, dtype):
    config = checkpoint.model.config
    if stock_class(config) is None:
        raise CheckpointError(why_not_stock(config))
    path = save_checkpoint(out, checkpoint.model, checkpoint.tokenizer, dtype=dtype)
    return [("written", path), ("opens as", stock_class(config))], None


def _read_folder(path, base):
    return load_checkpoint(path, transformer=True)[:2]


def _write_adapter(checkpoint, out, dtype):
    config = read_config(checkpoint.path)
    adapter = adapters.read_kept(checkpoint.path, config)
    if adapter is None:
        raise CheckpointError(f"{checkpoint.path} keeps no adapter: toylm fit RUN --with lora-gradient --keep-beside makes one")
    if stock_class(config) is None:
        raise CheckpointError(f"{why_not_stock(config)}, so peft has no model for its adapter")
    adapter.save(out, config)
    return [("written", out)], None


def _read_adapter(path, base):
    named = read_json(path / adapters.FILES[0], {"base_model_name_or_path": optional(text())}).get("base_model_name_or_path")
    base = base or named
    if base is None or not Path(base).exists():
        where = f"its base model, {named}, is no folder here" if named else "it names no base model"
        raise UsageError(f"{path} is an adapter, and {where}: name the folder of its model with --base")
    model, tokenizer = _read_folder(base, None)
    Adapter.load(path, model.config).merge(model)
    return model, tokenizer


FORMATS = {
    "hf": Format(
        "{name}-hf", "a Hugging Face folder (transformers)", _write_folder,
        lambda path, head: path.is_dir(), _read_folder),
    "llama2c": Format(
        "{name}.bin", "a .bin of llama2.c; Llama models", llama2c.export,
        lambda path, head: path.is_file() and llama2c.is_llama2c(path), lambda path, base: (llama2c.read_model(path), None),
        ("float32",)),
    "gguf": Format(
        "{name}.gguf", "a .gguf of llama.cpp; Llama models", gguf_files.export,
        lambda path, head: head.startswith(gguf_files.MAGIC), lambda path, base: gguf_files.read_model(path)),
    "peft": Format(
        "{name}-adapter", "the folder of an adapter kept beside the model (peft)", _write_adapter,
        lambda path, head: (path / adapters.FILES[0]).is_file() and not (path / CONFIG).exists(), _read_adapter, ("float32",)),
}  # fmt: skip


def read_foreign(path, tokenizer=None, base=None):
    """(TransformerLM, Tokenizer or None) of a model in any format that toylm reads.

    tokenizer: path of a tokenizer.bin (llama2.c) or tokenizer.json to use; base: the model's folder, for an adapter. Raises
    CheckpointError, UsageError or FileNotFoundError.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"{path} does not exist")
    head = b""
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(4)
    if head.startswith(PICKLE_STARTS):
        raise CheckpointError(
            f"{path} is a pickle, as torch saves them, which can run any code when it is opened: save the model as "
            f"safetensors (transformers' save_pretrained) or with llama2.c's export.py, and import that"
        )
    for name in ("gguf", "peft", "llama2c", "hf"):  # the narrowest signs first
        if FORMATS[name].recognises(path, head):
            if base is not None and name != "peft":
                raise UsageError(f"{path} is a whole model, not an adapter: leave --base out")
            model, own = FORMATS[name].read(path, base)
            return model, read_tokenizer(tokenizer, model.config.vocab_size) if tokenizer else own
    raise CheckpointError(f"{path} is neither a llama2.c .bin, nor a .gguf, nor a Hugging Face model folder")


def read_tokenizer(path, vocab_size):
    """The Tokenizer in a tokenizer.bin (llama2.c), a tokenizer.json or the folder of one, for a model of `vocab_size` rows."""
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"there is no tokenizer at {path}")
    if path.suffix == ".bin":
        return sentencepiece.read_tokenizer(path, vocab_size)
    tokenizer = Tokenizer.load(path)
    if tokenizer.vocab_size > vocab_size:
        raise UsageError(f"{path} has {tokenizer.vocab_size} tokens and the model {vocab_size}: they do not belong together")
    return tokenizer
