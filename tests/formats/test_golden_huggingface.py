"""Models saved by transformers give its logits, loss, gradients and text; the numbers were made by golden/make_golden.py."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import toylm
from toylm.formats.families import family_of
from toylm.formats.tensors import to_tensors

GOLDEN = Path(__file__).parent / "golden"
KINDS = ("llama", "llama-biases", "arcee", "gpt2")


def open_golden(kind, folder):
    """The numbers, after config.json and model.safetensors were put into `folder` as transformers wrote them."""
    with np.load(GOLDEN / f"{kind}.npz", allow_pickle=False) as opened:
        numbers = dict(opened)
    (folder / "config.json").write_bytes(numbers["config"].tobytes())
    tensors = {name.removeprefix("tensor "): array for name, array in numbers.items() if name.startswith("tensor ")}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return numbers, tensors


@pytest.mark.parametrize("kind", KINDS)
def test_logits_loss_gradients_and_text(kind, tmp_path):
    numbers, _ = open_golden(kind, tmp_path)
    model = toylm.TransformerLM.load(tmp_path)
    assert np.abs(model.forward(numbers["tokens"]) - numbers["logits"]).max() < 2e-5
    assert model.loss_and_gradients(numbers["tokens"], numbers["targets"]) == pytest.approx(float(numbers["loss"]), rel=1e-5)
    found = to_tensors(family_of(model.config).entries(model.config), model.gradients)
    wanted = {name.removeprefix("gradient "): g for name, g in numbers.items() if name.startswith("gradient ")}
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        scale = np.linalg.norm(gradient)
        # softmax does not see a shift of all keys: the gradient of their bias is 0 up to rounding
        assert np.linalg.norm(found[name] - gradient) < (1e-4 * scale if scale > 1e-6 else 1e-6), name
    assert model.generate_from_ids([3, 1, 4], 17) == numbers["text"].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_saved_again_every_tensor_has_the_same_bits(kind, tmp_path):
    (tmp_path / "theirs").mkdir()
    _, tensors = open_golden(kind, tmp_path / "theirs")
    toylm.TransformerLM.load(tmp_path / "theirs").save(tmp_path / "ours")
    ours = load_file(tmp_path / "ours" / "model.safetensors")
    assert ours.keys() == tensors.keys()
    for name, array in tensors.items():
        assert ours[name].dtype == array.dtype and np.array_equal(ours[name], array), name


def test_names_without_prefix_old_buffers_and_a_copied_head_are_understood(tmp_path):
    numbers, tensors = open_golden("gpt2", tmp_path)
    tensors = {name.removeprefix("transformer."): array for name, array in tensors.items()}
    tensors["h.0.attn.bias"] = np.ones((1, 1, 20, 20), np.float32)  # the causal mask
    tensors["lm_head.weight"] = tensors["wte.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    model = toylm.TransformerLM.load(tmp_path)
    assert np.abs(model.forward(numbers["tokens"]) - numbers["logits"]).max() < 2e-5
