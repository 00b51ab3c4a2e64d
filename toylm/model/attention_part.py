"""Causal multi-head self-attention: (q | k | v) = h·w_qkv, heads attend, their outputs joined · w_o is added to the stream."""

import functools

from ..kernels.attention import Kept, NormStep, attention_backward, attention_backward_with_projections, attention_forward
from ..kernels.norm import norm_rows
from ..kernels.rope import rotate
from ..kinds import POSITIONS
from .linear import Linear


@functools.lru_cache(maxsize=4)
def rotary_tables(positions, length, d_head, theta, dtype):
    """cos and sin, (length, d_head / 2) each, which all blocks share; None where positions are not rotary."""
    kind = POSITIONS[positions]
    return kind.load()(length, d_head, theta, dtype) if kind.rotary else None


class Attention:
    """Fused projections w_qkv (d, d_q + 2 d_kv), whose columns are q | k | v, each split into heads; output projection
    w_o (d_q, d). Where there are fewer key-value heads than heads, each serves a group of neighbours.
    """

    def __init__(self, config, prefix, precision):
        self.config, self.precision = config, precision
        self.qkv, self.output = Linear(config, prefix, "qkv", precision), Linear(config, prefix, "o", precision)
        c = config
        self.tables = rotary_tables(c.positions, c.context_length, c.d_head, c.rope_theta, precision.dtype)

    def _rotate(self, qkv, length, direction):
        c = self.config
        if self.tables is not None:
            rotate(qkv, *self.tables, length, c.n_heads + c.n_kv_heads, c.d_head, direction)

    def forward(self, parameters, h, residual, a, out):
        """out (N, d) = residual + attention(h) · w_o; qkv, log_sums and head_outputs are kept in `a` (BlockActivations). residual:
        None for none."""
        self.qkv.forward(parameters, h, a.qkv)
        self._rotate(a.qkv, a.length, 1)
        attention_forward(a.qkv, a.head_outputs, a.log_sums, a.length, self.config.n_heads, bf16=self.precision.bf16)
        self.output.forward(parameters, a.head_outputs, out, residual)

    def backward(self, parameters, gradients, dout, h, a, dh):
        """dh (N, d) = gradient of h, overwritten, from dout (N, d), that of the part's output."""
        dz, dqkv = a.buffers["dz"], a.buffers["dqkv"]
        # forward: out = residual + z·w_o
        self.output.backward(parameters, gradients, dout, a.head_outputs, dz)
        # forward: z = heads of softmax(q·kᵀ / sqrt(h))·v
        attention_backward(a.qkv, a.head_outputs, dz, a.log_sums, dqkv, a.length, self.config.n_heads, self.precision.bf16)
        # forward: q and k rotated by their positions
        self._rotate(dqkv, a.length, -1)
        # forward: qkv = h·w_qkv
        self.qkv.backward(parameters, gradients, dqkv, h, dh)

    def backward_through_norm(self, parameters, gradients, dout, h, a, norm, dx):
        """The same, and the backward pass of h = norm(x), in one kernel, which keeps dz, dqkv and dh in a cache: dx (N, d) +=
        gradient of x. dout may be dx. For what workspace.attention_in_one_kernel says."""
        c = self.config
        kept = Kept(a.qkv, a.head_outputs, a.log_sums, a.length, c.n_heads)
        weights = parameters[self.qkv.weight].array, parameters[self.output.weight].array
        before = NormStep(norm_rows(norm.kind, dx.dtype), h, a.residual_in, parameters[norm.gamma].flat, a.rstd1)
        added = [gradients[name].flat for name in (self.qkv.weight, self.output.weight, *norm.names)]
        rotary = None if self.tables is None else (*self.tables, c.n_heads + c.n_kv_heads)
        attention_backward_with_projections(kept, dout, dx, weights, before, added, rotary, self.precision.bf16)
