"""Causal multi-head self-attention: (q | k | v) = h·w_qkv, heads attend, their outputs joined · w_o is added to the stream."""

from ..kernels.attention import attention_backward, attention_forward
from ..kernels.matmul import matmul
from ..kernels.rope import rope_forward, rope_tables


class Attention:
    """Fused projections w_qkv (d, 3d), whose columns are q | k | v, each split into heads; output projection w_o (d, d)."""

    def __init__(self, config, prefix, dtype):
        self.config = config
        self.w_qkv, self.w_o = f"{prefix}w_qkv", f"{prefix}w_o"
        self.rope = config.positions == "rope"
        if self.rope:
            self.cos, self.sin = rope_tables(config.context_length, config.d_head, config.rope_theta, dtype)

    def layout(self):
        d = self.config.d_model
        return [(self.w_qkv, d, 3 * d), (self.w_o, d, d)]

    def _turn(self, qkv, length, direction):
        if self.rope:
            rope_forward(qkv, self.cos, self.sin, length, 0, 2 * self.config.n_heads, self.config.d_head, direction)

    def forward(self, parameters, h, residual, a, out):
        """out (N, d) = residual + attention(h) · w_o; qkv, log_sums and head_outputs are kept in `a` (BlockActivations)."""
        matmul(h, parameters[self.w_qkv].array, a.qkv)  # (N, d)·(d, 3d)
        self._turn(a.qkv, a.length, 1)
        attention_forward(a.qkv, a.head_outputs, a.log_sums, a.length, self.config.n_heads)
        matmul(a.head_outputs, parameters[self.w_o].array, out, addend=residual)

    def backward(self, parameters, gradients, workspace, dout, h, a, dh):
        """dh (N, d) = gradient of h, overwritten; dout (N, d) is left as it is (the stream's own branch)."""
        N, d = dout.shape
        dz = workspace.take("dz", (N, d))
        dqkv = workspace.take("dqkv", (N, 3 * d))
        # forward: out = residual + z·w_o
        matmul(dout, parameters[self.w_o].array, dz, transpose_b=True)
        matmul(a.head_outputs, dout, gradients[self.w_o].array, transpose_a=True, accumulate=True)
        # forward: z = heads of softmax(q·kᵀ / sqrt(h))·v
        attention_backward(a.qkv, a.head_outputs, dz, a.log_sums, dqkv, a.length, self.config.n_heads)
        self._turn(dqkv, a.length, -1)
        # forward: qkv = h·w_qkv
        matmul(dqkv, parameters[self.w_qkv].array, dh, transpose_b=True)
        matmul(h, dqkv, gradients[self.w_qkv].array, transpose_a=True, accumulate=True)
