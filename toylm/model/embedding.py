"""Token embedding, with a learned position vector added where the configuration asks for one."""

from ..kernels.embedding import embedding_backward, embedding_forward
from ..kinds import POSITIONS


class Embedding:
    """x[b, t] = token_embed[tokens[b, t]] (+ pos_embed[t])."""

    def __init__(self, config):
        self.learned = POSITIONS[config.positions].learned

    def _position_rows(self, mats):
        return mats["pos_embed"].array if self.learned else mats["token_embed"].array[:0]

    def forward(self, parameters, tokens, x):
        """tokens (B, T) int64 -> x (N, d)."""
        embedding_forward(tokens, parameters["token_embed"].array, self._position_rows(parameters), x)

    def backward(self, gradients, buffers, tokens, dx):
        """Adds dx to the rows of the tokens' embeddings (and of their positions)."""
        memory = buffers["token_order"], buffers["token_places"]
        embedding_backward(tokens, dx, gradients["token_embed"].array, self._position_rows(gradients), memory)
