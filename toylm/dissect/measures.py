"""Neighbouring measures of attention, head by head, on attention's true input (after the norm)."""

import numpy as np

BURN_IN = 16  # positions left out: with few keys every distribution is narrow


def attention_measures(reading):
    """Means over the later positions of a Reading, a dictionary of (H,) arrays (from 16 on, or from 1 in short blocks).

    entropy               S = -sum p log p, nats
    effective_temperature exp(S), averaged over positions: between how many positions a head hesitates
    top_probability       p*
    second_ratio          p2 / p1, the second largest probability over the largest
    purity                Tr rho² of rho = sum_j p_j u_j u_j', u_j = V_j / |V_j|: 1 where one direction is read, at least 1/h
    star_distance         how many positions back i* is
    """
    p = reading.probabilities
    T = p.shape[-1]
    first = BURN_IN if T > 2 * BURN_IN else min(1, T - 1)
    p = p[:, :, first:].astype(np.float64)
    entropy = -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1)
    norms = np.linalg.norm(reading.values, axis=-1, keepdims=True)
    unit = reading.values / np.where(norms > 0, norms, 1)
    overlaps = (unit @ unit.swapaxes(-1, -2)).astype(np.float64) ** 2
    return {
        "entropy": entropy.mean(axis=(0, 2)),
        "effective_temperature": np.exp(entropy).mean(axis=(0, 2)),
        "top_probability": p.max(axis=-1).mean(axis=(0, 2)),
        "second_ratio": second_ratio(p).mean(axis=(0, 2)),
        "purity": np.einsum("bhti,bhti->bht", p @ overlaps, p).mean(axis=(0, 2)),
        "star_distance": (np.arange(first, T) - reading.star[:, :, first:]).mean(axis=(0, 2)),
    }


def second_ratio(p):
    """p2 / p1 of probabilities (..., T): (...)."""
    if p.shape[-1] < 2:
        return np.zeros(p.shape[:-1])
    largest = np.partition(p, -2, axis=-1)
    return largest[..., -2] / largest[..., -1]


def without_norm(model, layer, activations):
    """second_ratio and the largest score (H,) when the raw residual stream is fed to attention, its norm left out.

    A mistake to compare with, not a measure: the stream grows with depth, so scores explode and every head seems certain.
    """
    block, a = model.blocks[layer], activations
    kept = a.qkv.copy(), a.head_outputs.copy(), a.log_sums.copy(), a.residual_mid.copy()
    block.attention.forward(model.parameters, a.residual_in, a.residual_in, a, a.residual_mid)
    wrong = attention_measures_only_ratio(a)
    for array, saved in zip((a.qkv, a.head_outputs, a.log_sums, a.residual_mid), kept):
        array[...] = saved
    return wrong


def attention_measures_only_ratio(activations):
    """second_ratio (H,) and the largest absolute score (H,) of what the activations of a block hold."""
    a = activations
    T = a.length
    first = BURN_IN if T > 2 * BURN_IN else min(1, T - 1)
    keys = np.repeat(a.keys, a.config.n_heads // a.config.n_kv_heads, axis=1)
    scores = a.queries @ keys.swapaxes(-1, -2) / np.sqrt(a.queries.shape[-1])
    largest = np.abs(np.tril(scores)).max(axis=(0, 2, 3))
    return second_ratio(a.attention_probabilities[:, :, first:].astype(np.float64)).mean(axis=(0, 2)), largest


def pairwise_overlap(bases):
    """(H, H) of mean cosines between subspaces, bases (H, n, r) with orthonormal columns."""
    products = np.einsum("anr,bns->abrs", bases, bases)
    return np.linalg.svd(products, compute_uv=False).mean(axis=-1)


def random_overlap(n, r, samples=100, seed=0):
    """(mean, standard deviation) of the overlap of two random r-dimensional subspaces of R^n: what no relation looks like."""
    rng = np.random.default_rng(seed)
    frames = np.linalg.qr(rng.standard_normal((2 * samples, n, min(r, n))))[0]
    found = np.linalg.svd(frames[:samples].swapaxes(1, 2) @ frames[samples:], compute_uv=False).mean(axis=-1)
    return float(found.mean()), float(found.std())


def head_overlaps(basis, output_matrix, rank):
    """Overlap of the heads' residual subspaces of dimension `rank`: (own coordinates (H, H), in the stream (H, H)).

    Own coordinates compare dimension i of one head with dimension i of another, which any rotation of a head changes; in the
    stream, the subspaces are mapped through w_o first, where the heads meet.
    """
    own = basis.directions[:, :, :rank]
    mapped = output_matrix.astype(np.float64).swapaxes(1, 2) @ own  # (H, d, r)
    return pairwise_overlap(own), pairwise_overlap(np.linalg.qr(mapped)[0])
