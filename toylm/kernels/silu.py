"""SiLU (Elfwing et al. 2017; "swish"): x · sigmoid(x)."""

import numpy as np

from .fastmath import LOG2E, exp2
from .jit import inner
from .parallel import parallel
from .rows import rows_of
from .simd import cast


@inner
def silu_value(zero, v):
    """silu(v), in the dtype of `zero`."""
    return v / (cast(zero, 1) + exp2(cast(zero, -LOG2E) * v))


@inner
def silu_value_and_slope(zero, v):
    """silu(v) = v s and its derivative s + v s (1 - s), with s = sigmoid(v)."""
    one = cast(zero, 1)
    s = one / (one + exp2(cast(zero, -LOG2E) * v))
    return v * s, s + v * s * (one - s)


@parallel
def silu_forward(x, y, threads, thread):
    """y = silu(x); x, y: (n,)."""
    zero = x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    xs, ys = x[start:stop], y[start:stop]
    for i in range(xs.shape[0]):
        ys[i] = silu_value(zero, xs[i])


@parallel
def silu_backward(dy, x, threads, thread):
    """dy becomes dx = dy · silu'(x); dy, x: (n,)."""
    zero = x.dtype.type(0)
    start, stop = rows_of(x.shape[0], threads, thread)
    xs, dys = x[start:stop], dy[start:stop]
    for i in range(xs.shape[0]):
        dys[i] *= silu_value_and_slope(zero, xs[i])[1]


def silu_reference(x):
    return x / (1 + np.exp(-x))


def silu_backward_reference(dy, x):
    s = 1 / (1 + np.exp(-x))
    return dy * (s + x * s * (1 - s))
