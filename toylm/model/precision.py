"""The arithmetic of a model: the dtype of everything in memory, and the function that multiplies matrices.

bf16 keeps weights, activations, gradients and sums in float32 and rounds what enters a multiplication to bf16.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError, nearest
from ..kernels import matmul as products
from ..kernels.arithmetic import bf16_pays, bf16_support, bf16_way

NAMES = ("float32", "float64", "bf16", "auto")


@dataclass(frozen=True)
class Precision:
    """`name` of the precision, `dtype` in memory."""

    name: str
    dtype: np.dtype

    @property
    def bf16(self):
        """Whether what enters a multiplication is rounded to bf16."""
        return self.name == "bf16"

    @property
    def matmul(self):
        """The product: matmul(a, b, out, transpose_a, transpose_b, accumulate, addend)."""
        return products.matmul_bf16 if self.bf16 else products.matmul

    @property
    def fused(self):
        """Whether products may be part of a larger kernel: they may not where NumPy's BLAS computes them."""
        return self.bf16 or products.matmul_mode() == "numba"


def resolve(name):
    """The name of a precision, with "auto" replaced by what it is on this CPU: bf16 where that is faster, else float32."""
    if name != "auto":
        return name
    return "bf16" if bf16_pays() else "float32"


def describe(name):
    """A resolved name as a run's first lines tell it: of bf16 also what multiplies it."""
    return f"bf16 ({bf16_way()})" if name == "bf16" else name


def precision_of(name):
    """The Precision called `name`; "auto" is bf16 where that is faster on this CPU, else float32.

    Raises UsageError for another name, and for bf16 on a CPU without it.
    """
    if name not in NAMES:
        raise UsageError(f"precision is {name!r}{nearest(name, NAMES)}")
    name = resolve(name)
    if name == "bf16":
        if bf16_support() is None:
            raise UsageError(
                "precision bf16 needs a CPU with AVX512_BF16, which this one lacks; use float32, "
                "or set TOYLM_BF16=emulate to try the arithmetic, slowly"
            )
        return Precision("bf16", np.dtype(np.float32))
    return Precision(name, np.dtype(name))
