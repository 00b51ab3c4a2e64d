import numpy as np
import pytest

from toylm import reference
from toylm.kernels import norm, rope
from toylm.kernels.attention import (
    Kept,
    NormStep,
    attention_backward,
    attention_backward_with_projections,
    attention_forward,
    projection_gradients_fit,
)
from toylm.kernels.memory import scratch
from toylm.threads import get_threads, set_threads

# (B, T, H, K, h): one token, below, at and beyond a block of query rows, heads wider and narrower than a tile; the last four
# share their keys and values in groups
SHAPES = [(1, 1, 1, 1, 2), (2, 3, 1, 1, 5), (1, 31, 2, 2, 8), (2, 49, 3, 3, 16), (1, 128, 2, 2, 32), (1, 97, 1, 1, 40),
          (1, 130, 2, 2, 64), (1, 1, 2, 1, 2), (2, 49, 6, 2, 8), (3, 61, 4, 1, 16), (1, 97, 6, 3, 40)]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("B, T, H, K, h", SHAPES)
def test_equals_the_whole_matrix(B, T, H, K, h, dtype):
    rng = np.random.default_rng(T)
    qkv, dz = (rng.standard_normal((B * T, n * h)).astype(dtype) for n in (H + 2 * K, H))
    z, log_sums = np.full_like(dz, np.nan), np.full((B * T, H), np.nan, dtype)
    stored, dqkv = np.full((B, H, T, T), np.nan, dtype), np.full_like(qkv, np.nan)
    attention_forward(qkv, z, log_sums, T, H, stored)
    attention_backward(qkv, z, dz, log_sums, dqkv, T, H)
    expected, probabilities = reference.attention_forward(qkv.astype(float), T, H, K)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(z, expected, atol=tolerance)
    np.testing.assert_allclose(stored, probabilities, atol=tolerance)
    expected_dqkv = reference.attention_backward(dz.astype(float), qkv.astype(float), probabilities, T, H, K)
    np.testing.assert_allclose(dqkv, expected_dqkv, atol=tolerance)


@pytest.mark.parametrize("precision", ["float32", "float64", pytest.param("bf16", marks=pytest.mark.bf16)])
@pytest.mark.parametrize("kind", ["rms", "layer"])
@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("B, T, H, K, h, d", [(1, 1, 1, 1, 2, 3), (3, 31, 2, 2, 8, 20), (4, 128, 4, 2, 16, 64), (2, 97, 3, 1, 6, 9)]
                         )  # fmt: skip
def test_backward_from_behind_the_projections_to_before_the_norm(B, T, H, K, h, d, rotary, kind, precision):
    rng, dtype = np.random.default_rng(T), np.float64 if precision == "float64" else np.float32
    N, n, rows = B * T, (H + 2 * K) * h, norm.norm_rows(kind, np.dtype(dtype))
    x, dout = rng.standard_normal((N, d)).astype(dtype) + dtype(0.5), rng.standard_normal((N, d)).astype(dtype)
    gamma, beta = rng.standard_normal((2, d)).astype(dtype)
    normed, rstd = np.empty_like(x), np.empty(N, dtype)
    w_qkv, w_o = (rng.standard_normal(shape).astype(dtype) / np.sqrt(shape[0]).astype(dtype) for shape in ((d, n), (H * h, d)))
    norm.norm_forward(rows.forward, x, gamma, beta, 0.1, normed, rstd)
    qkv, z, logs = normed @ w_qkv, np.empty((N, H * h), dtype), np.empty((N, H), dtype)
    tables = rope.tables(T + 3, h, 10000.0, dtype)
    if rotary:
        rope.rotate(qkv, *tables, T, H + K, h, 1)
    attention_forward(qkv, z, logs, T, H)

    vectors = (gamma, beta) if kind == "layer" else (gamma,)
    dx, gradients = dout.copy(), [np.ones_like(w.reshape(-1)) for w in (w_qkv, w_o, *vectors)]
    for name in scratch.sizes():
        scratch.array(name, (scratch.sizes()[name],))[:] = 255  # NaN, as the values of float32 and float64
    attention_backward_with_projections(
        Kept(qkv, z, logs, T, H), dx, dx, (w_qkv, w_o), NormStep(rows, normed, x, gamma, rstd), gradients,
        (*tables, H + K) if rotary else None, precision == "bf16",
    )  # fmt: skip

    out, exact = dout.astype(float), qkv.astype(float)
    weights, h_rows, x64 = (w_qkv.astype(float), w_o.astype(float)), normed.astype(float), x.astype(float)
    _, probabilities = reference.attention_forward(exact, T, H, K)
    dqkv = reference.attention_backward(out @ weights[1].T, exact, probabilities, T, H, K)
    if rotary:
        dqkv[:, : (H + K) * h] = reference.rope_backward(dqkv[:, : (H + K) * h], T, h)
    added = [np.zeros(d) for _ in vectors]
    backward = reference.layernorm_backward if kind == "layer" else reference.rmsnorm_backward
    change = backward(dqkv @ weights[0].T, x64, gamma.astype(float), *added, 0.1)
    expected = (h_rows.T @ dqkv, z.astype(float).T @ out, *added)
    bound = {"float32": 1e-5, "float64": 1e-13, "bf16": 3e-2}[precision]
    for actual, wanted in ((dx, out + change), *((g, 1 + e.reshape(-1)) for g, e in zip(gradients, expected))):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=bound * max(1, np.abs(wanted).max()))


def test_projections_join_the_backward_pass_where_they_are_small_and_sequences_can_be_shared_out():
    before = get_threads()
    try:
        set_threads(1)
        assert projection_gradients_fit(64, 192, 64, 4, 3, 128)
        assert not projection_gradients_fit(256, 768, 256, 4, 3, 128)  # weights too large
        assert not projection_gradients_fit(64, 192, 64, 4, 3, 4096)  # sequences too long
    finally:
        set_threads(before)


def test_shared_heads_add_their_gradients_in_one_order():
    rng = np.random.default_rng(3)
    B, T, H, K, h = 2, 70, 6, 2, 8
    qkv, dz = (rng.standard_normal((B * T, n * h)).astype(np.float32) for n in (H + 2 * K, H))
    z, logs = np.empty((B * T, H * h), np.float32), np.empty((B * T, H), np.float32)
    before, found = get_threads(), []
    try:
        for threads in (1, before):
            set_threads(threads)
            attention_forward(qkv, z, logs, T, H)
            found.append(np.empty_like(qkv))
            attention_backward(qkv, z, dz, logs, found[-1], T, H)
    finally:
        set_threads(before)
    np.testing.assert_array_equal(*found)


def test_no_position_sees_a_later_one():
    rng = np.random.default_rng(0)
    qkv = rng.standard_normal((60, 48)).astype(np.float32)
    z, logs = np.empty((60, 16), np.float32), np.empty((60, 2), np.float32)
    attention_forward(qkv, z, logs, 60, 2)
    changed, z2 = qkv.copy(), np.empty_like(z)
    changed[40:] += 1
    attention_forward(changed, z2, logs, 60, 2)
    np.testing.assert_array_equal(z[:40], z2[:40])
    assert (z[40:] != z2[40:]).any(axis=1).all()


@pytest.mark.bf16
@pytest.mark.parametrize("T, H, K, h", [(1, 1, 1, 8), (50, 2, 2, 7), (131, 4, 2, 32)])
def test_bf16_stays_within_its_rounding(T, H, K, h):
    rng = np.random.default_rng(T)
    qkv, dz = (rng.standard_normal((2 * T, n * h)).astype(np.float32) for n in (H + 2 * K, H))
    z, logs, dqkv = np.empty((2 * T, H * h), np.float32), np.empty((2 * T, H), np.float32), np.empty_like(qkv)
    attention_forward(qkv, z, logs, T, H, bf16=True)
    attention_backward(qkv, z, dz, logs, dqkv, T, H, bf16=True)
    expected, probabilities = reference.attention_forward(qkv.astype(float), T, H, K)
    dexpected = reference.attention_backward(dz.astype(float), qkv.astype(float), probabilities, T, H, K)
    for actual, exact in ((z, expected), (dqkv, dexpected)):
        error = np.linalg.norm(actual - exact) / np.linalg.norm(exact)
        assert error < 0.01  # a value is rounded to 2^-9 of itself, and errors of many add up as their root
    plain = np.empty_like(z)
    attention_forward(qkv, plain, logs, T, H)
    assert (z != plain).any()
