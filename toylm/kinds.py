"""The kinds of activation, norm and position that a model may have: one line each, and the names that other formats give them.

To add one, write its functions in a file and add its line; the feed-forward part, the norms, rotary positions, the decoder and the
configuration's checks all go by these tables. What an activation is, kernels/activations.py describes, a norm kernels/norm.py,
rotary positions kernels/rope.py. What has no name in a format is saved in toylm's own.
"""

import importlib
from typing import NamedTuple


class Kind(NamedTuple):
    """`home`: "module:name" in toylm.kernels, or "package.module:name"; `help` for a reader; `hugging_face`: its names in
    config.json, the first is written."""

    home: str
    help: str
    hugging_face: tuple = ()
    gated: bool = False  # of an activation: W1 is (d, 2 ff) and hidden = act(gate) · up
    shift: bool = False  # of a norm: beside the gain gamma there is a shift, beta
    rotary: bool = False  # of positions: queries and keys are rotated by its tables(length, d_head, theta, dtype)
    learned: bool = False  # of positions: a vector a position, pos_embed, is added to the embedding

    def load(self):
        """What `home` names, imported."""
        module, _, name = self.home.partition(":")
        return getattr(importlib.import_module(module if "." in module else f"toylm.kernels.{module}"), name)


FEED_FORWARDS = {
    "gelu": Kind("activations:gelu", "GELU in its tanh form: act(x·W1)·W2", ("gelu_new", "gelu_pytorch_tanh")),
    "swiglu": Kind("activations:silu", "(silu(x·Wg) * x·Wu)·W2, which makes a Llama model", ("silu", "swish"), gated=True),
    "relu2": Kind("activations:relu2", "max(x, 0)²", ("relu2",)),
    "silu": Kind("activations:silu", "x · sigmoid(x)", ("silu", "swish")),
}
NORMS = {
    "rms": Kind("norm:rms", "RMSNorm: x / sqrt(mean(x²) + eps), times a gain"),
    "layer": Kind("norm:layer", "LayerNorm: the mean is taken off as well; a gain and a shift", shift=True),
}
POSITIONS = {
    "rope": Kind("rope:tables", "rotary: pairs of values are rotated by an angle that grows with the position", rotary=True),
    "learned": Kind("embedding:embedding_forward", "a trained vector a position, added to the embedding", learned=True),
}
