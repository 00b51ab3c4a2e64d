"""Loss, logits, gradients and three optimizer steps equal PyTorch's; the numbers were made by golden/make_golden.py."""

from pathlib import Path

import numpy as np
import pytest

import toylm

GOLDEN = Path(__file__).parent / "golden"


def load(positions, precision):
    numbers = np.load(GOLDEN / f"{positions}.npz", allow_pickle=False)
    config = toylm.ModelConfig(17, d_model=12, d_ff=20, n_heads=2, n_layers=2, context_length=9, positions=positions)
    model = toylm.TransformerLM(config, precision=precision)
    model.parameters.flat[:] = numbers["parameters"]
    return model, numbers


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-12), ("float32", 2e-6)])
@pytest.mark.parametrize("positions", ["learned", "rope"])
def test_logits_loss_and_gradients(positions, precision, tolerance):
    model, golden = load(positions, precision)
    np.testing.assert_allclose(model.forward(golden["tokens"]), golden["logits"], atol=4 * tolerance)
    loss = model.loss_and_gradients(golden["tokens"], golden["targets"])
    assert loss == pytest.approx(float(golden["loss"]), rel=tolerance)
    assert model.loss(golden["tokens"], golden["targets"]) == pytest.approx(float(golden["loss"]), rel=tolerance)
    difference = np.linalg.norm(model.gradients.flat - golden["gradients"]) / np.linalg.norm(golden["gradients"])
    assert difference < tolerance


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-11), ("float32", 2e-5)])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("positions", ["learned", "rope"])
def test_three_clipped_steps(positions, kind, precision, tolerance):
    model, golden = load(positions, precision)
    if kind == "sgd":
        optimizer = toylm.SGD(model.parameters, learning_rate=0.1, momentum=0.9)
    else:
        optimizer = toylm.AdamW(model.parameters, learning_rate=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    losses = []
    for _ in range(3):
        losses.append(model.loss_and_gradients(golden["tokens"], golden["targets"]))
        optimizer.step(model.gradients, max_norm=0.5)
        model.gradients.zero_()
    np.testing.assert_allclose(losses, golden[f"{kind}_losses"], rtol=tolerance)
    np.testing.assert_allclose(model.parameters.flat, golden[f"{kind}_parameters"], atol=tolerance * 10)
