"""GELU, tanh form (Hendrycks & Gimpel 2016): 0.5 x (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x³).

Written as x · sigmoid(2u), the same function with one exponential and no cancellation.
"""

import math

from .jit import device_function
from .tile import cast
from .vectors import LOG2E, exp2

C = math.sqrt(2.0 / math.pi)
K = 0.044715


@device_function
def value_and_slope(like, v):
    """gelu(v) = v s and gelu'(v) = s + v s (1 - s) · 2 du/dv, with s = sigmoid(2u)."""
    c2, k, one = cast(like, -2.0 * C * LOG2E), cast(like, -2.0 * C * LOG2E * K), cast(like, 1)
    slope, slope_k = cast(like, 2.0 * C), cast(like, 6.0 * C * K)
    s = one / (one + exp2(v * (c2 + k * (v * v))))
    value = v * s
    return value, s + value * (one - s) * (slope + slope_k * v * v)
