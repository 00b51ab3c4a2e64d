"""The gradients of attention's two projections for one sequence, inside attention's backward kernel (attention.py).

For small models: a thread then keeps dz, dq | dk | dv and its share of the weights' gradients in its second-level cache, and none
of them goes through memory. From dout, the gradient of z·W_o, to that of x, the input of the RMSNorm before W_qkv:

    dz = dout·W_oᵀ;  dW_o += zᵀ·dout;  [dqkv: attention.py];  dh = dqkv·W_qkvᵀ;  dW_qkv += hᵀ·dqkv;  dx += norm's backward of dh
"""

import numpy as np

from .jit import inner
from .products import ROWS, linear_backward
from .rmsnorm import rmsnorm_rows_backward
from .rope import turn_row
from .simd import cast, item_size

BORDER = 64  # elements beyond a row that packing may write, at least NR


@inner
def outputs_backward(zero, operands, dout, z, panels, dz, dw, T, d, n, memory):
    """dz (T, n) and dW_o (n, d) from dout (T, d) and z (T, n); `panels` of W_oᵀ."""
    size = item_size(zero)
    dy_panels = memory + ROWS * (max(n, d) + BORDER) * size
    for start in range(0, T, ROWS):
        rows = min(np.int64(ROWS), T - start)
        linear_backward(zero, operands, dout + start * d * size, d, z + start * n * size, n, panels, dz + start * n * size, n, dw,
                        rows, d, n, memory, dy_panels)  # fmt: skip


@inner
def inputs_backward(zero, operands, dqkv, h, panels, dw, x, gamma, rstd, dx, dgamma, turn, T, d, n, memory):
    """dW_qkv (d, n), dx (T, d) and dgamma (d,), all added to, from dqkv (T, n), which is turned back in place first.

    turn: (cos, sin, rotated heads, their width), no rotary positions where cos is 0. `panels` of W_qkvᵀ.
    """
    size = item_size(zero)
    cos, sin, n_rotated, d_head = turn
    dy_panels = memory + ROWS * (max(n, d) + BORDER) * size
    dh = dy_panels + ROWS * (max(n, d) + BORDER) * size
    for start in range(0, T, ROWS):
        rows = min(np.int64(ROWS), T - start)
        here, at = dqkv + start * n * size, start * d * size
        if cos != 0:
            for i in range(rows):
                angle = (start + i) * (d_head // 2) * size
                turn_row(cast(zero, -1), here + i * n * size, cos + angle, sin + angle, n_rotated, d_head, n * size)
        linear_backward(zero, operands, here, n, h + at, d, panels, dh, d, dw, rows, n, d, memory, dy_panels)
        rmsnorm_rows_backward(zero, dh, x + at, gamma, rstd + start * size, dx + at, dgamma, rows, d)


def projections_scratch(T, d, n_z, n_qkv):
    """Elements a thread, whole cache lines: dz and dqkv of a sequence, and what the functions above take as `memory`."""
    widest = max(n_z, n_qkv, d) + BORDER
    return -(-(T * (n_z + n_qkv) + ROWS * (2 * widest + d)) // 16) * 16
