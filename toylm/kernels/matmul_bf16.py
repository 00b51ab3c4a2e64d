"""Matrix products with bf16 operands and float32 sums (AVX512_BF16 or AMX): float32 in, rounded on the way into packed blocks.

Weights, activations and gradients stay float32 in memory; what is rounded is what enters a multiplication.
"""

import numpy as np

from .bf16_choice import bf16_support
from .matmul import check_product, multiply
from .operands import operands_of


def matmul_bf16(a, b, out, transpose_a=False, transpose_b=False, accumulate=False, addend=None):
    """`matmul` with both operands rounded to bf16 (8 bits of precision), products and sums in float32. All float32.

    Raises what `matmul` raises, TypeError for float64 too, and ValueError on a CPU without AVX512_BF16 or AMX.
    """
    m, n, k, addend = check_product(a, b, out, transpose_a, transpose_b, accumulate, addend)
    if a.dtype != np.float32:
        raise TypeError(f"bf16 products take float32 matrices, not {a.dtype}")
    if bf16_support() is None:
        raise ValueError(
            "this CPU has no bf16 products (AVX512_BF16 or AMX); use float32, or TOYLM_BF16=emulate to try them slowly"
        )
    if m == 0 or n == 0 or k == 0:
        out[:] = 0 if addend is None else addend
        return out
    multiply(operands_of(a.dtype, True), a, b, out, transpose_a, transpose_b, addend, m, n, k)
    return out


def round_to_bf16(x):
    """The NumPy twin of the rounding: float32 values that bf16 can hold, to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)
