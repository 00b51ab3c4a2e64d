"""Checkpoints: the same bits back, whole or not at all, every kind of damage named, and open in transformers."""

import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import toylm
from toylm.data import train_tokenizer
from toylm.errors import CheckpointError
from toylm.formats.checkpoint import (
    TrainingState,
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    read_pointer,
    recover_checkpoints,
    save_checkpoint,
    write_pointer,
)

ROPE = toylm.ModelConfig(vocab_size=300, d_model=16, d_ff=24, n_heads=2, n_layers=2, context_length=12, rope_theta=77.0)
LEARNED = ROPE.replace(positions="learned", init="uniform", norm_eps=1e-6)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["the cat saw the dog and the dog saw the cat"] * 3, "bpe", 280)


def make(config=ROPE, precision="float32"):
    model = toylm.TransformerLM(config, seed=3, precision=precision)
    # Gains start at 1: give every parameter a value of its own, so that a swapped pair shows.
    model.parameters.flat[:] += 0.1 * np.random.default_rng(1).standard_normal(model.parameters.size)
    return model


STATE = {
    "loop": {"step": 5, "tokens": 80, "seconds": 0.1, "recent_losses": [2.5]},
    "optimizer": {"name": "adamw", "step_count": 5},
    "batches": {"epoch": 0, "position": 5, "seed": 0, "context_length": 12, "source": {"name": "x"}},
    "log_sizes": {"metrics.jsonl": 10},
}


@pytest.fixture
def saved(tmp_path, tokenizer):
    model = make()
    training = TrainingState({"m": np.arange(model.parameters.size, dtype=np.float32)}, STATE)
    save_checkpoint(tmp_path / "step-000005", model, tokenizer, training)
    return tmp_path / "step-000005"


@pytest.mark.parametrize("config", [ROPE, LEARNED], ids=["rope", "learned"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_same_bits_back(tmp_path, config, precision):
    model = make(config, precision)
    save_checkpoint(tmp_path / "a", model)
    loaded = load_checkpoint(tmp_path / "a", precision=precision)
    assert loaded.model.config == config
    assert loaded.tokenizer is None and loaded.training is None and loaded.path == tmp_path / "a"
    assert np.array_equal(loaded.model.parameters.flat, model.parameters.flat)
    tokens = np.arange(10) % 300
    assert np.array_equal(loaded.model.forward(tokens), model.forward(tokens))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_model_save_and_load(tmp_path, precision):
    model = make(precision=precision)
    model.save(tmp_path / "m")
    loaded = toylm.TransformerLM.load(tmp_path / "m", precision)
    assert loaded.precision == precision and np.array_equal(loaded.parameters.flat, model.parameters.flat)


def test_the_files(saved, tokenizer):
    assert sorted(p.name for p in saved.iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "training.json", "training.safetensors",
    ]  # fmt: skip
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "arcee" and config["architectures"] == ["ArceeForCausalLM"]
    assert config["tie_word_embeddings"] is True and config["rms_norm_eps"] == 1e-5
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 77.0
    assert config["eos_token_id"] == tokenizer.end_id and config["hidden_act"] == "gelu_pytorch_tanh"
    shapes = {name: array.shape for name, array in load_file(saved / "model.safetensors").items()}
    assert shapes["model.layers.1.mlp.up_proj.weight"] == (24, 16)
    assert shapes["model.layers.0.self_attn.k_proj.weight"] == (16, 16)
    assert "lm_head.weight" not in shapes and len(shapes) == 2 + 2 * 8
    loaded = load_checkpoint(saved, training=True)
    assert loaded.tokenizer.encode("the cat") == tokenizer.encode("the cat")
    assert loaded.training.state == STATE
    assert np.array_equal(loaded.training.arrays["m"], np.arange(loaded.model.parameters.size))


def test_orientation(saved):
    """Weights on disk are (outputs, inputs), ours (inputs, outputs), q, k and v side by side."""
    tensors, parameters = load_file(saved / "model.safetensors"), make().parameters
    assert np.array_equal(tensors["model.layers.0.self_attn.v_proj.weight"].T, parameters["blocks.0.w_qkv"].array[:, 32:])
    assert np.array_equal(tensors["model.layers.1.mlp.down_proj.weight"].T, parameters["blocks.1.w_ff2"].array)
    assert np.array_equal(tensors["model.embed_tokens.weight"], parameters["token_embed"].array)


def test_moments_that_do_not_lie_in_one_piece_come_back(tmp_path):
    model = make()
    strided = np.arange(2 * model.parameters.size, dtype=np.float32)[::2]
    save_checkpoint(tmp_path / "a", model, training=TrainingState({"m": strided}, STATE))
    assert np.array_equal(load_checkpoint(tmp_path / "a", training=True).training.arrays["m"], strided)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        save_checkpoint(tmp_path / "a", make(), training=TrainingState({}, {}))
    finally:
        os.umask(before)
    assert {oct(p.stat().st_mode & 0o777) for p in (tmp_path / "a").iterdir()} == {"0o640"}


def test_saving_over_a_checkpoint_replaces_it_and_over_other_things_is_refused(saved, tmp_path):
    save_checkpoint(saved, make(LEARNED))
    assert load_checkpoint(saved).model.config == LEARNED
    assert not (saved / "training.json").exists()
    assert [p.name for p in tmp_path.iterdir()] == [saved.name]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ValueError, match="mine holds letter.txt, which is no part of a checkpoint: choose a new or an empty"):
        save_checkpoint(tmp_path / "mine", make())
    (tmp_path / "mine" / "letter.txt").rename(saved / "letter.txt")
    (saved / "notes").mkdir()
    with pytest.raises(ValueError, match="holds letter.txt, which is no part"):
        save_checkpoint(saved, make())
    (saved / "letter.txt").unlink()
    with pytest.raises(ValueError, match="holds notes, which is no part"):
        save_checkpoint(saved, make())
    (saved / "notes").rmdir()
    (saved / ".DS_Store").write_bytes(b"a file manager's")
    save_checkpoint(saved, make(LEARNED))
    (tmp_path / "mine" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="holds tokenizer.json and is not a checkpoint"):
        save_checkpoint(tmp_path / "mine", make())
    assert load_checkpoint(saved).model.config == LEARNED
    with pytest.raises(ValueError, match="is a file, and a checkpoint is a folder"):
        save_checkpoint(saved / "config.json", make())


def test_whatever_is_written_beside_a_model_may_be_replaced(tmp_path):
    from toylm.fitters.output_heads import GRAM
    from toylm.formats.checkpoint import FILES
    from toylm.formats.counted import FIELDS, TENSORS

    assert {FIELDS, TENSORS, GRAM} < set(FILES)
    for _ in range(2):
        save_checkpoint(tmp_path / "a", make(), beside={"own.txt": lambda path: path.write_text("x", encoding="utf-8")})


def test_saving_to_the_working_directory(saved, monkeypatch):
    monkeypatch.chdir(saved)
    save_checkpoint(".", make(LEARNED))
    assert load_checkpoint(saved).model.config == LEARNED


def test_a_full_disk_leaves_the_old_checkpoint_and_nothing_half_written(saved, tmp_path, monkeypatch):
    before = load_checkpoint(saved).model.parameters.flat

    def full(path, value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("toylm.formats.family.write_json", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved, make(LEARNED))
    assert [p.name for p in tmp_path.iterdir()] == [saved.name]
    assert np.array_equal(load_checkpoint(saved).model.parameters.flat, before)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "in use"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_the_old_checkpoint_gets_its_name_back_where_the_new_one_does_not_get_it(saved, tmp_path, monkeypatch, error):
    before, replace = load_checkpoint(saved).model.parameters.flat, os.replace

    def not_the_new_one(source, target):
        if ".tmp-" in os.path.basename(source) and str(target) == str(saved):
            raise error
        replace(source, target)

    monkeypatch.setattr("os.replace", not_the_new_one)
    with pytest.raises(type(error)):
        save_checkpoint(saved, make(LEARNED))
    assert [p.name for p in tmp_path.iterdir()] == [saved.name]
    assert np.array_equal(load_checkpoint(saved).model.parameters.flat, before)


def test_what_a_killed_process_had_put_aside_is_found(saved, tmp_path):
    (tmp_path / "best").write_text("step-000005\n", encoding="utf-8")
    aside = saved.rename(tmp_path / "step-000005.old-123")
    shutil.copytree(aside, tmp_path / "step-000005.tmp-123")
    for named in (tmp_path, tmp_path / "best", tmp_path / "step-000005"):
        assert find_checkpoint(named) == aside
    assert list_checkpoints(tmp_path) == [(5, aside)]
    shutil.copytree(aside, saved)  # then it is rubbish
    for named in (tmp_path, tmp_path / "best", tmp_path / "step-000005"):
        assert find_checkpoint(named) == saved
    assert list_checkpoints(tmp_path) == [(5, saved)]


def test_a_model_of_another_name_that_was_put_aside_is_pointed_at_and_left_alone(saved, tmp_path):
    saved.rename(tmp_path / "mine (1).old-123")  # a name that somebody may have chosen
    with pytest.raises(FileNotFoundError, match=r"mine \(1\).old-123 may be what a save put aside .* rename it to mine \(1\)"):
        find_checkpoint(tmp_path / "mine (1)")
    save_checkpoint(tmp_path / "mine (1)", make())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine (1)", "mine (1).old-123"]


def test_saving_into_what_was_put_aside_gives_it_its_name_back_and_leftovers_go(saved, tmp_path):
    """What `fit --add` does after it was killed between its two renames."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    aside = saved.rename(tmp_path / f"step-000005.old-{ended.pid}")
    shutil.copytree(aside, tmp_path / f"step-000005.tmp-{ended.pid}")
    found = load_checkpoint(tmp_path)
    assert found.path == aside
    assert save_checkpoint(found.path, make(LEARNED)) == saved
    assert [p.name for p in tmp_path.iterdir()] == [saved.name] and load_checkpoint(tmp_path).model.config == LEARNED


def test_leftovers_of_a_living_process_and_folders_with_other_things_stay(saved, tmp_path):
    for name, inside in ((f"step-000005.tmp-{os.getppid()}", "config.json"), ("step-000005.old-999999999", "letter.txt")):
        (tmp_path / name).mkdir()
        (tmp_path / name / inside).write_text("x", encoding="utf-8")
    before = sorted(p.name for p in tmp_path.iterdir())
    save_checkpoint(saved, make())
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_equal_checkpoints_are_equal_files(tmp_path, tokenizer, dtype):
    for name in ("a", "b"):
        model = make()
        moments = {key: np.ones(model.parameters.size, np.float32) for key in (("m", "v") if name == "a" else ("v", "m"))}
        save_checkpoint(tmp_path / name, model, tokenizer, TrainingState(moments, STATE), dtype)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


# -- the best ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run_with(tmp_path):
    """run_with((step, best step then, best loss then), ...): a folder with these checkpoints' training.json."""

    def make_run(*checkpoints):
        for step, best_step, best_loss in checkpoints:
            folder = tmp_path / f"step-{step:06d}"
            folder.mkdir()
            state = {"loop": {"step": step, "best_step": best_step, "best_loss": best_loss}}
            (folder / "training.json").write_text(json.dumps(state), encoding="utf-8")
        return tmp_path

    return make_run


@pytest.mark.parametrize("latest, best, right", [
    (220, 180, 220),  # killed between `latest` and `best`, as it used to be written
    (200, 220, 220),  # killed between `best` and `latest`
    (220, 220, 220),
    (220, None, 220),
    (200, 180, 180),
])  # fmt: skip
def test_a_kill_between_the_two_pointers_does_not_lose_the_best(run_with, latest, best, right):
    run = run_with((180, 180, 2.0), (200, 180, 2.0), (220, 220, 1.9))
    write_pointer(run, "latest", f"step-{latest:06d}")
    if best is not None:
        write_pointer(run, "best", f"step-{best:06d}")
    assert read_pointer(run, "best").name == f"step-{right:06d}"
    recover_checkpoints(run)
    assert (run / "best").read_text(encoding="utf-8") == f"step-{right:06d}\n"


@pytest.mark.parametrize("state", [{}, {"loop": 3}, {"loop": {}}, {"loop": {"best_step": "x"}}, {"loop": {"best_step": 7}}])
def test_the_pointer_rules_where_training_json_says_nothing_of_the_best(run_with, state):
    run = run_with((180, 180, 2.0), (200, 180, 2.0))
    (run / "step-000200" / "training.json").write_text(json.dumps(state), encoding="utf-8")
    write_pointer(run, "latest", "step-000200")
    write_pointer(run, "best", "step-000180")
    assert read_pointer(run, "best").name == "step-000180"


def test_the_best_of_a_fit_has_no_training_and_stays(run_with):
    run = run_with((180, 180, 2.0), (200, 180, 2.0))
    (run / "step-000190").mkdir()
    write_pointer(run, "latest", "step-000200")
    write_pointer(run, "best", "step-000190")
    assert read_pointer(run, "best").name == "step-000190"


# -- damage ----------------------------------------------------------------------------------------------------------------


def rewrite(saved, change):
    tensors = load_file(saved / "model.safetensors")
    change(tensors)
    save_file(tensors, saved / "model.safetensors")


def edit_config(saved, **changes):
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    (saved / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")


def edit_training(saved, part, value, key=None):
    """Another value for training.json's `part`, or for a key of it; None takes it out."""
    state = json.loads((saved / "training.json").read_text(encoding="utf-8"))
    holder, name = (state[part], key) if key else (state, part)
    holder.pop(name) if value is None else holder.update({name: value})
    (saved / "training.json").write_text(json.dumps(state), encoding="utf-8")


def truncate(path, share):
    with open(path, "rb+") as file:
        file.truncate(int(path.stat().st_size * share))


def flip_header(path):
    with open(path, "rb+") as file:
        file.seek(20)
        file.write(b"\xff" * 8)


def write_header(path, tensors):
    """A safetensors file of zeros: name -> (dtype, shape, bytes)."""
    header, start = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(start))


def store_as(saved, kind):
    arrays = load_file(saved / "model.safetensors")
    write_header(saved / "model.safetensors", {n: (kind, list(a.shape), a.size) for n, a in arrays.items()})


def write_index(saved, weight_map):
    (saved / "model.safetensors").unlink()
    (saved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")


BARE = '{"model_type": "arcee", "hidden_act": "gelu_new", "tie_word_embeddings": true}'
NORM = "model.norm.weight"
DAMAGE = {
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "has no model.safetensors"),
    "no config": (lambda d: (d / "config.json").unlink(), "has no config.json"),
    "weights cut": (lambda d: truncate(d / "model.safetensors", 0.7), "truncated or corrupt"),
    "weights empty": (lambda d: truncate(d / "model.safetensors", 0), "truncated or corrupt"),
    "weights corrupt": (lambda d: flip_header(d / "model.safetensors"), "truncated or corrupt"),
    "config cut": (lambda d: truncate(d / "config.json", 0.5), "config.json is damaged: not valid JSON"),
    "config no object": (lambda d: (d / "config.json").write_text("[]", encoding="utf-8"), "not a JSON object"),
    "config lacks a key": (
        lambda d: (d / "config.json").write_text(BARE, encoding="utf-8"), "lacks the key 'vocab_size'"),
    "config deep": (lambda d: (d / "config.json").write_text("[" * 100_000, encoding="utf-8"), "config.json is damaged"),
    "architectures": (
        lambda d: edit_config(d, model_type="x", architectures={"a": 1}), "describes an unnamed class .model_type 'x'."),
    "a huge number": (
        lambda d: edit_config(d, rope_parameters={"rope_theta": 10**400}),
        "config.json: rope_parameters.rope_theta is 10+...; it must be a finite number above 0"),
    "tokenizer cut": (lambda d: truncate(d / "tokenizer.json", 0.5), "tokenizer.json"),
    "tensor missing": (lambda d: rewrite(d, lambda t: t.pop(NORM)), f"lacks the tensor {NORM} that config.json asks for"),
    "tensor extra": (lambda d: rewrite(d, lambda t: t.update(bias=np.zeros(3))), "holds the tensor bias, which config.json"),
    "tensor shape": (
        lambda d: rewrite(d, lambda t: t.update({NORM: np.ones(17, np.float32)})),
        r"has shape \(17,\), config.json asks for \(16,\)"),
    "tensor kind": (lambda d: rewrite(d, lambda t: t.update({NORM: np.ones(16, np.int64)})), "holds int64, not floating-point"),
    "tensors of 8 bits": (lambda d: store_as(d, "F8_E4M3"), "holds F8_E4M3, not float64, float32, float16 or bfloat16"),
    "tensors of 8 other bits": (lambda d: store_as(d, "F8_E5M2"), "holds F8_E5M2, not float64"),
    "other size": (lambda d: edit_config(d, intermediate_size=32), r"has shape .* do not belong together"),
    "more layers": (lambda d: edit_config(d, num_hidden_layers=3), "lacks the tensor model.layers.2.* and 7 more"),
    "fewer layers": (lambda d: edit_config(d, num_hidden_layers=1), "holds the tensor model.layers.1.* and 7 more"),
    "heads": (lambda d: edit_config(d, num_attention_heads=3, num_key_value_heads=3, head_dim=None), "16 is not divisible by"),
    "bert": (
        lambda d: edit_config(d, model_type="bert", architectures=["BertModel"]),
        "describes BertModel .model_type 'bert'.; toylm opens LlamaForCausalLM, ArceeForCausalLM, GPT2LMHeadModel and its own"),
    "activation": (lambda d: edit_config(d, hidden_act="relu"), "has hidden_act relu; toylm supports gelu_pytorch_tanh or"),
    "grouped": (lambda d: edit_config(d, num_key_value_heads=1), r"k_proj.weight has shape \(16, 16\), .* asks for \(8, 16\)"),
    "untied": (lambda d: edit_config(d, tie_word_embeddings=False), "lacks the tensor lm_head.weight that config.json asks"),
    "biases": (lambda d: edit_config(d, attention_bias=True, mlp_bias=True), "lacks the tensor .*q_proj.bias and 11 more"),
    "one bias": (lambda d: edit_config(d, attention_bias=True), "has attention_bias and mlp_bias .True, False.; toylm supports"),
    "rope scaling": (
        lambda d: edit_config(d, rope_scaling={"type": "linear", "factor": 2.0}), "has rope scaling linear; toylm supports none"),
    "rope of five": (
        lambda d: edit_config(d, rope_parameters={"rope_type": "yarn", "rope_theta": 1e4}), "has rope scaling yarn"),
    "partial rope": (lambda d: edit_config(d, partial_rotary_factor=0.5), "has partial_rotary_factor 0.5; toylm supports 1.0"),
    "pickle": (
        lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"), "pytorch_model.bin is a pickle.*safetensors only"),
    "a shard missing": (lambda d: (d / "model.safetensors").unlink() or (d / "model.safetensors.index.json").write_text(
        '{"weight_map": {"model.norm.weight": "model-1.safetensors"}}', encoding="utf-8"), "has no model-1.safetensors, which"),
    "a shard without a name": (
        lambda d: (d / "1").touch() or write_index(d, {NORM: 1}), "index.json: weight_map.model.norm.weight is 1; it must be"),
    "index cut": (lambda d: (d / "model.safetensors").unlink() or (d / "model.safetensors.index.json").write_text(
        '{"weight_map"', encoding="utf-8"), "index.json is damaged"),
    "training lacks the loop": (lambda d: edit_training(d, "loop", None, "step"), "training.json lacks the key 'loop.step'"),
    "training lacks the count": (
        lambda d: edit_training(d, "optimizer", None, "step_count"), "training.json lacks the key 'optimizer.step_count'"),
    "training of text": (
        lambda d: edit_training(d, "loop", "5", "step"), "training.json: loop.step is .5.; it must be a whole number, 0 or more"),
    "training of null": (lambda d: edit_training(d, "batches", None), "training.json lacks the key 'batches'"),
    "training of lists": (lambda d: edit_training(d, "log_sizes", []), r"training.json: log_sizes is \[\]; it must be an object"),
    "training no JSON": (lambda d: truncate(d / "training.json", 0.5), "training.json is damaged: not valid JSON"),
    "layout no JSON": (
        lambda d: save_file({"m": np.zeros(3, np.float32)}, d / "training.safetensors", {"layout": "[["}),
        "training.safetensors is damaged: its layout is not valid JSON"),
    "end token": (
        lambda d: (d / "tokenizer_config.json").write_text('{"eos_token": 5}', encoding="utf-8"),
        "tokenizer_config.json: eos_token is 5; it must be a token"),
    "width of text": (lambda d: edit_config(d, hidden_size="16"), "config.json: hidden_size is .16.; it must be a whole number"),
    "width of null": (lambda d: edit_config(d, hidden_size=None), "config.json: hidden_size is null; it must be a whole number"),
    "model type a list": (lambda d: edit_config(d, model_type=["llama"]), "describes ArceeForCausalLM .model_type"),
    "no training": (lambda d: (d / "training.json").unlink(), "can generate but not resume"),
    "moments cut": (lambda d: truncate(d / "training.safetensors", 0.9), "training.safetensors is truncated or corrupt"),
    "moments of another": (
        lambda d: save_file({"m": np.zeros(3, np.float32)}, d / "training.safetensors"), "another parameter layout"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(saved, damage):
    harm, sentence = DAMAGE[damage]
    harm(saved)
    with pytest.raises((CheckpointError, FileNotFoundError), match=sentence) as caught:
        load_checkpoint(saved, training=True)
    assert str(saved) in str(caught.value) and "\n" not in str(caught.value)


CLAIMS = {
    "vocabulary": ({"vocab_size": 4_000_000}, r"embed.* has shape .300, 16., config.json asks for .4000000, 16."),
    "layers": ({"num_hidden_layers": 200_000, "n_layers": 200_000}, "too few for the 200000 layers of config.json"),
}


@pytest.mark.parametrize("config", [ROPE, LEARNED], ids=["rope", "own"])
@pytest.mark.parametrize("claim", CLAIMS)
def test_no_memory_is_taken_for_what_the_weights_do_not_hold(tmp_path, config, claim, monkeypatch):
    changes, sentence = CLAIMS[claim]
    save_checkpoint(tmp_path / "a", make(config))
    edit_config(tmp_path / "a", **changes)
    monkeypatch.setattr("toylm.model.transformer.TransformerLM", None)
    with pytest.raises(CheckpointError, match=sentence):
        load_checkpoint(tmp_path / "a")


def test_a_tokenizer_of_another_model(tmp_path, tokenizer):
    save_checkpoint(tmp_path / "a", make(ROPE.replace(vocab_size=200)), tokenizer)
    with pytest.raises(CheckpointError, match=f"the tokenizer has {tokenizer.vocab_size} tokens and the model only 200"):
        load_checkpoint(tmp_path / "a")


def test_moments_of_another_size(saved):
    from safetensors import safe_open

    with safe_open(saved / "training.safetensors", "numpy") as file:
        layout = file.metadata()
    save_file({"m": np.zeros(3, np.float32)}, saved / "training.safetensors", metadata=layout)
    with pytest.raises(CheckpointError, match=r"m has shape \(3,\)"):
        load_checkpoint(saved, training=True)


def test_a_tied_copy_of_the_embedding_is_tolerated(saved):
    rewrite(saved, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"]}))
    load_checkpoint(saved)


# -- finding ---------------------------------------------------------------------------------------------------------------


def test_finding_a_checkpoint(saved, tmp_path):
    run, best = tmp_path, tmp_path / "step-000003"
    shutil.copytree(saved, best)
    assert find_checkpoint(run) == saved  # no pointers yet: the highest step
    (run / "best").write_text("step-000003\n", encoding="utf-8")
    (run / "latest").write_text("step-000005\n", encoding="utf-8")
    assert find_checkpoint(run) == find_checkpoint(run / "best") == find_checkpoint(best) == best
    assert find_checkpoint(run, prefer="latest") == find_checkpoint(run / "latest") == saved
    (run / "best").write_text("step-000099\n", encoding="utf-8")  # names what is gone: the other pointer decides
    assert find_checkpoint(run) == saved
    (run / "best").write_text("../../etc\n", encoding="utf-8")
    assert find_checkpoint(run) == saved
    with pytest.raises(FileNotFoundError, match=r"step-000004 does not exist; .* holds step-000003, step-000005"):
        find_checkpoint(run / "step-000004")
    with pytest.raises(FileNotFoundError, match="best names no checkpoint"):
        find_checkpoint(run / "best")
    with pytest.raises(CheckpointError, match="is a file; a checkpoint is a folder"):
        find_checkpoint(saved / "config.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds neither a checkpoint"):
        find_checkpoint(tmp_path / "empty")


# -- transformers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.filterwarnings("default")
def test_transformers_opens_it_with_the_same_logits(tmp_path, tokenizer):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = make(ROPE.replace(context_length=32))
    save_checkpoint(tmp_path / "a", model, tokenizer)
    theirs, loading = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "a", output_loading_info=True)
    assert type(theirs).__name__ == "ArceeForCausalLM"
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokens = np.random.default_rng(0).integers(0, 300, (3, 32))
    with torch.no_grad():
        expected = theirs(torch.from_numpy(tokens)).logits.numpy()
    assert np.abs(model.forward(tokens) - expected).max() < 2e-5 * max(1.0, np.abs(expected).max())
    opened = transformers.AutoTokenizer.from_pretrained(tmp_path / "a")
    text = "the naïve cat saw 你好 🙂"
    assert opened(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text)
    assert opened.eos_token_id == tokenizer.end_id


@pytest.mark.parity
@pytest.mark.filterwarnings("default")
def test_a_checkpoint_made_by_transformers_opens_here(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.ArceeConfig(
        vocab_size=50, hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
        max_position_embeddings=24, hidden_act="gelu_pytorch_tanh", tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0}, rms_norm_eps=1e-4,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.ArceeForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path / "a")
    model = load_checkpoint(tmp_path / "a").model
    assert model.config.rope_theta == 500.0 and model.config.norm_eps == 1e-4
    tokens = np.random.default_rng(0).integers(0, 50, (2, 24))
    with torch.no_grad():
        expected = theirs(torch.from_numpy(tokens)).logits.numpy()
    assert np.abs(model.forward(tokens) - expected).max() < 2e-5
