import numpy as np
import pytest

from toylm.kernels.attention import (
    attention_backward,
    attention_backward_reference,
    attention_backward_with_projections,
    attention_forward,
    attention_reference,
    projection_gradients_fit,
)
from toylm.kernels.rmsnorm import rmsnorm_backward_reference, rmsnorm_forward
from toylm.kernels.rope import rope_forward, rope_reference, rope_tables
from toylm.threads import get_threads

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
    expected, probabilities = attention_reference(qkv.astype(float), T, H, K)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(z, expected, atol=tolerance)
    np.testing.assert_allclose(stored, probabilities, atol=tolerance)
    np.testing.assert_allclose(dqkv, attention_backward_reference(qkv.astype(float), dz, T, H, K), atol=tolerance)


@pytest.mark.parametrize("precision", ["float32", "float64", pytest.param("bf16", marks=pytest.mark.bf16)])
@pytest.mark.parametrize("rope", [False, True])
@pytest.mark.parametrize("B, T, H, K, h, d", [(1, 1, 1, 1, 2, 3), (3, 31, 2, 2, 8, 20), (4, 128, 4, 2, 16, 64), (2, 97, 3, 1, 6, 9)]
                         )  # fmt: skip
def test_backward_from_behind_the_projections_to_before_the_norm(B, T, H, K, h, d, rope, precision):
    rng, dtype = np.random.default_rng(T), np.float64 if precision == "float64" else np.float32
    N, n = B * T, (H + 2 * K) * h
    x, dout, normed = (rng.standard_normal((N, d)).astype(dtype) for _ in range(3))
    gamma, rstd = rng.standard_normal(d).astype(dtype), np.empty(N, dtype)
    w_qkv, w_o = (rng.standard_normal(shape).astype(dtype) / np.sqrt(shape[0]).astype(dtype) for shape in ((d, n), (H * h, d)))
    rmsnorm_forward(x, gamma, 1e-5, normed, rstd)
    qkv, z, logs = normed @ w_qkv, np.empty((N, H * h), dtype), np.empty((N, H), dtype)
    tables = rope_tables(T + 3, h, 10000.0, dtype)
    if rope:
        rope_forward(qkv, *tables, T, H + K, h, 1)
    attention_forward(qkv, z, logs, T, H)

    dx, gradients = dout.copy(), [np.ones_like(w) for w in (w_qkv, w_o, gamma)]
    sums = np.full(get_threads() * (w_qkv.size + w_o.size + d), np.nan, dtype)
    attention_backward_with_projections(
        qkv, z, dx, logs, T, H, w_qkv, w_o, normed, (x, gamma, rstd), dx, gradients, sums, (*tables, H + K) if rope else None,
        precision == "bf16",
    )  # fmt: skip

    out, weights, rows = dout.astype(float), (w_qkv.astype(float), w_o.astype(float)), normed.astype(float)
    dqkv = attention_backward_reference(qkv.astype(float), out @ weights[1].T, T, H, K)
    if rope:
        turning = dqkv[:, : (H + K) * h].reshape(B, T, H + K, h)
        dqkv[:, : (H + K) * h] = rope_reference(turning, direction=-1).reshape(N, -1)
    change, dgamma = rmsnorm_backward_reference(dqkv @ weights[0].T, x.astype(float), gamma.astype(float))
    expected = (dx, out + change), *zip(gradients, (1 + rows.T @ dqkv, 1 + z.astype(float).T @ out, 1 + dgamma))
    bound = {"float32": 1e-5, "float64": 1e-13, "bf16": 3e-2}[precision]
    for actual, exact in expected:
        np.testing.assert_allclose(actual, exact, rtol=0, atol=bound * max(1, np.abs(exact).max()))


def test_projections_join_the_backward_pass_where_they_are_small_and_sequences_can_be_shared_out():
    threads = get_threads()
    w_qkv, w_o = np.zeros((64, 192), np.float32), np.zeros((64, 64), np.float32)
    assert projection_gradients_fit(w_qkv, w_o, 8 * threads, 128)
    assert not projection_gradients_fit(w_qkv, w_o, 8 * threads, 2048)
    assert not projection_gradients_fit(np.zeros((256, 384), np.float32), np.zeros((128, 256), np.float32), 8 * threads, 128)
    assert threads == 1 or not projection_gradients_fit(w_qkv, w_o, threads + 1, 128)


@pytest.mark.parametrize("H, K", [(2, 2), (4, 2), (3, 1)])
def test_twin_is_the_derivative(H, K):
    rng = np.random.default_rng(0)
    qkv, direction = rng.standard_normal((2, 6, 2 * (H + 2 * K)))
    dz = rng.standard_normal((6, 2 * H))
    f = lambda x: (attention_reference(x, 3, H, K)[0] * dz).sum()  # noqa: E731
    numeric = (f(qkv + 1e-5 * direction) - f(qkv - 1e-5 * direction)) / 2e-5
    assert (attention_backward_reference(qkv, dz, 3, H, K) * direction).sum() == pytest.approx(numeric, rel=1e-8)


def test_shared_heads_add_their_gradients_in_one_order():
    from toylm.threads import get_threads, set_threads

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
    expected, _ = attention_reference(qkv.astype(float), T, H, K)
    dexpected = attention_backward_reference(qkv.astype(float), dz.astype(float), T, H, K)
    for actual, exact in ((z, expected), (dqkv, dexpected)):
        error = np.linalg.norm(actual - exact) / np.linalg.norm(exact)
        assert error < 0.01  # a value is rounded to 2^-9 of itself, and errors of many add up as their root
    plain = np.empty_like(z)
    attention_forward(qkv, plain, logs, T, H)
    assert (z != plain).any()
