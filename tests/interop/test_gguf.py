"""GGUF through its package: there and back, both kinds of tokenizer, and the same logits in transformers' reader."""

import sys

import numpy as np
import pytest
from test_llama2c import PIECES, make, write_pieces

from toylm.data import train_tokenizer
from toylm.errors import CheckpointError
from toylm.interop import gguf_files, sentencepiece


def test_without_the_package_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ValueError, match="need the package gguf: pip install gguf$"):
        gguf_files.write_model(tmp_path / "x.gguf", make())


@pytest.fixture
def gguf():
    return pytest.importorskip("gguf")


def tokenizers(tmp_path):
    yield sentencepiece.read_tokenizer(write_pieces(tmp_path / "t.bin"), len(PIECES))
    yield train_tokenizer(["the cat and the dog and the cat ran"] * 3, "bpe", 270)


@pytest.mark.parametrize("changes", [dict(n_kv_heads=1), dict(tied=False, d_head=6, rope_theta=500.0, norm_eps=1e-6)])
def test_there_and_back(gguf, changes, tmp_path):
    model = make(**changes)
    for tokenizer in tokenizers(tmp_path):
        assert gguf_files.write_model(tmp_path / "m.gguf", model, tokenizer)
        again, same = gguf_files.read_model(tmp_path / "m.gguf")
        assert again.config == model.config
        np.testing.assert_array_equal(again.parameters.flat, model.parameters.flat)
        assert (same.start_id, same.end_id) == (tokenizer.start_id, tokenizer.end_id)
        for text in ("the cat ran", " and é ☃\n"):
            assert same.encode(text) == tokenizer.encode(text) and same.decode(same.encode(text)) == text
    for dtype, bound in (("float16", 2**-11), ("bfloat16", 2**-8)):
        gguf_files.write_model(tmp_path / "half.gguf", model, None, dtype)
        half, none = gguf_files.read_model(tmp_path / "half.gguf")
        assert none is None
        assert (np.abs(half.parameters.flat - model.parameters.flat) <= bound * np.abs(model.parameters.flat) + 1e-7).all()


def test_refusals(gguf, tmp_path):
    with pytest.raises(CheckpointError, match="has feed_forward 'relu2'; GGUF knows Llama models only"):
        gguf_files.write_model(tmp_path / "x.gguf", make(feed_forward="relu2"))
    assert not list(tmp_path.iterdir())
    words = train_tokenizer(["some words"], "word")
    assert not gguf_files.write_model(tmp_path / "x.gguf", make(), words)
    data = (tmp_path / "x.gguf").read_bytes()
    for size in (200, len(data) - 100):
        (tmp_path / "cut.gguf").write_bytes(data[:size])
        with pytest.raises(CheckpointError, match="cut.gguf is truncated or no GGUF file"):
            gguf_files.read_model(tmp_path / "cut.gguf")
    writer = gguf.GGUFWriter(tmp_path / "gpt2.gguf", "gpt2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(CheckpointError, match="architecture 'gpt2'; toylm reads 'llama'"):
        gguf_files.read_model(tmp_path / "gpt2.gguf")


def rewrite(gguf, path, changes=(), tensors=()):
    """A GGUF file once more, with other values for some keys (None: without it) and some tensors; a list is an array of them."""
    reader, changes = gguf.GGUFReader(path), dict(changes)
    fields = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("GGUF.") and k != "general.architecture"}
    kept = {stored.name: np.array(stored.data) for stored in reader.tensors} | dict(tensors)
    writer = gguf.GGUFWriter(path, "llama")
    add = {bool: writer.add_bool, str: writer.add_string, int: writer.add_uint32, float: writer.add_float32,
           list: writer.add_array}  # fmt: skip
    for key, value in (fields | changes).items():
        if value is not None:
            add[type(value)](key, value)
    for name, array in kept.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_no_memory_is_taken_for_what_the_file_does_not_hold(gguf, tmp_path, monkeypatch):
    gguf_files.write_model(tmp_path / "m.gguf", make())
    monkeypatch.setattr("toylm.model.transformer.TransformerLM", None)
    for key, size, sentence in (
        ("block_count", 30_000, "m.gguf holds 20 tensors, too few for the 30000 layers of its header"),
        ("block_count", 3, "lacks the tensor blk.2.attn_norm.weight and 8 more that its header asks for"),
        ("vocab_size", 4_000_000, r"token_embd.weight has shape .270, 12., its header asks for .4000000, 12."),
    ):
        file = rewrite(gguf, tmp_path / "m.gguf", {f"llama.{key}": size})
        with pytest.raises(CheckpointError, match=sentence):
            gguf_files.read_model(file)
        rewrite(gguf, file, {"llama.block_count": 2, "llama.vocab_size": 270})


@pytest.mark.parity
@pytest.mark.parametrize("changes", [dict(n_kv_heads=1), dict(tied=False, n_heads=6, n_kv_heads=2)])
def test_transformers_reads_the_same_model(gguf, changes, tmp_path):
    import torch
    import transformers

    pytest.importorskip("accelerate", reason="transformers reads GGUF with accelerate only")
    model = make(**changes)
    bpe = list(tokenizers(tmp_path))[1]
    gguf_files.write_model(tmp_path / "m.gguf", model, bpe)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype="float32").eval()
    tokens = np.random.default_rng(0).integers(0, 270, (2, 20))
    with torch.no_grad():
        assert np.abs(theirs(torch.tensor(tokens)).logits.numpy() - model.forward(tokens)).max() < 2e-5
