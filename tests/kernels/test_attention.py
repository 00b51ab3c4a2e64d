import numpy as np
import pytest

from toylm.kernels.attention import (
    attention_backward,
    attention_backward_reference,
    attention_forward,
    attention_reference,
)

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
