"""The feed-forward part with one activation: act(h·w_ff1)·w_ff2, added to the stream."""

from ..kernels.gelu import gelu_backward
from ..kernels.relu2 import relu2_backward
from ..kernels.silu import silu_backward
from .hidden import hidden_rows
from .linear import Linear

ACTIVATIONS_BACKWARD = {"gelu": gelu_backward, "relu2": relu2_backward, "silu": silu_backward}


class FeedForward:
    """w_ff1 (d, d_ff), w_ff2 (d_ff, d)."""

    def __init__(self, config, prefix, precision):
        self.ff1 = Linear(config, prefix, "ff1", config.d_model, config.d_ff, precision)
        self.ff2 = Linear(config, prefix, "ff2", config.d_ff, config.d_model, precision)
        self.kind, self.activation_backward = config.feed_forward, ACTIVATIONS_BACKWARD[config.feed_forward]

    def layout(self):
        return [*self.ff1.layout(), *self.ff2.layout()]

    def forward(self, parameters, h, residual, a, out):
        """out (N, d) = residual + act(h·w_ff1)·w_ff2; ff_pre (N, d_ff) is kept in `a`."""
        self.ff1.forward(parameters, h, a.ff_pre)
        hidden = hidden_rows(self.kind, a.ff_pre, a.shared_hidden)
        self.ff2.forward(parameters, hidden, out, residual)

    def backward(self, parameters, gradients, workspace, dout, h, a, dh):
        """dh (N, d) = gradient of h, overwritten; dout (N, d) is left as it is."""
        hidden = hidden_rows(self.kind, a.ff_pre, a.shared_hidden)
        dhidden = workspace.take("dhidden", hidden.shape)
        # forward: out = residual + hidden·w_ff2
        self.ff2.backward(parameters, gradients, dout, hidden, dhidden)
        # forward: hidden = act(pre)
        self.activation_backward(dhidden.reshape(-1), a.ff_pre.reshape(-1))
        # forward: pre = h·w_ff1
        self.ff1.backward(parameters, gradients, dhidden, h, dh)
