"""The kernels that keep rows in the cache between a norm, a product, an activation and another product."""

import numpy as np
import pytest

from toylm.kernels.feed_forward import (
    KINDS,
    feed_forward_backward,
    feed_forward_backward_with_weights,
    feed_forward_forward,
    feed_forward_reference,
)
from toylm.kernels.gelu import gelu_backward_reference
from toylm.kernels.layernorm import layernorm_reference
from toylm.kernels.matmul_bf16 import round_to_bf16
from toylm.kernels.norm_projection import LAYER, RMS, norm_projection, norm_projection_reference
from toylm.kernels.relu2 import relu2_backward_reference
from toylm.kernels.rmsnorm import rmsnorm_backward_reference, rmsnorm_forward, rmsnorm_reference
from toylm.kernels.silu import silu_backward_reference
from toylm.kernels.swiglu import swiglu_backward_reference
from toylm.threads import get_threads

SIZES = [(1, 1, 1), (5, 7, 33), (97, 48, 64), (101, 33, 301), (250, 65, 515)]  # N, d, ff
PRECISIONS = [
    "float32",
    "float64",
    pytest.param("bf16", marks=pytest.mark.bf16),
]


def normal(shape, precision, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float64 if precision == "float64" else np.float32)


def close(actual, expected, precision):
    bound = {"float32": 2e-5, "float64": 1e-13, "bf16": 3e-2}[precision]  # bf16 rounds at 2^-9, hidden values among the rest
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound * max(1.0, np.abs(expected).max()))


def exact(x):
    return x.astype(np.float64)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("N, d, ff", SIZES)
def test_norm_projection(N, d, ff, precision):
    x, gamma, beta = normal((N, d), precision, 0), normal(d, precision, 1), normal(d, precision, 2)
    w, bias = normal((d, ff), precision, 3) / np.sqrt(d).astype(x.dtype), normal(ff, precision, 4)
    for kind, bias_here in ((RMS, None), (LAYER, bias)):
        h, rstd, y = np.full_like(x, np.nan), np.full(N, np.nan, x.dtype), np.full((N, ff), np.nan, x.dtype)
        norm_projection((kind, gamma, beta, 1e-5), x, h, rstd, w, y, bias_here, precision == "bf16")
        reference = rmsnorm_reference(exact(x), exact(gamma)) if kind == RMS else layernorm_reference(
            exact(x), exact(gamma), exact(beta))  # fmt: skip
        close(h, reference, "float32" if precision == "bf16" else precision)
        rounded = (round_to_bf16(h), round_to_bf16(w)) if precision == "bf16" else (h, w)
        expected = norm_projection_reference(*map(exact, rounded), 0 if bias_here is None else exact(bias))
        close(y, expected, "float32" if precision == "bf16" else precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("N, d, ff", SIZES)
def test_feed_forward(N, d, ff, kind, precision):
    bf16, width = precision == "bf16", ff * (2 if kind == "swiglu" else 1)
    h, residual, dout = (normal((N, d), precision, seed) for seed in (0, 1, 2))
    w1, w2 = normal((d, width), precision, 3), normal((ff, d), precision, 4)
    w1, w2 = w1 / np.sqrt(d).astype(w1.dtype), w2 / np.sqrt(ff).astype(w2.dtype)
    b1, b2 = normal(width, precision, 5), normal(d, precision, 6)
    pre, out = np.full((N, width), np.nan, h.dtype), np.full((N, d), np.nan, h.dtype)
    for biases, added in (((None, None), None), ((b1, b2), residual)):
        feed_forward_forward(kind, h, w1, w2, pre, out, added, *biases, bf16=bf16)
        values = [0.0 if b is None else exact(b) for b in biases]
        pre_here, hidden_here, out_here = feed_forward_reference(kind, exact(h), exact(w1), exact(w2), *values)
        close(pre, pre_here, precision)
        close(out, out_here + (0 if added is None else exact(added)), precision)
    hidden, dpre, dh = (np.full(shape, np.nan, h.dtype) for shape in ((N, ff), (N, width), (N, d)))
    feed_forward_backward(kind, dout, pre, w1, w2, hidden, dpre, dh, bf16)
    dhidden = exact(dout) @ exact(w2).T
    backward = {"gelu": gelu_backward_reference, "relu2": relu2_backward_reference, "silu": silu_backward_reference,
                "swiglu": swiglu_backward_reference}[kind]  # fmt: skip
    dpre_here = backward(dhidden, exact(pre))
    close(hidden, hidden_here, precision)
    close(dpre, dpre_here, precision)
    close(dh, dpre_here @ exact(w1).T, precision)
    # the same with the weights' gradients, and back through the norm before: all added to what is there
    x, gamma, rstd = normal((N, d), precision, 7), normal(d, precision, 8), np.empty(N, h.dtype)
    rmsnorm_forward(x, gamma, 1e-5, np.empty_like(x), rstd)
    dx, gradients = dout.copy(), [np.ones_like(w) for w in (w1, w2, gamma)]
    sums = np.full(get_threads() * (w1.size + w2.size + d), np.nan, h.dtype)
    feed_forward_backward_with_weights(kind, dx, pre, w1, w2, h, (x, gamma, rstd), dx, gradients, sums, bf16)
    change, dgamma = rmsnorm_backward_reference(exact(dh), exact(x), exact(gamma))
    close(dx, exact(dout) + change, precision)
    expected = (exact(h).T @ exact(dpre), exact(hidden).T @ exact(dout), dgamma)
    for found, product in zip(gradients, expected):
        close(found, 1 + product, precision)


def test_norm_inside_the_feed_forward_writes_the_rows_that_the_norm_writes():
    N, d, ff = 131, 24, 70
    x, gamma = normal((N, d), "float32", 0), normal(d, "float32", 1)
    w1, w2 = normal((d, ff), "float32", 2), normal((ff, d), "float32", 3)
    h, out, again = (np.empty_like(x) for _ in range(3))
    rstd, pre = np.empty(N, x.dtype), np.empty((N, ff), x.dtype)
    feed_forward_forward("gelu", h, w1, w2, pre, out, x, norm=(RMS, x, gamma, gamma, 1e-5, rstd))
    close(h, rmsnorm_reference(exact(x), exact(gamma)), "float32")
    feed_forward_forward("gelu", h, w1, w2, pre, again, x)
    np.testing.assert_array_equal(out, again)
