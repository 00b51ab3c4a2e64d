"""Reading a model's activations over a text, batch by batch: what every closed-form fitter solves from."""

import numpy as np

from ..closed_form.memory import require


def forward_passes(model, batches, progress=None, what="reading activations"):
    """Run the model forward over `batches`; yields (Activations, targets (N,), counted (N,) bool) a batch.

    The activations are views of the model's workspace: they hold until the next batch.
    """
    for done, (tokens, targets) in enumerate(batches, 1):
        activations = model._forward_to_norm(model._tokens(tokens))
        flat = targets.reshape(-1)
        if progress:
            progress(done, len(batches), what)
        yield activations, flat, flat >= 0


def head_features(model, batches, progress=None):
    """(X (n, d), targets (n,) int64): what the output matrix sees, the rows of final_norm whose target counts.

    Where the model has an output bias, X has a column of ones behind the others: (n, d + 1).
    """
    rows, d = batches.tokens, model.config.d_model
    ones = int(model.config.output_bias)
    require(rows * (d * model.dtype.itemsize + 8), f"the features of {rows:,} tokens", "read fewer with max_tokens")
    X, y, at = np.ones((rows, d + ones), model.dtype), np.empty(rows, np.int64), 0
    for a, targets, counted in forward_passes(model, batches, progress, "reading features"):
        here = int(counted.sum())
        X[at : at + here, :d] = a.final_norm[counted]
        y[at : at + here] = targets[counted]
        at += here
    return X[:at], y[:at]
