"""The pre-norm block: x += attention(norm1(x)); x += feed_forward(norm2(x)). Which parts these are, the configuration says."""

from .attention import Attention
from .mlp import FeedForward
from .norm import LayerNorm, NormOf, RMSNorm

NORMS = {"rms": RMSNorm, "layer": LayerNorm}


class Block:
    """Composes four parts; `prefix` is "blocks.N."."""

    def __init__(self, config, prefix, precision):
        norm = NORMS[config.norm]
        self.index = int(prefix.split(".")[1])
        self.norm1 = norm(config, f"{prefix}norm1")
        self.attention = Attention(config, prefix, precision)
        self.norm2 = norm(config, f"{prefix}norm2")
        self.feed_forward = FeedForward(config, prefix, precision)

    def layout(self):
        parts = (self.norm1, self.attention, self.norm2, self.feed_forward)
        return [entry for part in parts for entry in part.layout()]

    def forward(self, parameters, a, dropout=None):
        """Reads a.residual_in, writes a.residual_out (N, d), keeps what the backward pass needs in `a`.

        dropout: the pass's Dropout, or None for none.
        """
        norm1 = NormOf(self.norm1, a.residual_in, a.rstd1)
        self._join(self.attention, parameters, norm1, a.norm1, a, a.residual_mid, dropout, 2 * self.index + 1)
        norm2 = NormOf(self.norm2, a.residual_mid, a.rstd2)
        self._join(self.feed_forward, parameters, norm2, a.norm2, a, a.residual_out, dropout, 2 * self.index + 2)

    def _join(self, part, parameters, norm, h, a, out, dropout, place):
        """out = x + part(norm(x)), with x the input of `norm`."""
        if dropout is None:
            part.forward(parameters, h, norm.x, a, out, norm)
        else:
            branch = dropout.branch(out.shape)
            part.forward(parameters, h, None, a, branch, norm)
            dropout.forward(place, branch, norm.x, out)

    def backward_sizes(self, parameters, batch, length):
        """The buffers that `backward` takes on (batch, length) tokens, beside a norm's: name -> number of values."""
        behind = parameters, isinstance(self.norm1, RMSNorm), batch, length
        return self.attention.backward_sizes(*behind) | self.feed_forward.backward_sizes(*behind)

    def backward(self, parameters, gradients, workspace, a, dstream, dropout=None):
        """dstream (N, d): gradient of residual_out on entry, of residual_in on return. The residual add hands it to both
        branches: it stays, and what comes back through the branch is added."""
        norm2 = NormOf(self.norm2, a.residual_mid, a.rstd2)
        dbranch = dstream if dropout is None else dropout.backward(2 * self.index + 2, dstream)
        self.feed_forward.backward(parameters, gradients, workspace, dbranch, a.norm2, a, norm2, dstream)
        norm1 = NormOf(self.norm1, a.residual_in, a.rstd1)
        dbranch = dstream if dropout is None else dropout.backward(2 * self.index + 1, dstream)
        self.attention.backward(parameters, gradients, workspace, dbranch, a.norm1, a, norm1, dstream)
