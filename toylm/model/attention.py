"""Causal multi-head self-attention: (q | k | v) = h·w_qkv, heads attend, their outputs joined · w_o is added to the stream."""

from ..kernels.attention import (
    attention_backward,
    attention_backward_with_projections,
    attention_forward,
    projection_gradients_fit,
)
from ..kernels.placement import threads_now
from ..kernels.rope import rope_forward, rope_tables
from .linear import Linear


class Attention:
    """Fused projections w_qkv (d, d_q + 2 d_kv), whose columns are q | k | v, each split into heads; output projection
    w_o (d_q, d). Where there are fewer key-value heads than heads, each serves a group of neighbours.
    """

    def __init__(self, config, prefix, precision):
        self.config, self.precision = config, precision
        self.qkv = Linear(config, prefix, "qkv", config.d_model, config.d_qkv, precision)
        self.output = Linear(config, prefix, "o", config.d_q, config.d_model, precision)
        self.rope = config.positions == "rope"
        if self.rope:
            self.cos, self.sin = rope_tables(config.context_length, config.d_head, config.rope_theta, precision.dtype)

    def layout(self):
        return [*self.qkv.layout(), *self.output.layout()]

    def _turn(self, qkv, length, direction):
        c = self.config
        if self.rope:
            rope_forward(qkv, self.cos, self.sin, length, c.n_heads + c.n_kv_heads, c.d_head, direction)

    def forward(self, parameters, h, residual, a, out, norm=None):
        """out (N, d) = residual + attention(h) · w_o; qkv, log_sums and head_outputs are kept in `a` (BlockActivations).

        norm: the NormOf that h is still to be written by, None where h is given.
        """
        if norm is None:
            self.qkv.forward(parameters, h, a.qkv)
        else:
            self.qkv.forward_normed(parameters, norm, h, a.qkv)
        self._turn(a.qkv, a.length, 1)
        attention_forward(a.qkv, a.head_outputs, a.log_sums, a.length, self.config.n_heads, bf16=self.precision.bf16)
        self.output.forward(parameters, a.head_outputs, out, residual)

    def backward(self, parameters, gradients, workspace, dout, h, a, norm, dx):
        """dx (N, d) += gradient of x, where h = norm(x); dout (N, d), which may be dx, is the gradient of the part's output."""
        if self._backward_at_once(parameters, gradients, workspace, dout, h, a, norm, dx):
            return
        dz = workspace.take("dz", a.head_outputs.shape)
        dqkv = workspace.take("dqkv", a.qkv.shape)
        dh = workspace.take("dh", dx.shape)
        # forward: out = residual + z·w_o
        self.output.backward(parameters, gradients, dout, a.head_outputs, dz)
        # forward: z = heads of softmax(q·kᵀ / sqrt(h))·v
        attention_backward(a.qkv, a.head_outputs, dz, a.log_sums, dqkv, a.length, self.config.n_heads, self.precision.bf16)
        self._turn(dqkv, a.length, -1)
        # forward: qkv = h·w_qkv
        self.qkv.backward(parameters, gradients, dqkv, h, dh)
        # forward: h = norm(x)
        norm.backward(parameters, gradients, workspace, dh, dx)

    def backward_sizes(self, parameters, rms, batch, length):
        """The buffers that `backward` takes on (batch, length) tokens: name -> number of values; rms: whether behind an RMSNorm."""
        c, N, matrices = self.config, batch * length, self._matrices(parameters)
        if rms and self._at_once(matrices, batch, length):
            return {"attention_sums": self._sums_size(matrices)}
        return {"dz": N * c.d_q, "dqkv": N * c.d_qkv, "dh": N * c.d_model}

    def _matrices(self, parameters):
        return parameters[self.qkv.weight].array, parameters[self.output.weight].array

    def _at_once(self, matrices, batch, length):
        """Whether there is one kernel for `backward` behind an RMSNorm: where projections are small and have no biases."""
        return not self.config.biases and self.precision.fused and projection_gradients_fit(*matrices, batch, length)

    def _sums_size(self, matrices):
        return threads_now() * (sum(w.size for w in matrices) + self.config.d_model)

    def _backward_at_once(self, parameters, gradients, workspace, dout, h, a, norm, dx):
        """`backward` as one kernel, where there is one. Whether there was."""
        matrices, rms, c = self._matrices(parameters), norm.rms_arguments(parameters), self.config
        if rms is None or not self._at_once(matrices, a.batch, a.length):
            return False
        sums = workspace.take("attention_sums", (self._sums_size(matrices),))
        turn = (self.cos, self.sin, c.n_heads + c.n_kv_heads) if self.rope else None
        found = [gradients[name].flat for name in (self.qkv.weight, self.output.weight, norm.norm.gamma)]
        attention_backward_with_projections(a.qkv, a.head_outputs, dout, a.log_sums, a.length, c.n_heads, *matrices, h, rms, dx,
                                            found, sums, turn, self.precision.bf16)  # fmt: skip
        return True
