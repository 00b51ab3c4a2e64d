"""GGUF through its package: there and back, both kinds of tokenizer, and the same logits in transformers' reader."""

import sys

import numpy as np
import pytest
from test_llama2c import PIECES, make, write_pieces

from toylm.cli import run_verb
from toylm.data import train_tokenizer
from toylm.errors import CheckpointError
from toylm.formats import gguf_files, sentencepiece


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


@pytest.fixture
def files(gguf, tmp_path):
    """The same model with a tokenizer of either kind: "llama" and "gpt2" -> its file."""
    found = {}
    for kind, tokenizer in zip(("llama", "gpt2"), tokenizers(tmp_path)):
        found[kind] = tmp_path / f"{kind}.gguf"
        gguf_files.write_model(found[kind], make(), tokenizer)
    return found


def test_only_plain_byte_level_tokenizers_are_written(gguf, tmp_path):
    from tokenizers import normalizers, pre_tokenizers

    plain, digits, normalized, spaced = (train_tokenizer(["the cat in 1984"] * 3, "bpe", 270) for _ in range(4))
    digits.backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    normalized.backend.normalizer = normalizers.NFC()
    spaced.backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    written = [gguf_files.write_model(tmp_path / "m.gguf", make(), t) for t in (plain, digits, normalized, spaced)]
    assert written == [True, False, False, False]


ORDER = ["<unk>", "<s>", "</s>"]
FOREIGN = {
    "another pre-tokenizer": ("gpt2", {"tokenizer.ggml.pre": "smollm"}, "its pre-tokenizer is 'smollm', and toylm knows 'gpt-2'"),
    "an unnamed pre-tokenizer": ("gpt2", {"tokenizer.ggml.pre": None}, "its pre-tokenizer is 'default'"),
    "another order": (
        "llama", {"tokenizer.ggml.tokens": [*ORDER, "x", *sentencepiece.BYTES]}, "its ids 0 to 258 are not <unk>, <s>"),
    "no space in front": ("llama", {"tokenizer.ggml.add_space_prefix": False}, "it puts no space before a text"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN)
def test_a_tokenizer_that_would_give_other_ids_is_left_out_with_a_word(gguf, files, case, tmp_path, capsys):
    kind, changes, sentence = FOREIGN[case]
    file = rewrite(gguf, files[kind], changes)
    with pytest.warns(UserWarning, match=f"{kind}.gguf is left out, because {sentence}.*use its tokenizer.json instead"):
        model, tokenizer = gguf_files.read_model(file)
    assert tokenizer is None and model.config.vocab_size == 270
    assert run_verb("import", [str(file), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("toylm import: the tokenizer of ") and sentence in shown.err and "tokenizer    none" in shown.out


DAMAGE = {
    "partial rotary": ("gpt2", {"llama.rope.dimension_count": 2}, "turns 2 of the 4 values of a head"),
    "end": ("gpt2", {"tokenizer.ggml.eos_token_id": 270}, "is damaged: eos_token_id is 270, and the ids go to 269"),
    "start": ("llama", {"tokenizer.ggml.bos_token_id": "x"}, "is damaged: bos_token_id is x"),
    "twins": ("gpt2", {"tokenizer.ggml.tokens": ["a"] * 270}, "is damaged: two tokens are the same"),
    "foreign merge": ("gpt2", {"tokenizer.ggml.merges": ["zz y"]}, "is damaged: the merge 'zz y' is not of two tokens"),
    "no pair": ("gpt2", {"tokenizer.ggml.merges": ["th"]}, "is damaged: the merge 'th' is not of two tokens into one"),
    "no scores": ("llama", {"tokenizer.ggml.scores": None}, "is damaged: 0 scores for 270 tokens"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(gguf, files, damage):
    kind, changes, sentence = DAMAGE[damage]
    with pytest.raises(CheckpointError, match=sentence) as caught:
        gguf_files.read_model(rewrite(gguf, files[kind], changes))
    assert f"{kind}.gguf" in str(caught.value)


def test_integers_and_other_versions_are_named(gguf, files):
    rewrite(gguf, files["llama"], tensors={"output_norm.weight": np.ones(12, np.int32)})
    with pytest.raises(CheckpointError, match="llama.gguf: output_norm.weight holds I32, which the package gguf cannot turn into"):
        gguf_files.read_model(files["llama"])
    with open(files["gpt2"], "rb+") as file:
        file.seek(4)
        file.write(b"\x01")
    with pytest.raises(CheckpointError, match="no GGUF file of version 2 or 3 .*version 1"):
        gguf_files.read_model(files["gpt2"])


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
