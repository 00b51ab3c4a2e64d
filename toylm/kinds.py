"""The kinds of activation, norm and position that a model may have: one line each, and the names that other formats give them.

A kind's arithmetic stands in reference.py (NumPy) and in the kernels' module that is named here. To add one: write its module, add
its line. What has no name in a format is saved in toylm's own (formats/own.py).
"""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind: `module` below toylm.kernels; `help` for a reader; `hugging_face`: its names in config.json, the first is written."""

    module: str
    help: str
    hugging_face: tuple = ()


FEED_FORWARDS = {
    "gelu": Kind("gelu", "GELU in its tanh form: act(x·W1)·W2", ("gelu_new", "gelu_pytorch_tanh")),
    "swiglu": Kind("swiglu", "(silu(x·Wg) * x·Wu)·W2, which makes a Llama model", ("silu", "swish")),
    "relu2": Kind("relu2", "max(x, 0)²", ("relu2",)),
    "silu": Kind("silu", "x · sigmoid(x)", ("silu", "swish")),
}
NORMS = {
    "rms": Kind("rmsnorm", "RMSNorm: x / sqrt(mean(x²) + eps), times a gain"),
    "layer": Kind("layernorm", "LayerNorm: the mean is taken off as well; a gain and a shift"),
}
POSITIONS = {
    "rope": Kind("rope", "rotary: pairs of values are turned by an angle that grows with the position"),
    "learned": Kind("embedding", "a trained vector a position, added to the embedding"),
}
