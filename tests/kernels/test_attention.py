import numpy as np
import pytest

from toylm.kernels.attention import (
    attention_backward,
    attention_backward_reference,
    attention_forward,
    attention_reference,
)

# (B, T, H, h): one token, below, at and beyond a block of query rows, heads wider and narrower than a tile
SHAPES = [(1, 1, 1, 2), (2, 3, 1, 5), (1, 31, 2, 8), (2, 49, 3, 16), (1, 128, 2, 32), (1, 97, 1, 40), (1, 130, 2, 64)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("B, T, H, h", SHAPES)
def test_equals_the_whole_matrix(B, T, H, h, dtype):
    rng = np.random.default_rng(T)
    qkv, dz = (rng.standard_normal((B * T, n * H * h)).astype(dtype) for n in (3, 1))
    z, log_sums = np.full_like(dz, np.nan), np.full((B * T, H), np.nan, dtype)
    stored, dqkv = np.full((B, H, T, T), np.nan, dtype), np.full_like(qkv, np.nan)
    attention_forward(qkv, z, log_sums, T, H, stored)
    attention_backward(qkv, z, dz, log_sums, dqkv, T, H)
    expected, probabilities = attention_reference(qkv.astype(float), T, H)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(z, expected, atol=tolerance)
    np.testing.assert_allclose(stored, probabilities, atol=tolerance)
    np.testing.assert_allclose(dqkv, attention_backward_reference(qkv.astype(float), dz, T, H), atol=tolerance)


def test_twin_is_the_derivative():
    rng = np.random.default_rng(0)
    qkv, direction, dz = rng.standard_normal((6, 12)), rng.standard_normal((6, 12)), rng.standard_normal((6, 4))
    f = lambda x: (attention_reference(x, 3, 2)[0] * dz).sum()  # noqa: E731
    numeric = (f(qkv + 1e-5 * direction) - f(qkv - 1e-5 * direction)) / 2e-5
    assert (attention_backward_reference(qkv, dz, 3, 2) * direction).sum() == pytest.approx(numeric, rel=1e-8)


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
