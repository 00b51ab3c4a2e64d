"""SGD, Adam, AdamW and Muon over flat buffers, with clipping in the same pass, and the learning-rate schedule.

    optimizer = toylm.Adam(model.parameters, learning_rate=1e-3)
    loss = model.loss_and_gradients(tokens, targets)
    norm = optimizer.step(model.gradients, max_norm=1.0)
    model.gradients.zero_()
"""

import math

import numpy as np

from .config import matrix_columns
from .errors import DivergedError, InputTypeError, UsageError
from .kernels.matmul import SCRATCH_BYTES
from .kernels.optimizer import CHUNK, AdamRates, Rates, adam, muon, muon_room, norm, sgd
from .parameters import Parameters

EMBEDDINGS = ("token_embed", "pos_embed")


def rate_groups(parameters, embedding_rate=1.0, vector_rate=1.0, leave_out=()):
    """Ranges of the flat buffer that share a learning rate: list of (first, last, factor), without the tensors in `leave_out`.

    factor: embedding_rate for token_embed and pos_embed, vector_rate for gains, shifts and biases, 1 for the other matrices.
    """
    groups, start = [], 0
    for name, rows, columns in parameters.layout:
        stop = start + rows * columns
        factor = embedding_rate if name in EMBEDDINGS else vector_rate if rows == 1 else 1.0
        if name not in leave_out:
            if groups and groups[-1][1:] == (start, factor):
                start = groups.pop()[0]
            groups.append((start, stop, factor))
        start = stop
    return groups


class _Optimizer:
    """What SGD, Adam and Muon share: the checked settings, the norm and its clipping, the state by name."""

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

    def scratch_sizes(self):
        """name -> bytes that the kernels of a step reserve for the thread that calls them."""
        return {}


def clip_gradients(gradients, max_norm):
    """Scale a model's gradients (Parameters) down to the Euclidean norm `max_norm` where they are longer; returns the norm before.

    `step(..., max_norm=...)` does the same in passing. Raises UsageError for a max_norm that is not above 0, DivergedError for a
    norm that is not finite; the gradients are then untouched.
    """
    if not max_norm > 0:
        raise UsageError(f"max_norm is {max_norm}; it must be above 0")
    length = norm(gradients.flat, np.empty(-(-gradients.size // CHUNK)))
    if not math.isfinite(length):
        raise DivergedError("the gradient is not finite; a lower learning rate helps")
    if length > max_norm:
        gradients.flat *= gradients.dtype.type(max_norm / length)
    return length


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
        rates = Rates(float(learning_rate), float(self.momentum), float(self.weight_decay), float(factor))
        sgd(p.flat, gradient, velocity, p.n_decayed, rates)


class Adam(_Optimizer):
    """Adam (Kingma & Ba 2015), bias-corrected, eps outside the root; weight_decay > 0 makes it AdamW.

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; p = (1 - lr · wd) p - lr · m̂ / (sqrt(v̂) + eps); decay on matrices only.
    The learning rate of embeddings and of vectors is embedding_rate and vector_rate times that of the other matrices.
    """

    def __init__(self, parameters, learning_rate=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, embedding_rate=1.0,
                 vector_rate=1.0):  # fmt: skip
        super().__init__(parameters, learning_rate, weight_decay)
        if not all(0 <= beta < 1 for beta in betas):
            raise UsageError(f"betas are {betas}; each must be at least 0 and below 1")
        if not eps > 0:
            raise UsageError(f"eps is {eps}; it must be above 0")
        self.betas, self.eps = tuple(betas), eps
        self._groups = rate_groups(self.parameters, embedding_rate, vector_rate)
        self._state = {"m": np.zeros_like(self.parameters.flat), "v": np.zeros_like(self.parameters.flat)}

    def _update(self, gradient, learning_rate, factor):
        self._adam(gradient, learning_rate, self.weight_decay, factor)

    def _adam(self, gradient, learning_rate, weight_decay, factor):
        """Adam's update of the tensors in `_groups`."""
        p, m, v = self.parameters.flat, self._state["m"], self._state["v"]
        for start, stop, group_factor in self._groups:
            here, n_decayed = slice(start, stop), max(0, min(self.parameters.n_decayed, stop) - start)
            numbers = (learning_rate * group_factor, *self.betas, self.eps, weight_decay, factor)
            adam(p[here], gradient[here], m[here], v[here], n_decayed, AdamRates(*map(float, numbers), self.step_count))


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), 0.1 by default, on matrices only."""

    def __init__(self, parameters, learning_rate=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, embedding_rate=1.0,
                 vector_rate=1.0):  # fmt: skip
        super().__init__(parameters, learning_rate, betas, eps, weight_decay, embedding_rate, vector_rate)


class Muon(Adam):
    """Muon (Jordan et al. 2024) on the matrices of a model's blocks, Adam on all else: embeddings, output matrix, vectors.

    A matrix W (inputs, outputs): m = mu m + (1 - mu) g; u = mu m + (1 - mu) g; W = (1 - lr · wd) W - lr sqrt(max(1, outputs /
    inputs)) · orth(u). orth brings the singular values of u to about 1 by five Newton-Schulz iterations; its scale is that of
    torch.optim.Muon. What lies side by side in one Mat is orthogonalised apart: the queries, keys and values of every head,
    SwiGLU's gate and up. Adam's learning rate is adam_rate times the matrices', and by group besides (see Adam); no decay there.
    """

    def __init__(self, model, learning_rate=0.02, momentum=0.95, weight_decay=0.1, adam_rate=0.15, betas=(0.9, 0.95), eps=1e-8,
                 embedding_rate=1.0, vector_rate=1.0):  # fmt: skip
        if not hasattr(model, "config"):
            raise InputTypeError(f"Muon takes a model, whose shape tells its matrices apart, not {type(model).__name__}")
        if not 0 <= momentum < 1:
            raise UsageError(f"momentum is {momentum}; it must be at least 0 and below 1")
        super().__init__(model, learning_rate, betas, eps, weight_decay, embedding_rate, vector_rate)
        self.momentum, self.adam_rate = momentum, adam_rate
        self._matrices, names, start = [], set(), 0
        for name, rows, columns in self.parameters.layout:
            if name.startswith("blocks.") and rows > 1:
                width = matrix_columns(model.config, name, columns)
                self._matrices += [(start + at, columns, rows, width) for at in range(0, columns, width)]
                names.add(name)
            start += rows * columns
        self._groups = rate_groups(self.parameters, embedding_rate, vector_rate, names)

    def _update(self, gradient, learning_rate, factor):
        rates = Rates(float(learning_rate), float(self.momentum), float(self.weight_decay), float(factor))
        if self._matrices:
            muon(self.parameters.flat, gradient, self._state["m"], self._matrices, rates)
        self._adam(gradient, learning_rate * self.adam_rate, 0.0, factor)

    def scratch_sizes(self):
        rows, values = muon_room(self._matrices)
        return {"muon": rows * values * self.parameters.dtype.itemsize, "products": rows * SCRATCH_BYTES}


def cosine(progress, cooldown):
    """Half a cosine from 1 to 0 (Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def linear(progress, cooldown):
    """A straight line from 1 to 0."""
    return 1 - progress


def trapezoid(progress, cooldown):
    """1, and a straight line to 0 over the last `cooldown` of the way (Zhai et al. 2022; also called WSD, warm-up-stable-decay)."""
    return min(1.0, (1 - progress) / cooldown)


SCHEDULES = {"cosine": cosine, "linear": linear, "trapezoid": trapezoid}


def scheduled_rate(step, total_steps, warmup_steps, peak, floor, schedule="cosine", cooldown=0.3):
    """Learning rate of `step` (from 0): linear to `peak` over `warmup_steps`, then down to `floor` as the schedule says.

    `step` and `total_steps` may be any measure of progress (steps, seconds); after `total_steps` it stays at `floor`. cooldown:
    the share of the steps after the warm-up over which trapezoid falls.
    """
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    if step >= total_steps:
        return floor
    progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1e-12)
    return floor + (peak - floor) * SCHEDULES[schedule](progress, cooldown)
