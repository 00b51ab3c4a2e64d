"""The feed-forward part: act(h·w_ff1)·w_ff2 with one activation, or (silu(h·gate) * h·up)·w_ff2, added to the stream."""

from ..kernels.activations import activation_backward, activation_forward
from ..kernels.feed_forward import feed_forward_backward, feed_forward_forward
from ..kinds import FEED_FORWARDS
from .linear import Linear


class FeedForward:
    """w_ff1 (d, d_ff), for a gated kind (d, 2 d_ff) with columns gate | up; w_ff2 (d_ff, d)."""

    def __init__(self, config, prefix, precision):
        self.precision, self.kind = precision, config.feed_forward
        self.ff1, self.ff2 = Linear(config, prefix, "ff1", precision), Linear(config, prefix, "ff2", precision)

    def forward(self, parameters, h, residual, a, out):
        """out (N, d) = residual + hidden·w_ff2; ff_pre (N, d_ff_in) = h·w_ff1 is kept in `a`. residual: None for none."""
        if self.precision.fused:
            weights = (*self.ff1.arrays(parameters), *self.ff2.arrays(parameters))
            feed_forward_forward(self.kind, h, weights, a.ff_pre, out, residual, self.precision.bf16)
            return
        self.ff1.forward(parameters, h, a.ff_pre)
        hidden = activation_forward(self.kind, a.ff_pre, a.buffers["ff_hidden"])
        self.ff2.forward(parameters, hidden, out, residual)

    def backward(self, parameters, gradients, dout, h, a, dh):
        """dh (N, d) = gradient of h, overwritten, from dout (N, d), that of the part's output."""
        hidden, dpre = a.buffers["ff_hidden"], a.buffers["dpre"]
        if self.precision.fused:
            weights = parameters[self.ff1.weight].array, parameters[self.ff2.weight].array
            feed_forward_backward(self.kind, dout, a.ff_pre, weights, hidden, dpre, dh, self.precision.bf16)
            self.ff2.backward_weight(gradients, dout, hidden)
            self.ff1.backward_weight(gradients, dpre, h)
            return
        dhidden = a.buffers["dhidden"] if FEED_FORWARDS[self.kind].gated else dpre
        # forward: out = residual + hidden·w_ff2
        activation_forward(self.kind, a.ff_pre, hidden)
        self.ff2.backward(parameters, gradients, dout, hidden, dhidden)
        # forward: hidden = act(pre)
        activation_backward(self.kind, dhidden, a.ff_pre, hidden, dpre)
        # forward: pre = h·w_ff1
        self.ff1.backward(parameters, gradients, dpre, h, dh)
