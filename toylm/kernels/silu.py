"""SiLU (Elfwing et al. 2017; "swish"): x · sigmoid(x)."""

from .jit import device_function
from .tile import cast
from .vectors import LOG2E, exp2


@device_function
def value_and_slope(like, v):
    """silu(v) = v s and its derivative s + v s (1 - s), with s = sigmoid(v)."""
    one = cast(like, 1)
    s = one / (one + exp2(cast(like, -LOG2E) * v))
    return v * s, s + v * s * (one - s)
