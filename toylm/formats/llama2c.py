"""llama2.c's files: the checkpoint .bin (version 0, what run.c reads) and tokenizer.bin.

Version 0: seven int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len; a negative vocab_size tells that an
output matrix follows at the end), then float32 tensors, each kind for all layers, the rows of q and k interleaved for
neighbouring rotary pairs, and two tables of rotary angles that run.c reads past. run.c has eps 1e-5 and theta 10000 built in.
"""

import math
import struct
from pathlib import Path

import numpy as np

from ..config import ModelConfig
from ..errors import CheckpointError
from ..files import atomic_writer
from . import sentencepiece
from .family import new_model
from .llama import LLAMA, check_expressible
from .tensors import deinterleave, tensor

HEADER = struct.Struct("<7i")
MAGIC = 0x616B3432  # of the later versions
BUILT_IN = dict(norm_eps=1e-5, rope_theta=10000.0)
_KINDS = ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
          "post_attention_layernorm", "mlp.gate_proj", "mlp.down_proj", "mlp.up_proj")  # fmt: skip


def _entries(config):
    """The tensors in the order of the file; None stands for the tables of rotary angles."""
    by_name = {entry.name: entry for entry in LLAMA.entries(config)}
    found = [by_name["model.embed_tokens.weight"]]
    for kind in _KINDS:
        heads = {"self_attn.q_proj": config.n_heads, "self_attn.k_proj": config.n_kv_heads}.get(kind, 0)
        layers = range(config.n_layers)
        found += [by_name[f"model.layers.{i}.{kind}.weight"]._replace(interleaved=heads) for i in layers]
    found += [by_name["model.norm.weight"], None]
    return found if config.tied else [*found, by_name["lm_head.weight"]]


def is_llama2c(path):
    """Whether a file begins like a llama2.c checkpoint, of any version."""
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        return False
    if struct.unpack_from("<I", head)[0] == MAGIC:
        return True
    sizes = HEADER.unpack(head)
    return all(0 < abs(size) < 1 << 24 for size in sizes) and all(size > 0 for i, size in enumerate(sizes) if i != 5)


def read_model(path, precision="float32"):
    """The TransformerLM of a version 0 file. Raises CheckpointError where it is another, truncated or too long."""
    path = Path(path)
    config = _read_config(path)
    expected, size = _file_size(config), path.stat().st_size
    if size != expected:
        what = "truncated" if size < expected else "not a llama2.c version 0 file"
        raise CheckpointError(f"{path} is {what}: {size:,} bytes, but its header asks for {expected:,}")
    model = new_model(config, precision)
    values, at = np.memmap(path, "<f4", "r", offset=HEADER.size), 0
    for entry in _entries(config):
        count = _count(entry, config)
        if entry is not None:
            array = np.asarray(values[at : at + count]).reshape(entry.shape)
            entry.array(model.parameters)[:] = deinterleave(array, entry.interleaved) if entry.interleaved else array
        at += count
    return model


def _count(entry, config):
    return config.context_length * config.d_head if entry is None else math.prod(entry.shape)


def _file_size(config):
    """Bytes of the file, from those with one layer and with two: a header may ask for millions."""
    one, two = (sum(_count(entry, config) for entry in _entries(config.replace(n_layers=n))) for n in (1, 2))
    return HEADER.size + 4 * (one + (config.n_layers - 1) * (two - one))


def _read_config(path):
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise CheckpointError(f"{path} is truncated: {len(head)} bytes, and a llama2.c header has {HEADER.size}")
    if struct.unpack_from("<I", head)[0] == MAGIC:
        version = struct.unpack_from("<i", head, 4)[0]
        raise CheckpointError(f"{path} is a llama2.c file of version {version}; toylm reads version 0 (export.py --version 0)")
    d, ff, layers, heads, kv_heads, vocab, context = HEADER.unpack(head)
    try:
        return ModelConfig(
            vocab_size=abs(vocab), d_model=d, d_ff=ff, n_heads=heads, n_layers=layers, context_length=context,
            feed_forward="swiglu", n_kv_heads=kv_heads, tied=vocab > 0, **BUILT_IN,
        )  # fmt: skip
    except ValueError as error:
        raise CheckpointError(f"{path} is not a llama2.c file: {error}") from None


def check_model(config):
    """Raise CheckpointError, saying why, where run.c cannot express a model."""
    check_expressible(config, "llama2.c")
    for name, value in BUILT_IN.items():
        if getattr(config, name) != value:
            raise CheckpointError(f"this model has {name} {getattr(config, name):g}; run.c of llama2.c has {value:g} built in")
    if config.d_q != config.d_model:
        raise CheckpointError(
            f"this model has {config.n_heads} heads of {config.d_head} values in a width of {config.d_model}; "
            f"llama2.c knows heads that share the width equally"
        )


def write_model(path, model):
    """Write a version 0 file, atomically. Raises CheckpointError for a model that run.c cannot express."""
    c = model.config
    check_model(c)
    with atomic_writer(path) as file:
        vocab_size = c.vocab_size if c.tied else -c.vocab_size
        file.write(HEADER.pack(c.d_model, c.d_ff, c.n_layers, c.n_heads, c.n_kv_heads, vocab_size, c.context_length))
        for entry in _entries(c):
            for array in _angle_tables(c) if entry is None else (tensor(entry, model.parameters),):
                file.write(np.ascontiguousarray(array, "<f4").tobytes())


def _angle_tables(config):
    frequency = np.float32(1) / BUILT_IN["rope_theta"] ** (np.arange(0, config.d_head, 2, dtype=np.float32) / config.d_head)
    angle = np.outer(np.arange(config.context_length, dtype=np.float32), frequency.astype(np.float32))
    return np.cos(angle), np.sin(angle)


def export(checkpoint, out, dtype):
    """Write a Checkpoint as a .bin, and its tokenizer beside it; see toylm.formats.foreign."""
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    write_model(out, model)
    if tokenizer is None or sentencepiece.pieces_of(tokenizer) is None:
        note = f"{out.name} has no tokenizer beside it: llama2.c knows only those in SentencePiece's manner, with <s> as id 1"
        return [("written", out)], note
    beside = out.with_name(f"{out.stem}-tokenizer.bin")
    sentencepiece.write_tokenizer(beside, tokenizer, model.config.vocab_size)
    return [("written", out), ("tokenizer", beside)], None
