"""The feed-forward part: gelu(h·w_ff1)·w_ff2, added to the stream."""

from ..kernels.gelu import gelu_backward, gelu_forward
from ..kernels.matmul import matmul


class FeedForward:
    """w_ff1 (d, d_ff), w_ff2 (d_ff, d)."""

    def __init__(self, config, prefix):
        self.config = config
        self.w_ff1, self.w_ff2 = f"{prefix}w_ff1", f"{prefix}w_ff2"

    def layout(self):
        c = self.config
        return [(self.w_ff1, c.d_model, c.d_ff), (self.w_ff2, c.d_ff, c.d_model)]

    def forward(self, parameters, h, residual, a, out):
        """out (N, d) = residual + gelu(h·w_ff1)·w_ff2; ff_pre and ff_hidden (N, d_ff) are kept in `a`."""
        matmul(h, parameters[self.w_ff1].array, a.ff_pre)
        gelu_forward(a.ff_pre.reshape(-1), a.ff_hidden.reshape(-1))
        matmul(a.ff_hidden, parameters[self.w_ff2].array, out, addend=residual)

    def backward(self, parameters, gradients, workspace, dout, h, a, dh):
        """dh (N, d) = gradient of h, overwritten; dout (N, d) is left as it is."""
        dhidden = workspace.take("dhidden", a.ff_hidden.shape)
        # forward: out = residual + hidden·w_ff2
        matmul(dout, parameters[self.w_ff2].array, dhidden, transpose_b=True)
        matmul(a.ff_hidden, dout, gradients[self.w_ff2].array, transpose_a=True, accumulate=True)
        # forward: hidden = gelu(pre)
        gelu_backward(dhidden.reshape(-1), a.ff_pre.reshape(-1))
        # forward: pre = h·w_ff1
        matmul(dhidden, parameters[self.w_ff1].array, dh, transpose_b=True)
        matmul(h, dhidden, gradients[self.w_ff1].array, transpose_a=True, accumulate=True)
