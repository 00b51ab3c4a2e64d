"""The feed-forward part: act(h·w_ff1)·w_ff2 with one activation, or (silu(h·gate) * h·up)·w_ff2, added to the stream."""

from ..kernels.feed_forward import (
    feed_forward_backward,
    feed_forward_backward_with_weights,
    feed_forward_forward,
)
from ..kernels.gelu import gelu_backward
from ..kernels.placement import threads_now
from ..kernels.products import gradients_fit
from ..kernels.relu2 import relu2_backward
from ..kernels.silu import silu_backward
from ..kernels.swiglu import swiglu_backward
from .hidden import hidden_rows
from .linear import Linear

ACTIVATIONS_BACKWARD = {"gelu": gelu_backward, "relu2": relu2_backward, "silu": silu_backward}


class FeedForward:
    """w_ff1 (d, d_ff), for swiglu (d, 2 d_ff) with columns gate | up; w_ff2 (d_ff, d)."""

    def __init__(self, config, prefix, precision):
        self.precision = precision
        self.ff1 = Linear(config, prefix, "ff1", config.d_model, config.d_ff_in, precision)
        self.ff2 = Linear(config, prefix, "ff2", config.d_ff, config.d_model, precision)
        self.kind, self.activation_backward = config.feed_forward, ACTIVATIONS_BACKWARD.get(config.feed_forward)

    def layout(self):
        return [*self.ff1.layout(), *self.ff2.layout()]

    def _matrices(self, parameters):
        return parameters[self.ff1.weight].array, parameters[self.ff2.weight].array

    def forward(self, parameters, h, residual, a, out, norm=None):
        """out (N, d) = residual + hidden·w_ff2; ff_pre (N, d_ff_in) = h·w_ff1 is kept in `a`.

        norm: the NormOf that h is still to be written by, None where h is given.
        """
        if self.precision.fused:
            biases = [None if linear.bias is None else parameters[linear.bias].flat for linear in (self.ff1, self.ff2)]
            step = None if norm is None else self._norm_arguments(parameters, norm)
            feed_forward_forward(self.kind, h, *self._matrices(parameters), a.ff_pre, out, residual, *biases, step,
                                 self.precision.bf16)  # fmt: skip
            return
        if norm is not None:
            norm.take(parameters, h)
        self.ff1.forward(parameters, h, a.ff_pre)
        hidden = hidden_rows(self.kind, a.ff_pre, a.shared_hidden)
        self.ff2.forward(parameters, hidden, out, residual)

    def _norm_arguments(self, parameters, norm):
        kind, gamma, beta, eps = norm.arguments(parameters)
        return kind, norm.x, gamma, beta, eps, norm.rstd

    def backward(self, parameters, gradients, workspace, dout, h, a, norm, dx):
        """dx (N, d) += gradient of x, where h = norm(x); dout (N, d), which may be dx, is the gradient of the part's output."""
        matrices, rms = self._matrices(parameters), norm.rms_arguments(parameters)
        if rms is not None and self._with_weights(matrices):
            sums = workspace.take("dw_ff_sums", (self._sums_size(matrices),))
            found = [gradients[name].flat for name in (self.ff1.weight, self.ff2.weight, norm.norm.gamma)]
            feed_forward_backward_with_weights(self.kind, dout, a.ff_pre, *matrices, h, rms, dx, found, sums,
                                               self.precision.bf16)  # fmt: skip
            return
        dh = workspace.take("dh", dx.shape)
        self._backward_to_h(parameters, gradients, workspace, dout, h, a, dh)
        # forward: h = norm(x)
        norm.backward(parameters, gradients, workspace, dh, dx)

    def backward_sizes(self, parameters, rms, batch, length):
        """The buffers that `backward` takes on (batch, length) tokens: name -> number of values; rms: whether behind an RMSNorm."""
        N, matrices = batch * length, self._matrices(parameters)
        if rms and self._with_weights(matrices):
            return {"dw_ff_sums": self._sums_size(matrices)}
        sizes = {"dh": N * self.ff1.shape[0], "dpre": N * self.ff1.shape[1]}
        return sizes if self.precision.fused or self.kind != "swiglu" else sizes | {"dhidden": N * self.ff2.shape[0]}

    def _with_weights(self, matrices):
        """Whether one kernel computes all gradients behind an RMSNorm: where the matrices are small and have no biases."""
        return self.precision.fused and self.ff1.bias is None and gradients_fit(*matrices)

    def _sums_size(self, matrices):
        return threads_now() * (sum(w.size for w in matrices) + self.ff1.shape[0])

    def _backward_to_h(self, parameters, gradients, workspace, dout, h, a, dh):
        """dh (N, d) = gradient of h, overwritten; dout is left as it is."""
        matrices = self._matrices(parameters)
        dpre = workspace.take("dpre", a.ff_pre.shape)
        if self.precision.fused:
            feed_forward_backward(self.kind, dout, a.ff_pre, *matrices, a.shared_hidden, dpre, dh,
                                  self.precision.bf16)  # fmt: skip
            self.ff2.backward_weight(gradients, dout, a.shared_hidden)
            self.ff1.backward_weight(gradients, dpre, h)
            return
        hidden = hidden_rows(self.kind, a.ff_pre, a.shared_hidden)
        gated = self.kind == "swiglu"
        dhidden = workspace.take("dhidden", hidden.shape) if gated else dpre
        # forward: out = residual + hidden·w_ff2
        self.ff2.backward(parameters, gradients, dout, hidden, dhidden)
        # forward: hidden = act(pre)
        if gated:
            swiglu_backward(dhidden, a.ff_pre, dpre)
        else:
            self.activation_backward(dpre.reshape(-1), a.ff_pre.reshape(-1))
        # forward: pre = h·w_ff1
        self.ff1.backward(parameters, gradients, dpre, h, dh)
