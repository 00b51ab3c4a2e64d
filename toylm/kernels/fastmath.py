"""2^x and log for kernels: float32 as polynomials that LLVM vectorises, float64 as the library's.

The library's float32 functions are a call an element, eight times slower than this. e^x is 2^(log2(e) x): see exp2.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from .simd import exponent_and_fraction, times_power_of_two

LOG2E = 1.0 / math.log(2.0)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
ONE = np.float32(1.0)

# 2^f on [-1/2, 1/2] as 1 + f c1 + f² c2 + ..., least maximal relative error: 9e-8, 1.7e-7 in float32 arithmetic.
EXP2_COEFFICIENTS = tuple(
    np.float32(c)
    for c in (0.6931470036506653, 0.24022242426872253, 0.05550733581185341, 0.009671512991189957, 0.001326472731307149)
)
C1, C2, C3, C4, C5 = EXP2_COEFFICIENTS
LOWEST2, HIGHEST2 = np.float32(-126.0), np.float32(127.0)


def exp2(x):
    """2^x. In float32, x is clamped to [-126, 127]; NaN stays NaN.

    exp(a x) is 2^(a log2(e) x), without the range reduction of an exp of its own (which a compiler that may reassociate undoes).
    The product's rounding then counts: the relative error grows with |a x|, to 5e-6 at the ends of the range.
    """
    return np.exp2(x)


@overload(exp2, inline="always")
def _exp2(x):
    if x == types.float32:

        def exp2_32(x):
            x = LOWEST2 if x < LOWEST2 else x
            x = HIGHEST2 if x > HIGHEST2 else x
            n = np.rint(x)
            f = x - n
            return times_power_of_two(ONE + f * (C1 + f * (C2 + f * (C3 + f * (C4 + f * C5)))), n)

        return exp2_32
    if x == types.float64:

        def exp2_64(x):
            return np.exp2(x)

        return exp2_64
    return None


# log m on [sqrt(1/2), sqrt(2)] as r - r²/2 + r³ q(r), r = m - 1, |error| < 1e-7 (minimax coefficients of Cephes' logf).
SQRT_HALF = np.float32(0.70710678118654752440)
HALF = np.float32(0.5)
L = tuple(
    np.float32(c)
    for c in (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
        2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )
)  # fmt: skip
L0, L1, L2, L3, L4, L5, L6, L7, L8 = L


def log(x):
    """log x of a positive, normal number."""
    return np.log(x)


@overload(log, inline="always")
def _log(x):
    if x == types.float32:

        def log32(x):
            n, m = exponent_and_fraction(x)
            low = m < SQRT_HALF
            r = (m + m if low else m) - ONE
            n = n - ONE if low else n
            z = r * r
            q = L0
            q = q * r + L1
            q = q * r + L2
            q = q * r + L3
            q = q * r + L4
            q = q * r + L5
            q = q * r + L6
            q = q * r + L7
            q = q * r + L8
            q = q * r * z
            q = q + n * LN2_LOW
            q = q - HALF * z
            return r + q + n * LN2_HIGH

        return log32
    if x == types.float64:

        def log64(x):
            return math.log(x)

        return log64
    return None
