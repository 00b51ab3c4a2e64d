"""The gated feed-forward part: (silu(h·gate) * h·up)·w_ff2, added to the stream."""

from ..kernels.swiglu import swiglu_backward
from .hidden import hidden_rows
from .linear import Linear


class GatedFeedForward:
    """w_ff1 (d, 2 d_ff), whose columns are gate | up; w_ff2 (d_ff, d)."""

    def __init__(self, config, prefix, precision):
        self.ff1 = Linear(config, prefix, "ff1", config.d_model, 2 * config.d_ff, precision)
        self.ff2 = Linear(config, prefix, "ff2", config.d_ff, config.d_model, precision)

    def layout(self):
        return [*self.ff1.layout(), *self.ff2.layout()]

    def forward(self, parameters, h, residual, a, out):
        """out (N, d) = residual + the gated hidden · w_ff2; ff_pre (N, 2 d_ff) is kept in `a`."""
        self.ff1.forward(parameters, h, a.ff_pre)
        hidden = hidden_rows("swiglu", a.ff_pre, a.shared_hidden)
        self.ff2.forward(parameters, hidden, out, residual)

    def backward(self, parameters, gradients, workspace, dout, h, a, dh):
        """dh (N, d) = gradient of h, overwritten; dout (N, d) is left as it is."""
        hidden = hidden_rows("swiglu", a.ff_pre, a.shared_hidden)
        dhidden = workspace.take("dhidden", hidden.shape)
        dpre = workspace.take("dpre", a.ff_pre.shape)
        # forward: out = residual + hidden·w_ff2
        self.ff2.backward(parameters, gradients, dout, hidden, dhidden)
        # forward: hidden = silu(gate) * up
        swiglu_backward(dhidden, a.ff_pre, dpre)
        # forward: pre = h·w_ff1
        self.ff1.backward(parameters, gradients, dpre, h, dh)
