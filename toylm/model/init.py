"""How parameters start."""

import math

import numpy as np

from .unembedding import EXPERT_WEIGHTS

EMBEDDING_STD = 0.02  # small, because tied logits of norm sqrt(d) vectors must start near 0 for the loss to start at ln V


def initialise(parameters, config, seed):
    """Fill `parameters` in place from numpy's default_rng(seed).

    "normal": embeddings 0.02 · N(0, 1); matrices N(0, 1) / sqrt(inputs); what writes to the residual stream (w_o, w_ff2)
    divided by sqrt(2 L) besides, so that the stream's variance does not grow with depth (Radford et al. 2019).
    "zero": the same with w_o and w_ff2 at 0, so that every block starts as the identity.
    "uniform": every matrix on ±1/sqrt(d). Gains are 1; biases and shifts 0. Where a counts model is added to the logits, the
    transformer's weight in them starts at 0 and that of the counts at 1: the model starts as the counts.
    """
    rng = np.random.default_rng(seed)
    for name in sorted(parameters.names):  # an order that does not depend on the buffer's
        mat = parameters[name]
        role = name.rpartition(".")[2]
        if name in EXPERT_WEIGHTS:
            mat.flat[:] = name == "counts_scale"
        elif mat.nrows == 1 and role.endswith("gamma"):
            mat.flat[:] = 1
        elif role.startswith("b_") or role.endswith("_beta") or role == "smear":
            mat.flat[:] = 0
        elif config.init == "uniform":
            mat.fill_random(1 / math.sqrt(config.d_model), rng)
        else:
            if role in ("token_embed", "pos_embed", "unembed"):
                scale = EMBEDDING_STD
            else:
                scale = 1 / math.sqrt(mat.nrows)
            if role in ("w_o", "w_ff2"):
                scale *= 0 if config.init == "zero" else 1 / math.sqrt(2 * config.n_layers)
            mat.fill_random(scale, rng, "normal")
