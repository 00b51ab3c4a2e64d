"""Make the golden numbers of tests/model/test_golden.py with PyTorch: python tests/model/golden/make_golden.py

A file for each kind of position: the parameters, a batch with unequal counted targets, logits, loss, gradients, and the
parameters after three clipped steps of SGD with momentum and of AdamW, all in float64 on toylm's flat layout.
"""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import twin  # noqa: E402

import toylm  # noqa: E402

HERE = Path(__file__).parent


def make(positions):
    config = toylm.ModelConfig(17, d_model=12, d_ff=20, n_heads=2, n_layers=2, context_length=9, positions=positions)
    model = toylm.TransformerLM(config, seed=5, precision="float64")
    rng = np.random.default_rng(7)
    model.parameters.flat[:] += 0.1 * rng.standard_normal(model.parameters.size)
    tokens, targets = rng.integers(0, 17, (3, 7)), rng.integers(0, 17, (3, 7))
    targets[0, 2:] = -1
    targets[2, :3] = -1

    def tensors():
        return {name: torch.tensor(mat.array.copy()) for name, mat in model.parameters.items()}

    def flat(named):
        return np.concatenate([named[name].detach().numpy().ravel() for name in model.parameters.names])

    x, y = torch.tensor(tokens), torch.tensor(targets)
    numbers = {"parameters": model.parameters.flat.copy(), "tokens": tokens, "targets": targets}
    numbers["logits"] = twin.forward(tensors(), config.to_dict(), x).numpy()
    value, grads = twin.gradients(tensors(), config.to_dict(), x, y)
    numbers["loss"], numbers["gradients"] = np.float64(value), flat(grads)
    for kind in ("sgd", "adamw"):
        p = tensors()
        numbers[f"{kind}_losses"] = np.array(twin.run(kind, p, config.to_dict(), x, y))
        numbers[f"{kind}_parameters"] = flat(p)
    np.savez_compressed(HERE / f"{positions}.npz", **numbers)


if __name__ == "__main__":
    for positions in ("learned", "rope"):
        make(positions)
