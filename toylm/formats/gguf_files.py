"""GGUF, the file of llama.cpp and its relatives, for Llama models: through the `gguf` package (`pip install gguf`).

Rows of q and k are interleaved for neighbouring rotary pairs. Reading takes whatever `gguf` can turn into float32, quantized
tensors included; writing keeps vectors in float32 and stores matrices as asked.
"""

import contextlib
import json
import warnings
from pathlib import Path

import numpy as np
import tokenizers

from ..config import ModelConfig
from ..data.tokenizer import Tokenizer
from ..errors import CheckpointError, UsageError
from ..files import atomic_path
from .family import new_model
from .llama import LLAMA, check_expressible
from .safetensors_files import to_bfloat16
from .sentencepiece import FIRST_PIECE, in_sentencepiece_order, make_backend, pieces_of, unused_tokens
from .tensors import expected, fill, tensor

MAGIC = b"GGUF"
_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_BLOCK = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # tokenizer.ggml.token_type
PRE_TOKENIZER = "gpt-2"  # tokenizer.ggml.pre
_BPE_OPTIONS = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")


def _library():
    try:
        import gguf
    except ImportError:
        raise UsageError("GGUF files need the package gguf: pip install gguf") from None
    return gguf


def _entries(config):
    found = []
    for entry in LLAMA.entries(config):
        name = entry.name.removesuffix(".weight")
        if name in _TOP:
            found.append(entry._replace(name=f"{_TOP[name]}.weight"))
            continue
        _, _, i, kind = name.split(".", 3)
        heads = {"self_attn.q_proj": config.n_heads, "self_attn.k_proj": config.n_kv_heads}.get(kind, 0)
        found.append(entry._replace(name=f"blk.{i}.{_BLOCK[kind]}.weight", interleaved=heads))
    return found


# -- writing ---------------------------------------------------------------------------------------------------------------


def write_model(path, model, tokenizer=None, dtype="float32"):
    """Write model and tokenizer as one GGUF file, atomically. dtype: of the matrices, "float32", "float16" or "bfloat16".

    Returns whether the tokenizer could be written: byte-level BPE as GPT-2's and SentencePiece's manner can. Raises CheckpointError
    for a model that is not a Llama model, UsageError where the package is missing.
    """
    c, path = model.config, Path(path)
    check_expressible(c, "GGUF")
    gguf = _library()
    with atomic_path(path) as partial, contextlib.closing(gguf.GGUFWriter(partial, "llama")) as writer:
        writer.add_context_length(c.context_length)
        writer.add_embedding_length(c.d_model)
        writer.add_block_count(c.n_layers)
        writer.add_feed_forward_length(c.d_ff)
        writer.add_head_count(c.n_heads)
        writer.add_head_count_kv(c.n_kv_heads)
        writer.add_key_length(c.d_head)
        writer.add_value_length(c.d_head)
        writer.add_layer_norm_rms_eps(c.norm_eps)
        writer.add_rope_dimension_count(c.d_head)
        writer.add_rope_freq_base(c.rope_theta)
        writer.add_vocab_size(c.vocab_size)
        kind = {"float32": "ALL_F32", "float16": "MOSTLY_F16", "bfloat16": "MOSTLY_BF16"}[dtype]
        writer.add_file_type(gguf.LlamaFileType[kind])
        whole = _add_tokenizer(writer, tokenizer, c.vocab_size)
        for entry in _entries(c):
            array = np.ascontiguousarray(tensor(entry, model.parameters), np.float32)
            if array.ndim == 1 or dtype == "float32":
                writer.add_tensor(entry.name, array)
            elif dtype == "float16":
                writer.add_tensor(entry.name, array.astype(np.float16))
            else:
                raw = to_bfloat16(array).view(np.uint8)
                writer.add_tensor(entry.name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    return whole


def _add_tokenizer(writer, tokenizer, vocab_size):
    found = None if tokenizer is None else _vocabulary(tokenizer)
    if found is None:
        writer.add_tokenizer_model("none")
        return False
    kind, tokens, types, scores, merges = found
    padding = unused_tokens(len(tokens), vocab_size)
    writer.add_tokenizer_model(kind)
    writer.add_token_list([*tokens, *padding])
    writer.add_token_types([*types, *(CONTROL for _ in padding)])
    if merges is not None:
        writer.add_tokenizer_pre(PRE_TOKENIZER)
        writer.add_token_merges(merges)
    else:
        writer.add_token_scores([*scores, *(0.0 for _ in padding)])
        writer.add_unk_token_id(0)
    writer.add_bos_token_id(tokenizer.start_id)
    writer.add_eos_token_id(tokenizer.end_id)
    return True


def _vocabulary(tokenizer):
    """(model, tokens, types, scores, merges) in GGUF's terms, or None for a tokenizer that it has no word for."""
    pieces = pieces_of(tokenizer)
    if pieces is not None:
        tokens, scores = pieces
        types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * (FIRST_PIECE - 3), *[NORMAL] * (len(tokens) - FIRST_PIECE)]
        return "llama", tokens, types, scores, None
    state = json.loads(tokenizer.backend.to_str())
    bpe, split = state["model"], state["pre_tokenizer"] or {}
    # What else there may be, GGUF names by a list of known models (tokenizer.ggml.pre): there "gpt-2" is this and no more.
    plain = split.get("type") == "ByteLevel" and split["use_regex"] and not split["add_prefix_space"] and not state["normalizer"]
    plain = plain and bpe["type"] == "BPE" and not any(bpe.get(key) for key in _BPE_OPTIONS)
    vocab = tokenizer.backend.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.get)
    if not plain or [vocab[t] for t in tokens] != list(range(len(tokens))):
        return None
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in bpe["merges"]]
    return "gpt2", tokens, [CONTROL if vocab[t] in tokenizer.special_ids else NORMAL for t in tokens], None, merges


def export(checkpoint, out, dtype):
    """Write a Checkpoint as a .gguf; see toylm.formats.foreign."""
    whole = write_model(out, checkpoint.model, checkpoint.tokenizer, dtype)
    note = f"{out.name} holds no tokenizer: GGUF has no word for this model's (byte-level BPE as GPT-2's would do)"
    return [("written", out)], None if whole else note


# -- reading ---------------------------------------------------------------------------------------------------------------


def read_model(path, precision="float32"):
    """(TransformerLM, Tokenizer or None) of a GGUF file of the architecture `llama`.

    Raises CheckpointError for another architecture, rope scaling, partial rotary positions, tensors that are missing or of another
    shape, and a truncated or damaged file.
    """
    gguf, path = _library(), Path(path)
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path} is truncated or no GGUF file of version 2 or 3 ({error})") from None
    def value(key, default=None):
        field = reader.get_field(key)
        try:
            return default if field is None else field.contents()
        except UnicodeDecodeError:
            raise CheckpointError(f"{path} is damaged: {key} is not UTF-8") from None

    shapes = {stored.name: tuple(int(n) for n in reversed(stored.shape)) for stored in reader.tensors}
    config = _read_config(path, value, shapes)
    entries = expected(_entries, config, shapes, path, "its header")
    tokenizer = _read_tokenizer(path, value, config.vocab_size)
    model = new_model(config, precision)
    for stored in reader.tensors:
        try:
            array = gguf.quants.dequantize(stored.data, stored.tensor_type).reshape(shapes[stored.name])
        except NotImplementedError:
            kind = stored.tensor_type.name
            raise CheckpointError(f"{path}: {stored.name} holds {kind}, which the package gguf cannot turn into float32") from None
        fill(entries[stored.name], model.parameters, array, path)
    return model, tokenizer


def _read_config(path, value, names):
    architecture = value("general.architecture")
    if architecture != "llama":
        raise CheckpointError(f"{path} holds a model of the architecture {architecture!r}; toylm reads 'llama' from GGUF")
    scaling = "by rope_freqs.weight" if "rope_freqs.weight" in names else value("llama.rope.scaling.type", "none")
    if scaling != "none":
        raise CheckpointError(f"{path} has rope scaling {scaling}; toylm supports none")
    keys = dict(d_model="embedding_length", n_layers="block_count", d_ff="feed_forward_length", n_heads="attention.head_count",
                context_length="context_length")  # fmt: skip
    sizes = {}
    for name, key in keys.items():
        sizes[name] = value(f"llama.{key}")
        if sizes[name] is None:
            raise CheckpointError(f"{path} lacks the key llama.{key}")
    tokens = value("tokenizer.ggml.tokens")
    rotary = value("llama.rope.dimension_count")
    d_head = value("llama.attention.key_length") or rotary
    vocab_size = value("llama.vocab_size") or len(tokens or [])
    try:
        config = ModelConfig(
            vocab_size=vocab_size, feed_forward="swiglu", tied="output.weight" not in names, d_head=d_head,
            n_kv_heads=value("llama.attention.head_count_kv"), rope_theta=float(value("llama.rope.freq_base", 10000.0)),
            norm_eps=_short(value("llama.attention.layer_norm_rms_epsilon", 1e-5)), **sizes,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    if rotary not in (None, config.d_head):
        raise CheckpointError(f"{path} turns {rotary} of the {config.d_head} values of a head; toylm's rotary positions turn all")
    return config


def _short(x):
    """The decimal number that was meant by a float32: 1e-05 instead of 9.999999747378752e-06."""
    return float(str(np.float32(x)))


def _read_tokenizer(path, value, vocab_size):
    """The Tokenizer of the file, or None where it has none; None and a warning where it is of a kind that cannot be rebuilt."""
    kind, tokens = value("tokenizer.ggml.model"), value("tokenizer.ggml.tokens")
    if tokens is None or kind not in ("llama", "gpt2"):
        return None
    if len(tokens) > vocab_size:
        raise CheckpointError(f"{path} has {len(tokens)} tokens and a vocabulary of {vocab_size}: they do not belong together")
    foreign = _what_is_foreign(kind, tokens, value)
    if foreign:
        warnings.warn(f"the tokenizer of {path} is left out, because {foreign}; use its tokenizer.json instead", stacklevel=3)
        return None
    try:
        if len(set(tokens)) < len(tokens):
            raise UsageError("two tokens are the same")
        start, end = (_token(tokens, value, *of) for of in (("bos_token_id", 1), ("eos_token_id", 2)))
        build = _sentencepiece_backend if kind == "llama" else _byte_level_backend
        return Tokenizer(build(tokens, value), end, start)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise CheckpointError(f"the tokenizer of {path} is damaged: {error}") from None


def _what_is_foreign(kind, tokens, value):
    """Why a tokenizer rebuilt from the file would give other ids than the file's own, or None."""
    if kind == "llama":
        if not in_sentencepiece_order(tokens):
            return "its ids 0 to 258 are not <unk>, <s>, </s> and the bytes"
        return None if value("tokenizer.ggml.add_space_prefix", True) else "it puts no space before a text"
    split = value("tokenizer.ggml.pre", "default")  # what llama.cpp takes where it is missing; digits are cut otherwise there
    return None if split == PRE_TOKENIZER else f"its pre-tokenizer is {split!r}, and toylm knows {PRE_TOKENIZER!r} only"


def _token(tokens, value, key, default):
    i = value(f"tokenizer.ggml.{key}", default)
    if not (isinstance(i, int) and 0 <= i < len(tokens)):
        raise UsageError(f"{key} is {i}, and the ids go to {len(tokens) - 1}")
    return tokens[i]


def _sentencepiece_backend(tokens, value):
    scores = value("tokenizer.ggml.scores", [])
    if len(scores) != len(tokens):
        raise UsageError(f"{len(scores)} scores for {len(tokens)} tokens")
    return make_backend(tokens, scores)


def _byte_level_backend(tokens, value):
    vocab = {token: i for i, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ")) for merge in value("tokenizer.ggml.merges", [])]
    for pair in pairs:
        if len(pair) != 2 or not {*pair, "".join(pair)} <= vocab.keys():
            raise UsageError(f"the merge {' '.join(pair)!r} is not of two tokens into one")
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=pairs))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    types = value("tokenizer.ggml.token_type", [])
    backend.add_special_tokens([token for token, kind in zip(tokens, types) if kind == CONTROL])
    return backend
