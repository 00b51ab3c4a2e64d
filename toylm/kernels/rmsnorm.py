"""RMSNorm (Zhang & Sennrich 2019): y = gamma · x / r with r = sqrt(mean(x²) + eps), row by row. See norm.py."""

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import cgutils
from .tile import cast, load, store
from .vectors import Rows, dot, scaled_product


def row_forward(like, x, gamma, beta, eps, y, rstd, d):
    """y = gamma · x / r; rstd[0] = 1 / r."""
    scale = cast(like, 1) / np.sqrt(dot(like, x, x, d) / cast(like, d) + cast(like, eps))
    scaled_product(like, x, gamma, scale, y, d)
    store(scale, rstd, 0)


def row_backward(like, dy, x, gamma, rstd, dx, dgamma, dbeta, d):
    """dx += (dy · gamma - x · mean(dy · gamma · x) / r²) / r; dgamma += dy · x / r."""
    _row_backward(load(like, rstd, 0), dy, x, gamma, dx, dgamma, d)


@intrinsic
def _row_backward(typingctx, scale, dy, x, gamma, dx, part, d):
    """`row_backward`; all but scale = 1 / r and d are addresses.

    Vectors by hand: LLVM would have to check before each of these short loops that the five arrays do not overlap.
    """

    def codegen(context, builder, signature, args):
        rows, b = Rows(context, builder, signature.args[0]), builder
        scale, dy, x, gamma, dx, part, d = args
        inner = [cgutils.alloca_once_value(b, rows.filled(0.0)) for _ in range(2)]

        def load(address, at, mask):
            return rows.load_vector(rows.pointer(address, at), mask)

        def multiply(at, mask, chain):
            product = b.fmul(load(dy, at, mask), load(gamma, at, mask))
            b.store(rows.multiply_add(product, load(x, at, mask), b.load(inner[chain])), inner[chain])

        rows.for_vectors(d, multiply, chains=2)
        total = rows.across_lanes(b.fadd(*map(b.load, inner)), b.fadd)
        mean = b.fdiv(b.fmul(total, b.fmul(scale, scale)), b.sitofp(d, rows.element))
        wide_scale, wide_minus = rows.splat(scale), rows.splat(b.fneg(b.fmul(mean, scale)))

        def add(at, mask):
            slope, value = b.fmul(load(dy, at, mask), wide_scale), load(x, at, mask)
            rows.store_vector(rows.multiply_add(slope, value, load(part, at, mask)), rows.pointer(part, at), mask)
            change = rows.multiply_add(slope, load(gamma, at, mask), b.fmul(value, wide_minus))
            rows.store_vector(b.fadd(load(dx, at, mask), change), rows.pointer(dx, at), mask)

        rows.for_vectors(d, add)
        return context.get_dummy_value()

    return types.void(scale, *[types.int64] * 6), codegen
