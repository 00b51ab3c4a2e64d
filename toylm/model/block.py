"""The pre-norm block: x += attention(norm1(x)); x += feed_forward(norm2(x))."""

from .attention_part import Attention
from .feed_forward_part import FeedForward
from .norm import Norm


class Block:
    """Composes four parts; `index` counts the blocks from 0."""

    def __init__(self, config, index, precision):
        prefix = f"blocks.{index}."
        self.index = index
        self.norm1, self.norm2 = (Norm(config, f"{prefix}norm{i}", precision.dtype) for i in (1, 2))
        self.attention = Attention(config, prefix, precision)
        self.feed_forward = FeedForward(config, prefix, precision)

    def forward(self, parameters, a, dropout=None):
        """Reads a.residual_in, writes a.residual_out (N, d), keeps what the backward pass needs in `a`.

        dropout: the pass's Dropout, or None for none: what a branch gives is then written to a buffer, and joins the stream from
        there.
        """
        branch = None if dropout is None else a.buffers["branch"]
        self.norm1.forward(parameters, a.residual_in, a.norm1, a.rstd1)
        if dropout is None:
            self.attention.forward(parameters, a.norm1, a.residual_in, a, a.residual_mid)
        else:
            self.attention.forward(parameters, a.norm1, None, a, branch)
            dropout.join(2 * self.index + 1, branch, a.residual_in, a.residual_mid)
        self.norm2.forward(parameters, a.residual_mid, a.norm2, a.rstd2)
        if dropout is None:
            self.feed_forward.forward(parameters, a.norm2, a.residual_mid, a, a.residual_out)
        else:
            self.feed_forward.forward(parameters, a.norm2, None, a, branch)
            dropout.join(2 * self.index + 2, branch, a.residual_mid, a.residual_out)

    def backward(self, parameters, gradients, a, dstream, dropout=None):
        """dstream (N, d): gradient of residual_out on entry, of residual_in on return. The residual add hands it to both
        branches: it stays, and what comes back through the branch is added."""
        buffers, dh = a.buffers, a.buffers["dh"]
        # forward: residual_out = residual_mid + feed_forward(norm2(residual_mid))
        dbranch = dstream if dropout is None else dropout.drop(2 * self.index + 2, dstream, buffers["dbranch"])
        self.feed_forward.backward(parameters, gradients, dbranch, a.norm2, a, dh)
        self.norm2.backward(parameters, gradients, buffers, dh, a.residual_mid, a.rstd2, dstream)
        # forward: residual_mid = residual_in + attention(norm1(residual_in))
        dbranch = dstream if dropout is None else dropout.drop(2 * self.index + 1, dstream, buffers["dbranch"])
        if "dqkv" not in buffers:  # see workspace.attention_in_one_kernel
            self.attention.backward_through_norm(parameters, gradients, dbranch, a.norm1, a, self.norm1, dstream)
        else:
            self.attention.backward(parameters, gradients, dbranch, a.norm1, a, dh)
            self.norm1.backward(parameters, gradients, buffers, dh, a.residual_in, a.rstd1, dstream)
