"""A linear layer as a piece of other parts: y = x·w, with a bias where the configuration wants one."""

import numpy as np

from ..kernels.bias import bias_backward, bias_forward
from ..kernels.norm_projection import norm_projection


class Linear:
    """`weight`: name of a matrix (inputs, outputs); `bias`: name of a vector (outputs,), or None for none."""

    def __init__(self, config, prefix, role, inputs, outputs, precision):
        self.precision, self.matmul = precision, precision.matmul
        self.weight, self.shape = f"{prefix}w_{role}", (inputs, outputs)
        self.bias = f"{prefix}b_{role}" if config.biases else None

    def layout(self):
        entries = [(self.weight, *self.shape)]
        return entries if self.bias is None else [*entries, (self.bias, 1, self.shape[1])]

    def forward(self, parameters, x, y, residual=None):
        """y (N, outputs) = x (N, inputs) · w (+ b) (+ residual)."""
        weight = parameters[self.weight].array
        if self.bias is None:
            self.matmul(x, weight, y, addend=residual)
        elif residual is None:
            self.matmul(x, weight, y, addend=np.broadcast_to(parameters[self.bias].flat, y.shape))
        else:
            self.matmul(x, weight, y, addend=residual)
            bias_forward(y, parameters[self.bias].flat)

    def forward_normed(self, parameters, norm, h, y):
        """h (N, inputs) = norm(x), y (N, outputs) = h · w (+ b), in one kernel; norm: NormOf."""
        if not self.precision.fused:
            norm.take(parameters, h)
            return self.forward(parameters, h, y)
        bias = None if self.bias is None else parameters[self.bias].flat
        norm_projection(norm.arguments(parameters), norm.x, h, norm.rstd, parameters[self.weight].array, y, bias,
                        self.precision.bf16)  # fmt: skip

    def backward(self, parameters, gradients, dy, x, dx):
        """dx = dy·wᵀ, overwritten; dw += xᵀ·dy; db += the sum of dy's rows."""
        self.matmul(dy, parameters[self.weight].array, dx, transpose_b=True)
        self.backward_weight(gradients, dy, x)

    def backward_weight(self, gradients, dy, x):
        """dw += xᵀ·dy; db += the sum of dy's rows."""
        self.matmul(x, dy, gradients[self.weight].array, transpose_a=True, accumulate=True)
        if self.bias is not None:
            bias_backward(dy, gradients[self.bias].flat)
