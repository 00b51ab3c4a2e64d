"""Adapters in PEFT's format: peft's own files give its logits, ours come back, and peft opens them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import toylm
from toylm.cli import run_verb
from toylm.config import layout_of
from toylm.errors import CheckpointError
from toylm.formats.adapters import EARLIER, Adapter
from toylm.formats.checkpoint import load_checkpoint, save_checkpoint

sys.path.insert(0, str(Path(__file__).parent))
from test_golden_huggingface import GOLDEN, open_golden  # noqa: E402

LLAMA = toylm.ModelConfig(
    vocab_size=31, d_model=16, d_ff=18, n_heads=4, n_kv_heads=2, n_layers=2, context_length=20, feed_forward="swiglu"
)
CONFIGS = {
    "llama": LLAMA,
    "arcee": LLAMA.replace(feed_forward="gelu"),
    "gpt2": LLAMA.replace(feed_forward="gelu", norm="layer", positions="learned", biases=True, n_kv_heads=4),
    "own": LLAMA.replace(feed_forward="gelu", norm="layer"),
}


def adapter_for(config, rank=3, leave_out=()):
    """One with random factors for every matrix of the blocks but those that end as in `leave_out`."""
    rng = np.random.default_rng(5)
    names = [name for name, *_ in layout_of(config) if name.startswith("blocks.") and ".w_" in name]
    shapes = {name: (rows, columns) for name, rows, columns in layout_of(config) if name in names}
    return Adapter({
        name: (0.3 * rng.standard_normal((rows, rank)), 0.3 * rng.standard_normal((rank, columns)))
        for name, (rows, columns) in shapes.items() if not name.endswith(tuple(leave_out))
    })  # fmt: skip


def write_golden(kind, folder):
    """peft's adapter as it saved it; returns the logits of the model with it."""
    with np.load(GOLDEN / f"adapter-{kind}.npz", allow_pickle=False) as opened:
        numbers = dict(opened)
    folder.mkdir()
    (folder / "adapter_config.json").write_bytes(numbers["config"].tobytes())
    tensors = {name.removeprefix("tensor "): array for name, array in numbers.items() if name.startswith("tensor ")}
    save_file(tensors, folder / "adapter_model.safetensors")
    return numbers["logits"]


@pytest.mark.parametrize("kind", ["llama", "arcee", "gpt2"])
def test_an_adapter_of_peft_gives_its_logits(kind, tmp_path, capsys):
    (tmp_path / "base").mkdir()
    tokens = open_golden(kind, tmp_path / "base")[0]["tokens"]
    logits = write_golden(kind, tmp_path / "adapter")
    assert run_verb("import", [str(tmp_path / "adapter"), "--out", str(tmp_path / "merged")]) == 2
    assert "is an adapter, and its base model, golden, is no folder here: name the folder" in capsys.readouterr().err
    given = ["--base", str(tmp_path / "base"), "--out", str(tmp_path / "merged")]
    assert run_verb("import", [str(tmp_path / "adapter"), *given]) == 0
    np.testing.assert_allclose(toylm.load(tmp_path / "merged").forward(tokens), logits, atol=3e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_kept_beside_a_model_it_is_merged_at_loading_and_comes_back(kind, tmp_path):
    config = CONFIGS[kind]
    model, adapter = toylm.TransformerLM(config, seed=1), adapter_for(config, leave_out=("1.w_o",))
    path = save_checkpoint(tmp_path / "a", model, beside={"adapter": lambda folder: adapter.save(folder, config)})
    again = Adapter.load(path / "adapter", config)
    assert again.factors.keys() == adapter.factors.keys()
    for name, pair in adapter.factors.items():
        for ours, theirs in zip(pair, again.factors[name], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(toylm.load(path).parameters.flat, adapter.merge(model).parameters.flat)
    save_checkpoint(path, model)  # it may be replaced
    assert not (path / "adapter").exists()


def test_the_files_that_peft_reads(tmp_path):
    adapter_for(LLAMA).save(tmp_path / "a", LLAMA)
    fields = json.loads((tmp_path / "a" / "adapter_config.json").read_text(encoding="utf-8"))
    assert fields["peft_type"] == "LORA" and fields["r"] == fields["lora_alpha"] == 3 and fields["fan_in_fan_out"] is False
    assert "model.layers.1.self_attn.k_proj" in fields["target_modules"] and len(fields["target_modules"]) == 14
    shapes = {name: array.shape for name, array in load_file(tmp_path / "a" / "adapter_model.safetensors").items()}
    assert len(shapes) == 28
    prefix = "base_model.model.model.layers.0.self_attn"
    assert shapes[f"{prefix}.k_proj.lora_A.weight"] == (3, 16) and shapes[f"{prefix}.k_proj.lora_B.weight"] == (8, 3)
    assert shapes["base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"] == (3, 18)


def test_export_writes_the_adapter_alone(tmp_path, capsys):
    adapter = adapter_for(LLAMA)
    kept = {"adapter": lambda folder: adapter.save(folder, LLAMA)}
    path = save_checkpoint(tmp_path / "a", toylm.TransformerLM(LLAMA), beside=kept)
    assert run_verb("export", [str(path), "--to", "peft", "--out", str(tmp_path / "out")]) == 0
    for file in (path / "adapter").iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    for config, words in ((LLAMA, "keeps no adapter: toylm fit RUN"), (CONFIGS["own"], "so peft has no model for its adapter")):
        beside = {} if config is LLAMA else {"adapter": lambda folder: adapter_for(CONFIGS["own"]).save(folder, CONFIGS["own"])}
        save_checkpoint(tmp_path / "b", toylm.TransformerLM(config), beside=beside)
        assert run_verb("export", [str(tmp_path / "b"), "--to", "peft", "--out", str(tmp_path / "x")]) == 2
        assert words in capsys.readouterr().err


def test_an_adapter_of_earlier_versions_is_still_merged(tmp_path):
    model, adapter = toylm.TransformerLM(LLAMA, seed=1), adapter_for(LLAMA)
    path = save_checkpoint(tmp_path / "a", model)
    factors = {f"{n}.{k}": f for n, pair in adapter.factors.items() for k, f in zip(("lora_a", "lora_b"), pair, strict=True)}
    save_file(factors, path / EARLIER)
    np.testing.assert_array_equal(toylm.load(path).parameters.flat, adapter.merge(model).parameters.flat)
    factors.popitem()
    save_file(factors, path / EARLIER)
    with pytest.raises(CheckpointError, match="adapter.safetensors holds no whole pairs"):
        toylm.load(path)


@pytest.mark.parametrize("factors, words", [
    ({"token_embed": (4, 2)}, "token_embed is no matrix of a block"),
    ({"blocks.0.w_o": (16, 2), "blocks.1.w_o": (16, 3)}, r"its matrices have the ranks \[2, 3\]"),
])  # fmt: skip
def test_what_the_format_has_no_place_for_is_refused(factors, words, tmp_path):
    adapter = Adapter({name: (np.ones((d, rank)), np.ones((rank, 16))) for name, (d, rank) in factors.items()})
    with pytest.raises(CheckpointError, match=f"cannot be written in PEFT's format: {words}"):
        adapter.save(tmp_path / "a", LLAMA)


DAMAGE = {
    "kind": (dict(peft_type="LOHA"), "peft_type is \"LOHA\"; it must be one of 'LORA'"),
    "biases": (dict(bias="all"), "bias is \"all\"; it must be one of 'none'"),
    "dora": (dict(use_dora=True), "use_dora is true; it must be empty: toylm reads plain LoRA"),
    "ranks": (dict(rank_pattern={"q_proj": 2}), "rank_pattern is .*; it must be empty"),
    "rank": (dict(r=2), "have the shapes .* they do not fit this model"),
    "no rank": (dict(r=None), "r is null; it must be a whole number"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_plain_lora_of_this_model_is_named(damage, tmp_path):
    changes, words = DAMAGE[damage]
    adapter_for(LLAMA).save(tmp_path, LLAMA)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=words):
        Adapter.load(tmp_path, LLAMA)


def test_tensors_of_other_layers_and_missing_files_are_named(tmp_path):
    adapter_for(LLAMA).save(tmp_path, LLAMA)
    with pytest.raises(CheckpointError, match="which is no linear layer of a block of this model"):
        Adapter.load(tmp_path, CONFIGS["gpt2"])
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="has no adapter_model.safetensors"):
        Adapter.load(tmp_path, LLAMA)


@pytest.mark.parity
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", ["llama", "arcee", "gpt2"])
def test_peft_opens_it_beside_the_model(kind, tmp_path):
    peft = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = CONFIGS[kind]
    adapter = adapter_for(config, leave_out=("1.w_o",))
    kept = {"adapter": lambda folder: adapter.save(folder, config)}
    path = save_checkpoint(tmp_path / "a", toylm.TransformerLM(config, seed=1), beside=kept)
    tokens = np.random.default_rng(0).integers(0, 31, (2, 20))
    base = transformers.AutoModelForCausalLM.from_pretrained(path, dtype="float32")
    theirs = peft.PeftModel.from_pretrained(base, path / "adapter").eval()
    with torch.no_grad():
        expected = theirs(torch.tensor(tokens)).logits.numpy()
    assert np.abs(load_checkpoint(path).model.forward(tokens) - expected).max() < 2e-5
