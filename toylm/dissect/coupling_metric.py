"""How far two Jacobians share their top singular vectors.

With the SVD J2 = U2 S2 V2' and J1 = U1 S1 V1', on the top K directions:

    signed      m_K(J1, J2) = || U2_K' J1 V2_K - S1_K ||_F / || S1_K ||_2            (the paper's formula)
    absolute    m_K(J1, J2) = || |U2_K' J1 V2_K| - S1_K ||_F / || S1_K ||_2          (element by element; the code's)

0: J1 is diagonal in J2's top directions, with its own singular values in order. "norm" divides by the Euclidean norm of the
K singular values, "trace" by their sum. "swapped" exchanges the sides, V2_K' J1 U2_K. Not symmetric in J1 and J2. A random
matrix of the same size has a level of its own, about 1, that depends on d and K: `null_level`. The absolute value cannot tell
J from -J (0); the signed metric gives 2.

Source: arXiv 2407.07810 and its published code, which differ in the absolute value.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from ..errors import UsageError
from ..threads import get_threads

SEED_KS = (10, 30, 50)
SHARES = (0.1, 0.25, 0.5)  # of d


def choose_ks(d, ks=None):
    """The K to use for width d: 10, 30, 50 where they are below d, and a tenth, a quarter and a half of d; ascending."""
    if ks is not None:
        ks = sorted({int(k) for k in ks})
        bad = [k for k in ks if not 1 <= k <= d]
        if bad or not ks:
            raise UsageError(f"K is {bad[0] if bad else 'empty'}; it must be from 1 to d_model, {d}")
        return tuple(ks)
    return tuple(sorted({*(k for k in SEED_KS if k < d), *(max(1, round(share * d)) for share in SHARES)}))


class Decomposed:
    """SVDs of Jacobians (..., d, d): `U` (..., d, K), `s` (..., d) all of them, `V` (..., d, K), K the largest asked."""

    def __init__(self, jacobians, rank):
        self.J = jacobians
        flat = jacobians.reshape(-1, *jacobians.shape[-2:])
        found = in_threads(lambda J: _top(J, rank), flat)
        shape = jacobians.shape[:-2]
        self.U, self.s, self.V = (np.stack(part).reshape(*shape, *part[0].shape) for part in zip(*found))

    def at(self, token, dtype=None):
        """The SVDs of all layers at one token, of Jacobians (L, n, d, d); in another precision where dtype is given."""
        found = object.__new__(Decomposed)
        found.J, found.s = self.J[:, token], self.s[:, token]
        found.U, found.V = (x[:, token] if dtype is None else x[:, token].astype(dtype) for x in (self.U, self.V))
        return found


def _top(J, rank):
    U, s, Vt = np.linalg.svd(J.astype(np.float64))
    return U[:, :rank], s, Vt[:rank].T


def in_threads(function, items):
    """[function(item) ...], items in parallel and BLAS on one thread each: small products gain nothing from sharing."""
    import threadpoolctl

    with threadpoolctl.threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(get_threads()) as pool:
        return list(pool.map(function, items))


def projections(J1, decomposed, swapped=False):
    """U2_K' J1 V2_K (V2_K' J1 U2_K where swapped) for Jacobians J1 (n, d, d) and SVDs of m: (n, m, K, K)."""
    left, right = (decomposed.V, decomposed.U) if swapped else (decomposed.U, decomposed.V)
    (n, d, _), (m, _, K) = J1.shape, right.shape
    # Two plain products take the time of one broadcast one: all J1 times all right sides, then side by side.
    mapped = J1.reshape(n * d, d) @ np.ascontiguousarray(right.transpose(1, 0, 2)).reshape(d, m * K)
    mapped = np.ascontiguousarray(mapped.reshape(n, d, m, K).transpose(2, 1, 0, 3)).reshape(m, d, n * K)
    found = np.ascontiguousarray(left.swapaxes(-1, -2)) @ mapped
    return found.reshape(m, K, n, K).transpose(2, 0, 1, 3)


def coupling_of(projected, s1, K, signed=False, normalisation="norm"):
    """m_K from `projections` (n, m, >= K, >= K) and the singular values s1 (n, >= K) of J1: (n, m)."""
    inner = projected[..., :K, :K]
    top = s1[..., :K]
    difference = (inner if signed else np.abs(inner)) - np.eye(K) * top[:, None, None, :]
    size = np.linalg.norm(top, axis=-1) if normalisation == "norm" else top.sum(axis=-1)
    if normalisation not in ("norm", "trace"):
        raise UsageError(f"normalisation is {normalisation!r}; valid: norm, trace")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.linalg.norm(difference, axis=(-2, -1)) / size[:, None]


def coupling_matrix(jacobians, K, signed=False, normalisation="norm", swapped=False, decomposed=None):
    """(n, n) of m_K(J_i, J_j) for Jacobians (n, d, d); 0 on the diagonal unless swapped.

    Raises ValueError for a K outside 1 ... d.
    """
    choose_ks(jacobians.shape[-1], (K,))
    decomposed = decomposed or Decomposed(jacobians, K)
    return coupling_of(projections(jacobians, decomposed, swapped), decomposed.s, K, signed, normalisation)


def m_K(J1, J2, K, signed=False, normalisation="norm", swapped=False):
    """m_K of two (d, d) matrices, a float."""
    J1, J2 = np.asarray(J1, np.float64)[None], np.asarray(J2, np.float64)[None]
    choose_ks(J1.shape[-1], (K,))
    s1 = np.linalg.svd(J1, compute_uv=False)
    return float(coupling_of(projections(J1, Decomposed(J2, K), swapped), s1, K, signed, normalisation)[0, 0])


@lru_cache(maxsize=256)
def null_level(d, K, signed=False, normalisation="norm", samples=None, seed=0):
    """(mean, standard deviation) of m_K between independent Gaussian (d, d) matrices: what no coupling looks like.

    samples matrices, all ordered pairs (None: between 4 and 24, fewer the larger d).
    """
    samples = samples or int(np.clip(2048 // d, 4, 24))
    J = np.random.default_rng(seed).standard_normal((samples, d, d))
    found = coupling_matrix(J, K, signed, normalisation)[~np.eye(samples, dtype=bool)]
    return float(found.mean()), float(found.std())


def off_diagonal_mean(maps, neighbours=False):
    """Mean of maps (..., L, L) over the pairs i != j, or over neighbouring i and j: (...); NaN for one layer."""
    n = maps.shape[-1]
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    chosen = apart == 1 if neighbours else apart > 0
    return maps[..., chosen].mean(axis=-1) if n > 1 else np.full(maps.shape[:-2], np.nan)
