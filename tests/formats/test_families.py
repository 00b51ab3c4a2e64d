"""What a model is written as, and models from elsewhere: tied matrices, padded vocabularies, older tokenizer files."""

import json
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import toylm
from toylm import kinds
from toylm.cli import run_verb
from toylm.counts import CountsLM
from toylm.data import train_tokenizer
from toylm.errors import CheckpointError
from toylm.formats.checkpoint import TRAINING_FORM, save_checkpoint
from toylm.formats.families import BY_TYPE, FAMILIES, family_of, stock_class, why_not_stock
from toylm.train.loop import LoopState

BASE = toylm.ModelConfig(vocab_size=270, d_model=16, d_ff=24, n_heads=4, n_layers=1, context_length=12)
WRITTEN_AS = {
    "arcee": [{}, {"feed_forward": "relu2", "biases": True}, {"feed_forward": "silu", "n_kv_heads": 2, "tied": False, "d_head": 6}],
    "llama": [{"feed_forward": "swiglu"}, {"feed_forward": "swiglu", "rope_theta": 77.0, "norm_eps": 1e-6, "init": "uniform"}],
    "gpt2": [{"norm": "layer", "positions": "learned"}, {"norm": "layer", "positions": "learned", "biases": True, "tied": False}],
    "toylm": [
        {"norm": "layer"}, {"positions": "learned"}, {"output_bias": True}, {"counts": True},
        {"norm": "layer", "positions": "learned", "feed_forward": "swiglu"},
        {"norm": "layer", "positions": "learned", "n_kv_heads": 2}, {"norm": "layer", "positions": "learned", "d_head": 5},
    ],
}  # fmt: skip
CASES = [(kind, changes) for kind, all_changes in WRITTEN_AS.items() for changes in all_changes]


@pytest.mark.parametrize("kind, changes", CASES)
def test_a_configuration_is_written_as_what_can_express_it(kind, changes, tmp_path):
    config = BASE.replace(**changes)
    assert family_of(config) is BY_TYPE[kind] and (stock_class(config) is None) == (kind == "toylm")
    if config.counts:
        return
    model = toylm.TransformerLM(config, seed=2)
    path = toylm.save(model, tmp_path / "a")
    fields = json.loads((path / "config.json").read_text(encoding="utf-8"))
    assert fields["model_type"] == kind and ("note" in fields) == (kind == "toylm")
    again = toylm.load(path)
    assert again.config == config and np.array_equal(again.parameters.flat, model.parameters.flat)


def test_every_family_reads_what_it_writes_of_its_own_types():
    assert set(BY_TYPE) == {model_type for family in FAMILIES for model_type in family.types}
    for config in (BASE, BASE.replace(feed_forward="swiglu"), BASE.replace(output_bias=True)):
        family = family_of(config)
        assert family.config(json.loads(json.dumps(family.to_fields(config))), "config.json") == config


TABLES = {"feed_forward": kinds.FEED_FORWARDS, "norm": kinds.NORMS, "positions": kinds.POSITIONS}


@pytest.mark.parametrize("field", TABLES)
def test_a_kind_that_hugging_face_has_no_name_for_is_saved_in_toylms_own_format(field, monkeypatch):
    config = BASE.replace(**({"norm": "layer", "positions": "learned"} if field == "norm" else {}))  # one of its own
    monkeypatch.setitem(TABLES[field], "new", kinds.Kind("gelu", "one that no other program knows"))
    object.__setattr__(config, field, "new")
    assert family_of(config) is BY_TYPE["toylm"] and stock_class(config) is None
    assert f"the nearest, has no {field} 'new'" in why_not_stock(config)


def test_why_a_model_opens_nowhere_else():
    sentence = why_not_stock(BASE.replace(positions="learned", output_bias=True))
    assert sentence == (
        "no transformers class opens this model: ArceeForCausalLM, the nearest, has no positions 'learned', output_bias True"
    )


def test_the_form_of_training_json_names_what_the_loop_keeps():
    assert TRAINING_FORM["loop"].keys() == vars(LoopState()).keys()


# -- toylm.save and toylm.load -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bpe():
    return train_tokenizer(["the cat and the dog and the cat ran"] * 3, "bpe", 262)


def test_save_and_load_keep_model_and_tokenizer(bpe, tmp_path):
    path = toylm.save(toylm.TransformerLM(BASE), tmp_path / "a", bpe)
    model = toylm.load(path)
    assert isinstance(model, toylm.TransformerLM) and model.tokenizer.encode("the cat") == bpe.encode("the cat")
    again = toylm.load(toylm.save(model, tmp_path / "b", dtype="float16"))
    assert again.tokenizer.digest == bpe.digest
    assert again.config == BASE and load_file(tmp_path / "b" / "model.safetensors")["model.norm.weight"].dtype == np.float16
    assert toylm.load(toylm.save(toylm.TransformerLM(BASE), tmp_path / "c")).tokenizer is None
    assert toylm.load(path, "float64").dtype == np.float64


def test_a_counts_model_is_an_entry_like_any_other(bpe, tmp_path):
    tokens = np.array([*bpe.encode("the cat and the dog and the cat ran"), bpe.end_id] * 20)
    counts = CountsLM.fit(tokens, 270, bpe.end_id, order=3, context_length=12)
    again = toylm.load(toylm.save(counts, tmp_path / "a", bpe))
    assert isinstance(again, CountsLM) and again.config == counts.config and again.tokenizer.digest == bpe.digest
    np.testing.assert_array_equal(again.log_probabilities(tokens[:12]), counts.log_probabilities(tokens[:12]))
    hybrid = toylm.TransformerLM(BASE.replace(counts=True))
    hybrid.counts = counts
    both = toylm.load(toylm.save(hybrid, tmp_path / "b"))
    np.testing.assert_array_equal(both.forward(tokens[:12]), hybrid.forward(tokens[:12]))
    damages = ({"order": 0}, "order is 0; it must be"), ({"order": None}, "order is null"), ({"fitting": []}, "fitting is")
    for change, words in damages:
        for file in (tmp_path / "a" / "config.json", tmp_path / "b" / "counts.json"):
            before = file.read_text(encoding="utf-8")
            file.write_text(json.dumps({**json.loads(before), **change}), encoding="utf-8")
            with pytest.raises(CheckpointError, match=f"{file.name}: {words}"):
                toylm.load(file.parent)
            file.write_text(before, encoding="utf-8")


# -- models from elsewhere ---------------------------------------------------------------------------------------------------


def edit(path, **changes):
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, **changes}), encoding="utf-8")


@pytest.mark.parametrize("changes", [{"feed_forward": "swiglu"}, {"norm": "layer", "positions": "learned"}], ids=["llama", "gpt2"])
def test_tied_in_config_json_and_another_matrix_in_the_file(changes, tmp_path):
    untied = toylm.TransformerLM(BASE.replace(tied=False, **changes), seed=3)
    path = toylm.save(untied, tmp_path / "a")
    edit(path / "config.json", tie_word_embeddings=True)
    with pytest.warns(UserWarning, match="lm_head.weight in the file is another matrix: that one is used"):
        model = toylm.load(path)
    assert not model.config.tied
    np.testing.assert_array_equal(model.forward([1, 2, 3]), untied.forward([1, 2, 3]))
    tensors = load_file(path / "model.safetensors")
    name = "model.embed_tokens.weight" if "feed_forward" in changes else "transformer.wte.weight"
    save_file({**tensors, "lm_head.weight": tensors[name].copy()}, path / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert toylm.load(path).config.tied  # a copy


@pytest.mark.parametrize("scaling", [
    {"rope_scaling": None}, {"rope_scaling": {"rope_type": "default"}}, {"rope_scaling": {"type": "default", "factor": 1.0}},
    {"rope_scaling": {"type": "linear", "factor": 1.0}}, {"rope_parameters": {"rope_type": "default", "rope_theta": 5.0}},
    {"rope_parameters": None, "rope_theta": 5.0},
    {"rope_scaling": {"rope_type": "default", "rope_theta": 5.0}, "rope_parameters": None},
    {"partial_rotary_factor": None}, {"rope_parameters": {"rope_theta": 5, "partial_rotary_factor": None}},
])  # fmt: skip
def test_spellings_of_no_rope_scaling(scaling, tmp_path):
    path = toylm.save(toylm.TransformerLM(BASE.replace(rope_theta=5.0)), tmp_path / "a")
    edit(path / "config.json", **scaling)
    assert toylm.load(path).config.rope_theta == 5.0


@pytest.mark.parametrize("scaling, words", [
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope scaling linear"),
    ({"rope_scaling": {"rope_type": "default", "factor": 4.0}}, "rope scaling default"),
    ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}}, "rope scaling llama3"),
    ({"rope_scaling": {"rope_type": "default", "beta_fast": 32}}, "rope_scaling"),
    ({"rope_scaling": "linear"}, "rope_scaling is .linear.; it must be an object"),
    ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5"),
])  # fmt: skip
def test_rope_scaling_is_refused(scaling, words, tmp_path):
    path = toylm.save(toylm.TransformerLM(BASE), tmp_path / "a")
    edit(path / "config.json", **scaling)
    with pytest.raises(CheckpointError, match=words):
        toylm.load(path)


def test_ids_without_a_token_are_never_generated(bpe, tmp_path):
    model = toylm.load(toylm.save(toylm.TransformerLM(BASE), tmp_path / "a", bpe))
    assert model.valid_ids == bpe.vocab_size < 270
    model.parameters["token_embed"].array[bpe.vocab_size :] *= 100  # the likeliest by far, with these signs or their opposites
    for temperature in (0, 1.0):
        assert max(model.generate([1, 2], 30, temperature, seed=1)) < bpe.vocab_size
    counts = CountsLM.fit(np.array([1, 2, bpe.end_id] * 20), 4000, bpe.end_id, order=2, context_length=12)
    again = toylm.load(toylm.save(counts, tmp_path / "c", bpe))
    assert again.valid_ids == bpe.vocab_size and max(again.generate([1], 40, 3.0, seed=1)) < bpe.vocab_size


def test_an_added_token_without_a_row_is_warned_of_and_others_are_refused(tmp_path):
    bpe = train_tokenizer(["the cat and the dog and the cat ran"] * 3, "bpe", 262)
    rows = bpe.vocab_size
    bpe.backend.add_special_tokens(["<pad>"])
    path = toylm.save(toylm.TransformerLM(BASE.replace(vocab_size=rows)), tmp_path / "a", bpe)
    with pytest.warns(UserWarning, match=f"the model has no row for the token '<pad>' .id {rows}.: texts with it are refused"):
        model = toylm.load(path)
    assert model.valid_ids == rows
    path = toylm.save(toylm.TransformerLM(BASE.replace(vocab_size=rows - 1)), tmp_path / "b", bpe)
    with pytest.raises(CheckpointError, match=f"the tokenizer has {rows + 1} tokens and the model only {rows - 1}"):
        toylm.load(path)


@pytest.mark.parametrize("settings", [
    None, {"eos_token": "<|endoftext|>"}, {"eos_token": {"content": "<|endoftext|>"}, "bos_token": None},
])  # fmt: skip
def test_vocab_json_and_merges_txt_are_a_tokenizer(bpe, settings, tmp_path):
    path = toylm.save(toylm.TransformerLM(BASE), tmp_path / "a", bpe)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (path / name).unlink()
    bpe.backend.model.save(str(path))
    if settings is not None:
        (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    model = toylm.load(path)
    for text in ("the cat and a naïve 🙂", "<|endoftext|>the"):
        assert model.tokenizer.encode(text) == bpe.encode(text)
    assert model.tokenizer.decode(bpe.encode(" the cat")) == " the cat" and model.tokenizer.end_id == bpe.end_id
    (path / "merges.txt").write_text("x", encoding="utf-8")
    with pytest.raises(CheckpointError, match="vocab.json is damaged"):
        toylm.load(path)


def test_gguf_of_another_architecture_is_refused_before_its_package_is_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    path = save_checkpoint(tmp_path / "a", toylm.TransformerLM(BASE))
    assert run_verb("export", [str(path), "--to", "gguf", "--out", str(tmp_path / "a.gguf")]) == 2
    line = capsys.readouterr().err
    assert "has feed_forward 'gelu'; GGUF knows Llama models only" in line and "toylm train --config llama makes one" in line
