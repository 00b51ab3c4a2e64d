"""Token embedding, with a learned position vector and a share of the token before where the configuration asks for them."""

from ..kernels.embedding import embedding_backward, embedding_forward, smear_backward, smear_forward
from ..kinds import POSITIONS


class Embedding:
    """x[b, t] = token_embed[tokens[b, t]] (+ pos_embed[t]); with config.smear, x[b, t] += smear · x[b, t - 1] of before."""

    def __init__(self, config):
        self.learned, self.smear = POSITIONS[config.positions].learned, config.smear

    def _position_rows(self, mats):
        return mats["pos_embed"].array if self.learned else mats["token_embed"].array[:0]

    def forward(self, parameters, tokens, x):
        """tokens (B, T) int64 -> x (N, d)."""
        embedding_forward(tokens, parameters["token_embed"].array, self._position_rows(parameters), x)
        if self.smear:
            smear_forward(x, parameters["smear"].flat, tokens.shape[1])

    def backward(self, parameters, gradients, buffers, tokens, dx):
        """Adds dx (N, d), overwritten, to the rows of the tokens' embeddings (and of their positions)."""
        if self.smear:
            # forward: x[t] += smear · x[t - 1]
            table, positions = parameters["token_embed"].array, self._position_rows(parameters)
            smear_backward(tokens, table, positions, parameters["smear"].flat, dx, gradients["smear"].flat)
        memory = buffers["token_order"], buffers["token_places"]
        embedding_backward(tokens, dx, gradients["token_embed"].array, self._position_rows(gradients), memory)
