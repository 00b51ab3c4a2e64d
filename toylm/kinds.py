"""The kinds of activation, norm and position that a model may have: one line each, and the names that other formats give them.

To add one, write its module and add its line; the feed-forward part, the norms, rotary positions, the decoder and the
configuration's checks all go by these tables. An activation's module is described in kernels/activations.py, a norm's in
kernels/norm.py, that of rotary positions is kernels/rope.py. What has no name in a format is saved in toylm's own.
"""

import importlib
from typing import NamedTuple


class Kind(NamedTuple):
    """`module`: in toylm.kernels, or a full name; `help` for a reader; `hugging_face`: its names in config.json, the first is
    written."""

    module: str
    help: str
    hugging_face: tuple = ()
    gated: bool = False  # of an activation: W1 is (d, 2 ff) and hidden = act(gate) · up
    shift: bool = False  # of a norm: beside the gain gamma there is a shift, beta
    rotary: bool = False  # of positions: queries and keys are rotated by the module's tables(length, d_head, theta, dtype)
    learned: bool = False  # of positions: a vector a position, pos_embed, is added to the embedding

    def load(self):
        """The module, imported."""
        return importlib.import_module(self.module if "." in self.module else f"toylm.kernels.{self.module}")


FEED_FORWARDS = {
    "gelu": Kind("gelu", "GELU in its tanh form: act(x·W1)·W2", ("gelu_new", "gelu_pytorch_tanh")),
    "swiglu": Kind("silu", "(silu(x·Wg) * x·Wu)·W2, which makes a Llama model", ("silu", "swish"), gated=True),
    "relu2": Kind("relu2", "max(x, 0)²", ("relu2",)),
    "silu": Kind("silu", "x · sigmoid(x)", ("silu", "swish")),
}
NORMS = {
    "rms": Kind("rmsnorm", "RMSNorm: x / sqrt(mean(x²) + eps), times a gain"),
    "layer": Kind("layernorm", "LayerNorm: the mean is taken off as well; a gain and a shift", shift=True),
}
POSITIONS = {
    "rope": Kind("rope", "rotary: pairs of values are rotated by an angle that grows with the position", rotary=True),
    "learned": Kind("embedding", "a trained vector a position, added to the embedding", learned=True),
}
