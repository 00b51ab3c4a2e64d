"""A linear layer as a piece of other parts: y = x·w, with a bias where the configuration wants one."""

import numpy as np

from ..kernels.matmul import bias_backward, bias_forward


class Linear:
    """`weight`: name of a matrix (inputs, outputs); `bias`: name of a vector (outputs,), or None for none."""

    def __init__(self, config, prefix, role, precision):
        self.matmul = precision.matmul
        self.weight, self.bias = f"{prefix}w_{role}", f"{prefix}b_{role}" if config.biases else None

    def arrays(self, parameters):
        """The weight, and the bias or None."""
        return parameters[self.weight].array, None if self.bias is None else parameters[self.bias].flat

    def forward(self, parameters, x, y, residual=None):
        """y (N, outputs) = x (N, inputs) · w (+ b) (+ residual)."""
        (weight, bias), addend = self.arrays(parameters), residual
        if bias is not None and residual is None:
            addend = np.broadcast_to(bias, y.shape)
        self.matmul(x, weight, y, addend=addend)
        if bias is not None and residual is not None:
            bias_forward(y, bias)

    def backward(self, parameters, gradients, dy, x, dx):
        """dx = dy·wᵀ, overwritten; dw += xᵀ·dy; db += the sum of dy's rows."""
        # forward: y = x·w + b
        self.matmul(dy, parameters[self.weight].array, dx, transpose_b=True)
        self.backward_weight(gradients, dy, x)

    def backward_weight(self, gradients, dy, x):
        """dw += xᵀ·dy; db += the sum of dy's rows."""
        self.matmul(x, dy, gradients[self.weight].array, transpose_a=True, accumulate=True)
        if self.bias is not None:
            bias_backward(dy, gradients[self.bias].flat)
