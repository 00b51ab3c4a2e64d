"""Mish (Misra 2019), x · tanh(log(1 + e^x)), as an activation of one's own: one file, and one line in kinds.FEED_FORWARDS."""

from toylm.kernels.jit import device_function
from toylm.kernels.tile import cast
from toylm.kernels.vectors import LOG2E, exp2


@device_function
def mish(like, v):
    """With e = exp(v) and n = e (e + 2): tanh(log(1 + e)) = n / (n + 2), and its derivative is 4 e (e + 1) / (n + 2)²."""
    e = exp2(cast(like, LOG2E) * (v if v < 20 else cast(like, 20)))  # from 20 on the ratio is 1
    n, two = e * (e + cast(like, 2)), cast(like, 2)
    ratio = n / (n + two)
    return v * ratio, ratio + v * cast(like, 4) * e * (e + cast(like, 1)) / ((n + two) * (n + two))
