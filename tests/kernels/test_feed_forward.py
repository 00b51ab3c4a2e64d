"""The feed-forward kernel, which keeps rows in the cache between two products, and the activations, against the reference."""

import numpy as np
import pytest

from toylm import reference
from toylm.kernels.activations import activation_backward, activation_forward
from toylm.kernels.feed_forward import feed_forward_backward, feed_forward_forward
from toylm.kinds import FEED_FORWARDS

SIZES = [(1, 1, 1), (5, 7, 33), (97, 48, 64), (101, 33, 301), (250, 65, 515)]  # N, d, ff
PRECISIONS = ["float32", "float64", pytest.param("bf16", marks=pytest.mark.bf16)]


def normal(shape, precision, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float64 if precision == "float64" else np.float32)


def close(actual, expected, precision):
    bound = {"float32": 2e-5, "float64": 1e-13, "bf16": 3e-2}[precision]  # bf16 rounds at 2^-9, hidden values among the rest
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound * max(1.0, np.abs(expected).max()))


def exact(x):
    return x.astype(np.float64)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("kind", FEED_FORWARDS)
@pytest.mark.parametrize("N, ff", [(1, 1), (3, 7), (17, 33), (40, 131)])
def test_activations(N, ff, kind, precision):
    width = ff * (1 + FEED_FORWARDS[kind].gated)
    pre, dhidden = 3 * normal((N, width), precision, 0), normal((N, ff), precision, 1)
    forward, backward = reference.ACTIVATIONS[kind]
    close(activation_forward(kind, pre, np.full_like(dhidden, np.nan)), forward(exact(pre)), precision)
    hidden, dpre, before = np.full_like(dhidden, np.nan), np.full_like(pre, np.nan), dhidden.copy()
    activation_backward(kind, dhidden, pre, hidden, dpre)
    close(hidden, forward(exact(pre)), precision)
    close(dpre, backward(exact(dhidden), exact(pre)), precision)
    np.testing.assert_array_equal(dhidden, before)
    if not FEED_FORWARDS[kind].gated:
        activation_backward(kind, dhidden, pre, hidden, dhidden)
        np.testing.assert_array_equal(dhidden, dpre)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", FEED_FORWARDS)
@pytest.mark.parametrize("N, d, ff", SIZES)
def test_feed_forward(N, d, ff, kind, precision):
    bf16, width = precision == "bf16", ff * (1 + FEED_FORWARDS[kind].gated)
    h, residual, dout = (normal((N, d), precision, seed) for seed in (0, 1, 2))
    w1, w2 = normal((d, width), precision, 3), normal((ff, d), precision, 4)
    w1, w2 = w1 / np.sqrt(d).astype(w1.dtype), w2 / np.sqrt(ff).astype(w2.dtype)
    b1, b2 = normal(width, precision, 5), normal(d, precision, 6)
    forward, backward = reference.ACTIVATIONS[kind]
    pre, out = np.full((N, width), np.nan, h.dtype), np.full((N, d), np.nan, h.dtype)
    for biases, added in (((None, None), None), ((b1, b2), residual)):
        feed_forward_forward(kind, h, (w1, biases[0], w2, biases[1]), pre, out, added, bf16)
        values = [0.0 if b is None else exact(b) for b in biases]
        pre_here = exact(h) @ exact(w1) + values[0]
        close(pre, pre_here, precision)
        close(out, forward(pre_here) @ exact(w2) + values[1] + (0 if added is None else exact(added)), precision)
    hidden, dpre, dh = (np.full(shape, np.nan, h.dtype) for shape in ((N, ff), (N, width), (N, d)))
    feed_forward_backward(kind, dout, pre, (w1, w2), hidden, dpre, dh, bf16)
    dpre_here = backward(exact(dout) @ exact(w2).T, exact(pre))
    close(hidden, forward(exact(pre)), precision)
    close(dpre, dpre_here, precision)
    close(dh, dpre_here @ exact(w1).T, precision)
