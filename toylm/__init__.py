"""toylm trains small transformer language models on a CPU, fits them in closed form, and takes them apart.

    >>> import toylm
    >>> config = toylm.ModelConfig(vocab_size=512, d_model=64, d_ff=256, n_heads=4, n_layers=2, context_length=64)
    >>> model = toylm.TransformerLM(config, seed=0)
    >>> model.parameters.size
    137216

Importing toylm is instant: numba, scipy and matplotlib are loaded only when something needs them.
"""

from .lazy import lazy

__version__ = "0.1.0"

# Public name -> the module that defines it; resolved at first use (PEP 562).
_HOMES = {
    "Mat": "mat",
    "Parameters": "parameters",
    "ModelConfig": "config",
    "TransformerLM": "model.transformer",
    "check_gradients": "model.check",
    "SGD": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Muon": "optimizers",
    "clip_gradients": "optimizers",
    "save": "formats.checkpoint",
    "load": "formats.checkpoint",
}

__all__ = ["__version__", *_HOMES]

__getattr__, __dir__ = lazy(__name__, _HOMES)
