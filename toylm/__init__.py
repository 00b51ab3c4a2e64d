"""toylm trains small transformer language models on a CPU, fits them in closed form, and takes them apart.

    >>> import toylm
    >>> config = toylm.ModelConfig(vocab_size=512, d_model=64, d_ff=256, n_heads=4, n_layers=2, context_length=64)
    >>> model = toylm.TransformerLM(config, seed=0)
    >>> model.parameters.size
    137216

Importing toylm is instant: numba, scipy and matplotlib are loaded only when something needs them.
"""

import importlib

__version__ = "0.1.0"

# Public name -> the module that defines it; resolved at first use (PEP 562).
_HOMES = {
    "Mat": "toylm.mat",
    "Parameters": "toylm.parameters",
    "ModelConfig": "toylm.config",
    "TransformerLM": "toylm.model.transformer",
    "SGD": "toylm.optimizers",
    "Adam": "toylm.optimizers",
    "AdamW": "toylm.optimizers",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name):
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'toylm' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
