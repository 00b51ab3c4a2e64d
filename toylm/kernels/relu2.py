"""Squared ReLU (So et al. 2021, "Primer"): max(x, 0)²."""

from .jit import device_function
from .tile import cast


@device_function
def value_and_slope(like, v):
    """max(v, 0)² and its derivative 2 max(v, 0)."""
    positive = v if v > 0 else cast(like, 0)
    return v * positive, cast(like, 2) * positive
