"""A norm as a part: h = norm(x), row by row, with a gain and, where its kind has one, a shift (kinds.NORMS)."""

from ..kernels.norm import norm_backward, norm_forward, norm_rows
from ..kinds import NORMS


class Norm:
    """Parameters "<name>_gamma" and "<name>_beta", (d,) each; `name` is e.g. "blocks.0.norm1"."""

    def __init__(self, config, name, dtype):
        self.kind, self.eps, self.dtype = config.norm, config.norm_eps, dtype
        self.gamma, self.beta = f"{name}_gamma", f"{name}_beta" if NORMS[config.norm].shift else None
        self.names = [name for name in (self.gamma, self.beta) if name is not None]

    def forward(self, parameters, x, h, rstd):
        """x (N, d) -> h (N, d); rstd (N,) is kept for the backward pass."""
        gamma = parameters[self.gamma].flat
        beta = gamma if self.beta is None else parameters[self.beta].flat  # not read where there is no shift
        norm_forward(norm_rows(self.kind, self.dtype).forward, x, gamma, beta, self.eps, h, rstd)

    def backward(self, parameters, gradients, buffers, dh, x, rstd, dx):
        """dx += gradient of x; the gradients of gain and shift are added to."""
        added = [gradients[name].flat for name in self.names]
        norm_backward(norm_rows(self.kind, self.dtype), dh, x, parameters[self.gamma].flat, rstd, dx, added, buffers["norm_shares"])
