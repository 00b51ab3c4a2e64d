"""SGD, Adam and AdamW over flat buffers, with clipping in the same pass, and the learning-rate schedule.

    optimizer = toylm.Adam(model.parameters, learning_rate=1e-3)
    loss = model.loss_and_gradients(tokens, targets)
    norm = optimizer.step(model.gradients, max_norm=1.0)
    model.gradients.zero_()
"""

import math

import numpy as np

from .errors import DivergedError, InputTypeError, UsageError
from .kernels.optimizer import CHUNK, adam, norm, sgd
from .parameters import Parameters


class _Optimizer:
    """What SGD and Adam share: the checked settings, the norm and its clipping, the state by name."""

    def __init__(self, parameters, learning_rate, weight_decay):
        if not learning_rate >= 0:
            raise UsageError(f"learning_rate is {learning_rate}; it must be 0 or above")
        if not weight_decay >= 0:
            raise UsageError(f"weight_decay is {weight_decay}; it must be 0 or above")
        parameters = getattr(parameters, "parameters", parameters)  # a model's
        if not isinstance(parameters, Parameters):
            raise InputTypeError(f"an optimizer takes a model or its parameters, not {type(parameters).__name__}")
        self.parameters, self.learning_rate, self.weight_decay = parameters, learning_rate, weight_decay
        self.step_count = 0
        self._norm_parts = np.empty(-(-parameters.size // CHUNK))

    def step(self, gradients, learning_rate=None, max_norm=None):
        """Update the parameters in place; returns the Euclidean norm of the gradient before clipping.

        learning_rate: for this step, else the optimizer's. max_norm: a longer gradient is scaled down to this norm.
        Raises ValueError for gradients of another layout and a max_norm of 0 or below, DivergedError where the norm is not finite;
        parameters and state are then untouched.
        """
        if max_norm is not None and not max_norm > 0:
            raise UsageError(f"max_norm is {max_norm}; it must be above 0, or None for no clipping")
        if gradients.layout != self.parameters.layout:
            raise UsageError(f"gradients of another layout: {gradients!r} for {self.parameters!r}")
        length = norm(gradients.flat, self._norm_parts)
        if not math.isfinite(length):
            raise DivergedError(
                f"the gradient of step {self.step_count + 1} is not finite; a lower learning rate or clipping helps"
            )
        factor = max_norm / length if max_norm is not None and length > max_norm else 1.0
        self.step_count += 1
        self._update(gradients.flat, self.learning_rate if learning_rate is None else learning_rate, factor)
        return length

    def state(self):
        """The arrays that resuming needs: name -> 1-D array (views, not copies)."""
        return dict(self._state)

    def load_state(self, arrays, step_count):
        """Take back what `state` gave. Raises ValueError for missing names or other sizes."""
        for name, array in self._state.items():
            if name not in arrays or arrays[name].shape != array.shape:
                raise UsageError(f"the optimizer state lacks {name!r} of {array.size} values: it is of another optimizer")
            array[:] = arrays[name]
        self.step_count = int(step_count)


class SGD(_Optimizer):
    """Gradient descent: v = momentum · v + g, p -= learning_rate · v; weight decay (decoupled) on matrices only."""

    def __init__(self, parameters, learning_rate=0.05, momentum=0.0, weight_decay=0.0):
        super().__init__(parameters, learning_rate, weight_decay)
        if not 0 <= momentum < 1:
            raise UsageError(f"momentum is {momentum}; it must be at least 0 and below 1")
        self.momentum = momentum
        self._state = {"velocity": np.zeros_like(self.parameters.flat)} if momentum else {}

    def _update(self, gradient, learning_rate, factor):
        p = self.parameters
        velocity = self._state.get("velocity", p.flat[:0])
        sgd(p.flat, gradient, velocity, p.n_decayed, learning_rate, float(self.momentum), float(self.weight_decay), factor)


class Adam(_Optimizer):
    """Adam (Kingma & Ba 2015), bias-corrected, eps outside the root; weight_decay > 0 makes it AdamW.

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; p = (1 - lr · wd) p - lr · m̂ / (sqrt(v̂) + eps); decay on matrices only.
    """

    def __init__(self, parameters, learning_rate=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0):
        super().__init__(parameters, learning_rate, weight_decay)
        if not all(0 <= beta < 1 for beta in betas):
            raise UsageError(f"betas are {betas}; each must be at least 0 and below 1")
        if not eps > 0:
            raise UsageError(f"eps is {eps}; it must be above 0")
        self.betas, self.eps = tuple(betas), eps
        self._state = {"m": np.zeros_like(self.parameters.flat), "v": np.zeros_like(self.parameters.flat)}

    def _update(self, gradient, learning_rate, factor):
        p = self.parameters
        adam(p.flat, gradient, self._state["m"], self._state["v"], p.n_decayed, float(learning_rate), float(self.betas[0]),
             float(self.betas[1]), float(self.eps), float(self.weight_decay), self.step_count, factor)  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), 0.1 by default, on matrices only."""

    def __init__(self, parameters, learning_rate=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
        super().__init__(parameters, learning_rate, betas, eps, weight_decay)


def warmup_cosine(step, total_steps, warmup_steps, peak, floor):
    """Learning rate of `step` (from 0): linear to `peak` over `warmup_steps`, then half a cosine down to `floor`.

    `step` and `total_steps` may be any measure of progress (steps, seconds); after `total_steps` it stays at `floor`.
    """
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    if step >= total_steps:
        return floor
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1e-12)
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * progress))


class Muon(_Optimizer):
    """Muon (Jordan et al. 2024) on the matrices of the blocks, AdamW on all else: embeddings, an untied output matrix, vectors.

    A matrix W (inputs, outputs): m = mu m + (1 - mu) g; u = mu m + (1 - mu) g; W = (1 - lr wd) W - lr sqrt(max(1, outputs / inputs))
    orth(u), where orth brings the singular values of u to about 1 by five Newton-Schulz iterations. The fused w_qkv is three sets
    of matrices: the queries, keys and values of every head apart. learning_rate is the matrices'; AdamW's is adam_rate times it.
    """

    def __init__(self, parameters, learning_rate=0.02, momentum=0.95, weight_decay=0.0, adam_rate=0.15, betas=(0.9, 0.95), eps=1e-8,
                 head_columns=None):
        super().__init__(parameters, learning_rate, weight_decay)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must be at least 0 and below 1")
        self.momentum, self.adam_rate = momentum, adam_rate
        self.betas, self.eps = tuple(betas), eps
        self._state = {"m": np.zeros_like(parameters.flat), "v": np.zeros_like(parameters.flat)}
        self.pieces, self.rest = [], []
        start = 0
        for name, rows, columns in parameters.layout:
            if name.startswith("blocks.") and rows > 1:
                width = head_columns if name.endswith("w_qkv") and head_columns else (columns // 3 if name.endswith("w_qkv") else columns)
                self.pieces += [(start + at, columns, rows, width) for at in range(0, columns, width)]
            else:
                self.rest.append((name, start, start + rows * columns))
            start += rows * columns

    def _update(self, gradient, learning_rate, factor):
        from .kernels.muon import Rates, muon
        from .kernels.optimizer import adam

        p, m, v = self.parameters.flat, self._state["m"], self._state["v"]
        muon(p, gradient, m, self.pieces, Rates(float(learning_rate), float(self.momentum), float(self.weight_decay), float(factor)))
        for name, start, stop in self.rest:
            rate = learning_rate * self.adam_rate * self.multiplier(name)
            here = slice(start, stop)
            adam(p[here], gradient[here], m[here], v[here], 0, float(rate), float(self.betas[0]), float(self.betas[1]),
                 float(self.eps), 0.0, self.step_count, factor)  # fmt: skip

    multipliers = {}

    def multiplier(self, name):
        return self.multipliers.get("embed" if "embed" in name else "vector", 1.0)
