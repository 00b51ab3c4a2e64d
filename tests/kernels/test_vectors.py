"""Loops over the vectors of rows and columns against NumPy, at every length around a vector's; what lies around is left alone."""

import numpy as np
import pytest

from toylm.kernels import vectors
from toylm.kernels.jit import jit
from toylm.kernels.memory import address
from toylm.kernels.tile import NR_F32

DTYPES = [np.float32, np.float64]
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100]


@jit
def _maximum(zero, x, n):
    return vectors.maximum(zero, x, n)


@jit
def _dot(zero, x, y, n):
    return vectors.dot(zero, x, y, n)


@jit
def _scale(zero, x, n, factor):
    vectors.scale_row(zero, x, n, factor)


@jit
def _exponentials(zero, x, y, n, scale, peak):
    return vectors.exponentials(zero, x, y, n, scale, peak)


@jit
def _sum(zero, x, n, scale, peak):
    return vectors.sum_of_exponentials(zero, x, n, scale, peak)


@jit
def _columns(zero, x, stride, diagonal, stop, scale, peaks, totals):
    vectors.softmax_columns(zero, x, (stride, diagonal, stop), scale, peaks, totals)


@jit
def _gradient_columns(zero, x, dy, stride, diagonal, stop, scale, shifts, inners, factor):
    vectors.softmax_gradient_columns(zero, x, dy, (stride, diagonal, stop), scale, shifts, inners, factor)


@jit
def _exp2_all(x, y):
    for i in range(x.shape[0]):
        y[i] = vectors.exp2(x[i])


def row(n, dtype, seed=0):
    """(a row in a frame, the frame)."""
    frame = np.random.default_rng([seed, n]).standard_normal(n + 40).astype(dtype)
    return frame[3 : 3 + n], frame


def outside(frame, n):
    return np.concatenate([frame[:3], frame[3 + n :]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_reductions_and_scaling(n, dtype):
    zero, (x, frame), (y, _) = dtype(0), row(n, dtype), row(n, dtype, 1)
    assert _maximum(zero, address(x), n) == x.max()
    assert _dot(zero, address(x), address(y), n) == pytest.approx(x.astype(float) @ y, rel=1e-5, abs=1e-6)
    before, expected = frame.copy(), x * dtype(0.3)
    _scale(zero, address(x), n, dtype(0.3))
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(outside(frame, n), outside(before, n))


@pytest.mark.parametrize("dtype", DTYPES)
def test_maximum_passes_over_nan_and_takes_infinities(dtype):
    x = np.array([-3, np.nan, -1, -np.inf, np.nan] * 5, dtype)
    assert _maximum(dtype(0), address(x), x.size) == -1
    x[7] = np.inf
    assert _maximum(dtype(0), address(x), x.size) == np.inf
    x[:] = -np.inf
    assert _maximum(dtype(0), address(x), x.size) == -np.inf


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_exponentials(n, dtype):
    zero, scale, peak = dtype(0), dtype(1.7), dtype(2.5)
    tolerance = 2e-6 if dtype is np.float32 else 1e-14
    (x, frame), (y, other) = row(n, dtype), row(n, dtype, 1)
    before, other_before, expected = frame.copy(), other.copy(), np.exp2(1.7 * (x.astype(float) - 2.5))
    assert _sum(zero, address(x), n, scale, peak) == pytest.approx(expected.sum(), rel=tolerance)
    assert _exponentials(zero, address(x), address(y), n, scale, peak) == pytest.approx(expected.sum(), rel=tolerance)
    np.testing.assert_array_equal(frame, before)
    np.testing.assert_allclose(y, expected, rtol=tolerance)
    np.testing.assert_array_equal(outside(other, n), outside(other_before, n))
    assert _exponentials(zero, address(x), address(x), n, scale, peak) == pytest.approx(expected.sum(), rel=tolerance)
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(outside(frame, n), outside(before, n))


def panel(dtype, rows, seed=0):
    """(NR columns of a wider matrix, the matrix, where both end)."""
    nr = NR_F32 * 4 // np.dtype(dtype).itemsize
    wide = np.random.default_rng(seed).standard_normal((rows + 3, nr + 5)).astype(dtype)
    return wide[1:-2, 2:-3], wide


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("diagonal, stop", [(0, 1), (0, 5), (1, 1), (3, 40), (17, 20), (17, 17)])
def test_softmax_of_columns_cut_at_the_diagonal(diagonal, stop, dtype):
    tolerance = 3e-6 if dtype is np.float32 else 1e-13
    (x, wide), (dy, dwide) = panel(dtype, 45), panel(dtype, 45, 1)
    before, dbefore, nr = wide.copy(), dwide.copy(), x.shape[1]
    counts = np.arange(45)[:, None] <= diagonal + np.arange(nr)
    counts[stop:] = False
    scaled = np.where(counts, 0.7 * x.astype(float), -np.inf)
    peaks, totals = np.full(nr, np.nan, dtype), np.full(nr, np.nan, dtype)
    scores = x.copy()
    _columns(dtype(0), address(wide[1:, 2:]), wide.shape[1], diagonal, stop, dtype(0.7), address(peaks), address(totals))
    expected = np.exp2(scaled - scaled.max(axis=0))
    np.testing.assert_allclose(x[:stop], expected[:stop], rtol=tolerance, atol=1e-30)
    np.testing.assert_allclose(peaks, scaled.max(axis=0), rtol=tolerance)
    np.testing.assert_allclose(totals, expected.sum(axis=0), rtol=tolerance)
    wide[1 : 1 + stop, 2:-3] = before[1 : 1 + stop, 2:-3]
    np.testing.assert_array_equal(wide, before)

    shifts = (peaks + np.log2(totals)).astype(dtype)
    inners = np.linspace(-0.5, 0.5, nr).astype(dtype)
    p = np.where(counts, np.exp2(0.7 * scores.astype(float) - shifts), 0)
    gradient = p * (dy.astype(float) - inners) * 0.3
    _gradient_columns(dtype(0), address(wide[1:, 2:]), address(dwide[1:, 2:]), wide.shape[1], diagonal, stop, dtype(0.7),
                      address(shifts), address(inners), dtype(0.3))  # fmt: skip
    np.testing.assert_allclose(x[:stop], p[:stop], rtol=2 * tolerance, atol=1e-30)
    np.testing.assert_allclose(dy[:stop], gradient[:stop], rtol=2 * tolerance, atol=10 * tolerance)
    for changed, original in ((wide, before), (dwide, dbefore)):
        changed[1 : 1 + stop, 2:-3] = original[1 : 1 + stop, 2:-3]
        np.testing.assert_array_equal(changed, original)


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_at_the_ends_of_their_range(dtype):
    lowest, highest = (-126, 127) if dtype is np.float32 else (-1022, 1023)
    x = np.array([np.nan, -np.inf, -1e9, lowest, -1, 0, 0.5, 1, highest, 3.0] * 2, dtype)
    expected = [0, 0, 0, 2.0**lowest, 0.5, 1, 2**0.5, 2, 2.0**highest, 8] * 2
    _exponentials(dtype(0), address(x), address(x), x.size, dtype(1), dtype(0))
    assert np.isnan(x[[0, 10]]).all()
    np.testing.assert_allclose(x[[*range(1, 10), *range(11, 20)]], expected[1:10] + expected[11:], rtol=3e-7)


def test_exp2_is_accurate_over_its_range_and_keeps_nan():
    x = np.linspace(-126, 127, 100_003).astype(np.float32)
    y = np.empty_like(x)
    _exp2_all(x, y)
    assert np.abs(y / np.exp2(x.astype(np.float64)) - 1).max() < 2e-7
    special = np.array([np.nan, -1e9, -np.inf, 0.0, 1e9], np.float32)
    _exp2_all(special, special)
    assert np.isnan(special[0]) and special[1] == special[2] == 2.0**-126 and special[3] == 1 and special[4] == 2.0**127
