"""Residual attention: a head's output as the value it attends to most, V*, and a rest epsilon.

With i* = argmax_j p_j, V* = V_{i*}, p* = p_{i*} and the head output C = sum_j p_j V_j, three definitions of epsilon are in use:

    difference        C = V* + eps                eps = sum_{j != i*} p_j V_j - (1 - p*) V*
    tail              C = p* V* + eps             eps = sum_{j != i*} p_j V_j
    normalised-tail   C = p* V* + (1 - p*) eps    eps = sum_{j != i*} p_j V_j / (1 - p*)

They are different vectors: a subspace that holds one need not hold another, so every result names its definition.
A replacement keeps the part of epsilon that lies in an r-dimensional subspace of the head: base + weight · P_r eps.
"""

import numpy as np

from ..errors import UsageError

DEFINITIONS = ("difference", "tail", "normalised-tail")
BASES = ("uncentred", "centred", "output-weighted", "random")


def split(reading, definition):
    """(base (B, H, T, h), rest (B, H, T, h), weight (B, H, T, 1)) with context = base + rest and rest = weight · epsilon."""
    if definition == "difference":
        return reading.v_star, reading.context - reading.v_star, np.ones_like(reading.p_star)
    base = reading.p_star * reading.v_star
    rest = reading.context - base
    if definition == "tail":
        return base, rest, np.ones_like(reading.p_star)
    if definition == "normalised-tail":
        return base, rest, 1 - reading.p_star
    raise UsageError(f"definition is {definition!r}; valid: {', '.join(DEFINITIONS)}")


def epsilon(reading, definition):
    """(eps (B, H, T, h), usable (B, H, T)): the rest vectors, and where they are defined.

    normalised-tail divides by 1 - p*, which rounding spoils near p* = 1: there (1 - p* below the square root of the
    precision) eps is 0 and not usable.
    """
    _, rest, weight = split(reading, definition)
    usable = weight[..., 0] > np.sqrt(np.finfo(weight.dtype).eps)
    return np.where(usable[..., None], rest / np.where(usable[..., None], weight, 1), 0), usable


class Moments:
    """Sums over many vectors, head by head, from which all bases follow: float64, whatever the vectors' precision."""

    def __init__(self, n_heads, d_head):
        self.count = np.zeros(n_heads)
        self.total = np.zeros((n_heads, d_head))
        self.gram = np.zeros((n_heads, d_head, d_head))

    def add(self, vectors, usable):
        """vectors (B, H, T, h), zero where not usable; usable (B, H, T)."""
        rows = vectors.transpose(1, 0, 2, 3).reshape(len(self.count), -1, vectors.shape[-1]).astype(np.float64)
        self.count += usable.sum(axis=(0, 2))
        self.total += rows.sum(axis=1)
        self.gram += rows.swapaxes(1, 2) @ rows

    @property
    def mean(self):
        """(H, h)."""
        return self.total / np.maximum(self.count, 1)[:, None]

    @property
    def centred_gram(self):
        """(H, h, h), of the vectors less their mean."""
        return self.gram - self.count[:, None, None] * self.mean[:, :, None] * self.mean[:, None, :]


class Basis:
    """Directions of a head's rest, most important first: uncentred, centred, output-weighted or random.

    uncentred: right singular vectors of the stacked eps. centred: of eps less its mean, the mean added back. output-weighted:
    the projection for which eps · w_o, what the model sees, is approximated best: with w_o = U s Q' and the SVD of eps U s
    with right vectors V, P_r = U s V_r V_r' s^-1 U'. random: a random orthonormal basis, the control.

    directions, dual (H, h, h): P_r = directions[:, :, :r] · dual[:, :, :r]', applied to row vectors from the right.
    energy (H, h): squared norm that each direction holds (through w_o, where output-weighted), cumulative in `spectrum`.
    mean (H, h), or None.
    """

    def __init__(self, name, moments, output_matrix=None, seed=0):
        self.name, self.mean = name, None
        gram = moments.gram
        if name == "centred":
            self.mean, gram = moments.mean, moments.centred_gram
        if name in ("uncentred", "centred"):
            self.energy, self.directions = _descending(gram)
            self.dual = self.directions
        elif name == "output-weighted":
            left, scale = _left_factor(output_matrix)
            factor = left * scale[:, None, :]
            self.energy, V = _descending(factor.swapaxes(1, 2) @ gram @ factor)
            self.directions, self.dual = factor @ V, (left / scale[:, None, :]) @ V
        elif name == "random":
            rng = np.random.default_rng(seed)
            self.directions = np.linalg.qr(rng.standard_normal(gram.shape))[0]
            self.dual = self.directions
            self.energy = np.einsum("nij,nik,nkj->nj", self.directions, gram, self.directions)
        else:
            raise UsageError(f"basis is {name!r}; valid: {', '.join(BASES)}")
        self.energy = np.maximum(self.energy, 0)

    def projection(self, rank):
        """(H, h, h): P_r for row vectors."""
        return self.directions[:, :, :rank] @ self.dual[:, :, :rank].swapaxes(1, 2)

    @property
    def spectrum(self):
        """(H, h): share of the energy in the first r directions, r = 1 ... h. A head without energy has ones."""
        total = self.energy.sum(axis=1, keepdims=True)
        return np.where(total > 0, self.energy.cumsum(axis=1) / np.where(total > 0, total, 1), 1.0)

    def rank_for(self, share=0.9):
        """(H,) the smallest r whose first r directions hold `share` of the energy."""
        return (self.spectrum < share - 1e-12).sum(axis=1) + 1


def _descending(gram):
    values, vectors = np.linalg.eigh(gram)
    return values[:, ::-1].copy(), vectors[:, :, ::-1].copy()


def _left_factor(output_matrix):
    """U and s of every head's w_o (H, h, d); s is kept above a millionth of its largest, so that it can be inverted."""
    left, scale, _ = np.linalg.svd(output_matrix.astype(np.float64), full_matrices=False)
    if left.shape[1] != left.shape[2]:  # more values in a head than in the stream: complete the basis
        left = np.linalg.svd(output_matrix.astype(np.float64), full_matrices=True)[0]
        scale = np.concatenate([scale, np.zeros((len(scale), left.shape[1] - scale.shape[1]))], axis=1)
    largest = scale[:, :1]
    return left, np.where(largest > 0, np.maximum(scale, 1e-6 * largest), 1.0)
