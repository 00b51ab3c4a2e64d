"""Activations: what a value becomes, one @device_function a kind (kinds.FEED_FORWARDS), and the kernels over rows made of it.

An activation is a function (like, v) -> (act(v), act'(v)) in the dtype of `like`, such as `gelu` below. Of it two functions over
rows are made, which all kernels call by address: feed_forward.py, decode.py and the two at the end. A gated kind (SwiGLU)
multiplies: hidden = act(gate) · up, with pre = (gate | up).
"""

import functools
import math
from typing import NamedTuple

from numba import from_dtype, types

from ..kinds import FEED_FORWARDS
from .jit import c_function, call, device_function, parallel, rows_of, start_of, with_globals
from .tile import cast, load, store
from .vectors import LOG2E, exp2

GELU_SCALE, GELU_CUBE = math.sqrt(2.0 / math.pi), 0.044715


@device_function
def gelu(like, v):
    """GELU in its tanh form (Hendrycks & Gimpel 2016), 0.5 v (1 + tanh u) with u = sqrt(2/pi) (v + 0.044715 v³).

    Written as v s with s = sigmoid(2u), the same function with one exponential and no cancellation; the derivative is
    s + v s (1 - s) · 2 du/dv.
    """
    c2, k, one = cast(like, -2.0 * GELU_SCALE * LOG2E), cast(like, -2.0 * GELU_SCALE * LOG2E * GELU_CUBE), cast(like, 1)
    slope, slope_k = cast(like, 2.0 * GELU_SCALE), cast(like, 6.0 * GELU_SCALE * GELU_CUBE)
    s = one / (one + exp2(v * (c2 + k * (v * v))))
    value = v * s
    return value, s + value * (one - s) * (slope + slope_k * v * v)


@device_function
def silu(like, v):
    """SiLU (Elfwing et al. 2017; "swish"): v s and its derivative s + v s (1 - s), with s = sigmoid(v)."""
    one = cast(like, 1)
    s = one / (one + exp2(cast(like, -LOG2E) * v))
    return v * s, s + v * s * (one - s)


@device_function
def relu2(like, v):
    """Squared ReLU (So et al. 2021, "Primer"): max(v, 0)² and its derivative 2 max(v, 0)."""
    positive = v if v > 0 else cast(like, 0)
    return v * positive, cast(like, 2) * positive


# -- over rows -------------------------------------------------------------------------------------------------------------


class ActivationRows(NamedTuple):
    """Addresses of forward(like, pre, up, hidden, n) and backward(like, dhidden, pre, up, hidden, dpre, dup, n), whose arguments
    are addresses but for `like` and n. A kind that is not gated reads no up and writes no dup."""

    forward: int
    backward: int


def _forward(like, pre, up, hidden, n):
    for j in range(n):
        store(_value_and_slope(like, load(like, pre, j))[0], hidden, j)  # noqa: F821 - see activation_rows


def _backward(like, dhidden, pre, up, hidden, dpre, dup, n):
    for j in range(n):
        value, slope = _value_and_slope(like, load(like, pre, j))  # noqa: F821
        store(value, hidden, j)
        store(load(like, dhidden, j) * slope, dpre, j)


def _gated_forward(like, pre, up, hidden, n):
    for j in range(n):
        store(_value_and_slope(like, load(like, pre, j))[0] * load(like, up, j), hidden, j)  # noqa: F821


def _gated_backward(like, dhidden, pre, up, hidden, dpre, dup, n):
    for j in range(n):
        value, slope = _value_and_slope(like, load(like, pre, j))  # noqa: F821
        d, u = load(like, dhidden, j), load(like, up, j)
        store(value * u, hidden, j)
        store(d * value, dup, j)
        store(d * u * slope, dpre, j)


@functools.cache
def activation_rows(kind, dtype):
    """The ActivationRows of a kind in kinds.FEED_FORWARDS."""
    found, like = FEED_FORWARDS[kind], from_dtype(dtype)
    scalar = found.load()
    functions = (_gated_forward, _gated_backward) if found.gated else (_forward, _backward)
    made = [with_globals(f, scalar.py_func, f.__name__, _value_and_slope=scalar) for f in functions]
    return ActivationRows(*(c_function(f, like, *[types.int64] * n) for f, n in zip(made, (4, 7))))


@parallel
def _rows_forward(row_forward, pre, hidden, threads, thread):
    n, (start, stop) = hidden.shape[1], rows_of(hidden.shape[0], threads, thread)
    for i in range(start, stop):
        call(row_forward, (pre.dtype.type(0), start_of(pre[i]), start_of(pre[i, n:]), start_of(hidden[i]), n))


@parallel
def _rows_backward(row_backward, dhidden, pre, hidden, dpre, threads, thread):
    n, (start, stop) = hidden.shape[1], rows_of(hidden.shape[0], threads, thread)
    for i in range(start, stop):
        call(row_backward, (pre.dtype.type(0), start_of(dhidden[i]), start_of(pre[i]), start_of(pre[i, n:]), start_of(hidden[i]),
                            start_of(dpre[i]), start_of(dpre[i, n:]), n))  # fmt: skip


def activation_forward(kind, pre, hidden):
    """hidden (N, ff) = act(pre) (N, ff), or act(gate) · up of pre (N, 2 ff) for a gated kind. Rows contiguous. Returns hidden."""
    _rows_forward(activation_rows(kind, pre.dtype).forward, pre, hidden)
    return hidden


def activation_backward(kind, dhidden, pre, hidden, dpre):
    """dpre = gradient of pre, and hidden as in the forward pass; both overwritten. dhidden, hidden: (N, ff); dpre is as wide as
    pre, and may be dhidden where the kind is not gated."""
    _rows_backward(activation_rows(kind, pre.dtype).backward, dhidden, pre, hidden, dpre)
