"""The arithmetic of a model: the dtype of everything in memory, and the function that multiplies matrices.

bf16 keeps weights, activations, gradients and sums in float32 and rounds what enters a multiplication to bf16.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import nearest

NAMES = ("float32", "float64", "bf16", "auto")


@dataclass(frozen=True)
class Precision:
    """`name` of the precision, `dtype` in memory, `matmul(a, b, out, transpose_a, transpose_b, accumulate, addend)`."""

    name: str
    dtype: np.dtype
    matmul: Any

    @property
    def bf16(self):
        """Whether what enters a multiplication is rounded to bf16."""
        return self.name == "bf16"

    @property
    def fused(self):
        """Whether products may be part of a larger kernel: they may not where NumPy's BLAS computes them."""
        from ..kernels.matmul import matmul_mode

        return self.bf16 or matmul_mode() == "numba"


def resolve(name):
    """The name of a precision, with "auto" replaced by what it is on this CPU: bf16 where that is multiplied, else float32."""
    if name != "auto":
        return name
    from ..kernels.bf16_choice import bf16_support

    return "bf16" if bf16_support() == "native" else "float32"


def spelled(name):
    """A resolved name as a run's first lines tell it: of bf16 also what multiplies it."""
    if name != "bf16":
        return name
    from ..kernels.bf16_choice import bf16_way

    return f"bf16 {bf16_way()}"


def precision_of(name):
    """The Precision called `name`; "auto" is bf16 where the CPU multiplies it, else float32.

    Raises ValueError for another name, and for bf16 on a CPU without it.
    """
    from ..kernels.bf16_choice import bf16_support
    from ..kernels.matmul import matmul
    from ..kernels.matmul_bf16 import matmul_bf16

    if name not in NAMES:
        raise ValueError(f"precision is {name!r}{nearest(name, NAMES)}")
    name = resolve(name)
    if name == "bf16":
        if bf16_support() is None:
            raise ValueError(
                "precision bf16 needs a CPU with AVX512_BF16 or AMX, which this one lacks; use float32, "
                "or set TOYLM_BF16=emulate to try the arithmetic, slowly"
            )
        return Precision("bf16", np.dtype(np.float32), matmul_bf16)
    return Precision(name, np.dtype(name), matmul)
