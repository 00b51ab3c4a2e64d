"""RMSNorm as a part: h = gamma · x / sqrt(mean(x²) + eps)."""

import numba

from ..kernels.rmsnorm import add_parts, rmsnorm_backward, rmsnorm_forward


class RMSNorm:
    """One gain a channel. `name` is the parameter's, e.g. "blocks.0.norm1_gamma"."""

    def __init__(self, config, name):
        self.name, self.d, self.eps = name, config.d_model, config.norm_eps

    def layout(self):
        return [(self.name, 1, self.d)]

    def forward(self, parameters, x, h, rstd):
        """x (N, d) -> h (N, d); rstd (N,) is kept for the backward pass."""
        rmsnorm_forward(x, parameters[self.name].flat, self.eps, h, rstd)

    def backward(self, parameters, gradients, workspace, dh, x, rstd, dx):
        """dx += gradient of x; the gain's gradient is added to."""
        parts = workspace.take("dgamma_parts", (numba.get_num_threads(), self.d))
        rmsnorm_backward(dh, x, parameters[self.name].flat, rstd, dx, parts)
        add_parts(parts, gradients[self.name].flat)
