"""Live against PyTorch, on configurations that the golden files do not cover."""

import sys
from pathlib import Path

import numpy as np
import pytest

import toylm

pytestmark = pytest.mark.parity
sys.path.insert(0, str(Path(__file__).parent))

CONFIGURATIONS = [
    dict(vocab_size=61, d_model=24, d_ff=50, n_heads=3, n_layers=3, context_length=70, positions="rope"),
    dict(vocab_size=300, d_model=64, d_ff=256, n_heads=4, n_layers=2, context_length=130, positions="learned"),
    dict(vocab_size=33, d_model=10, d_ff=7, n_heads=5, n_layers=1, context_length=33, positions="rope", rope_theta=77.0),
]


@pytest.mark.parametrize("fields", CONFIGURATIONS)
def test_logits_gradients_and_steps(fields):
    import torch
    import twin

    config = toylm.ModelConfig(**fields)
    model = toylm.TransformerLM(config, seed=3)
    rng = np.random.default_rng(0)
    shape = (2, config.context_length)
    tokens, targets = rng.integers(0, config.vocab_size, shape), rng.integers(0, config.vocab_size, shape)
    targets[1, 5:] = -1
    x, y = torch.tensor(tokens), torch.tensor(targets)
    p = {name: torch.tensor(mat.array.astype(np.float64)) for name, mat in model.parameters.items()}
    np.testing.assert_allclose(model.forward(tokens), twin.forward(p, config.to_dict(), x).numpy(), atol=2e-5)
    expected, gradients = twin.gradients(p, config.to_dict(), x, y)
    assert model.loss_and_gradients(tokens, targets) == pytest.approx(expected, rel=1e-5)
    for name, mat in model.gradients.items():
        wanted = gradients[name].numpy()
        assert np.linalg.norm(mat.array - wanted) <= 1e-4 * np.linalg.norm(wanted), name
    model.gradients.zero_()
    p = {name: tensor.detach().clone() for name, tensor in p.items()}
    losses = twin.run("adamw", p, config.to_dict(), x, y)
    optimizer = toylm.AdamW(model.parameters, learning_rate=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    for expected in losses:
        assert model.loss_and_gradients(tokens, targets) == pytest.approx(expected, rel=1e-4)
        optimizer.step(model.gradients, max_norm=0.5)
        model.gradients.zero_()
