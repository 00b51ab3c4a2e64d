"""One token through the model part by part, for the sides of the gallery that have no kernel for a whole token."""

import numpy as np


class DecodeByParts:
    """A key-value cache and the walk through the blocks; `ops` does the arithmetic.

    ops: an object with norm(x, gamma) -> (d,), product(x, w) -> x·w, transposed(x, w) -> w·x, gelu(x), and
    attend(q, keys, values, n) -> (d,) over the first n rows of keys, values (T, d). x: the inputs of case "decode token".
    """

    def __init__(self, x, ops):
        self.weights, self.ops, self.s = x.weights, ops, x.s
        self.keys, self.values = np.zeros((2, x.s.L, x.s.T, x.s.d), np.float32)
        for position, token in enumerate(x.prompt):
            self.token(token, position)

    def token(self, token, position):
        """logits (V,) of the token after `token`, which stands at `position`."""
        w, ops, d = self.weights, self.ops, self.s.d
        x = w["token_embed"][token] + w["pos_embed"][position]
        for layer in range(self.s.L):
            at = f"blocks.{layer}."
            qkv = ops.product(ops.norm(x, w[at + "norm1_gamma"]), w[at + "w_qkv"])
            self.keys[layer, position], self.values[layer, position] = qkv[d : 2 * d], qkv[2 * d :]
            z = ops.attend(qkv[:d], self.keys[layer], self.values[layer], position + 1)
            x = x + ops.product(z, w[at + "w_o"])
            hidden = ops.gelu(ops.product(ops.norm(x, w[at + "norm2_gamma"]), w[at + "w_ff1"]))
            x = x + ops.product(hidden, w[at + "w_ff2"])
        return ops.transposed(ops.norm(x, w["norm_final_gamma"]), w["token_embed"])
