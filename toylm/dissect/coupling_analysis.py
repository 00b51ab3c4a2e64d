"""Block coupling: do the blocks of a model act along the same directions? Jacobians, their SVDs, and m_K between them.

For every prompt, the Jacobian of each block's contribution (its identity left out, the model's final norm too) at chosen
tokens; m_K between layers at the same token, and between tokens within a layer. Beside every number stand the level of random
matrices of the same d and K, the level of the same singular values with random directions, and an untrained model.
"""

import numpy as np

from ..data.progress import Progress
from ..errors import UsageError
from .attention_heads import run_blocks
from .coupling_metric import Decomposed, choose_ks, coupling_of, in_threads, off_diagonal_mean, projections
from .coupling_result import CouplingResult, CouplingSide
from .jacobian import PARTS, LinearisedBlock
from .trajectories import exponential_spacing, line_shape_score

VARIANTS = tuple(
    (sign, normalisation, order)
    for sign in ("absolute", "signed") for normalisation in ("norm", "trace") for order in ("uv", "vu")
)  # fmt: skip
WORK = 8e9  # blocks · tokens · d^3 of Jacobians by default
EXAMPLE = 30  # top directions whose products are kept as a picture
DRAWS = 32  # of random directions, for their level
PAIR_TOKENS = 8  # tokens between which pairs are taken


def coupling(model, prompts, ks=None, tokens=None, untrained=True, seed=0, resamples=2000, progress=False):
    """Measure how far the Jacobians of the blocks of `model` are coupled; returns a CouplingResult.

    prompts: token ids (T,), or a list of such; a longer prompt than the context is cut. ks: the K of m_K (None: 10, 30, 50
    where below d, and a tenth, a quarter and a half of d). tokens: how many positions of a prompt, spread evenly, the last one
    included (None: all, fewer for a wide model). untrained: also measure a model of the same shape with random weights.
    Raises ValueError for an empty prompt, a token out of range, a seed below 0, or a K outside 1 ... d.
    """
    config = model.config
    prompts = [_prompt(model, p) for p in ([prompts] if np.ndim(prompts[0]) == 0 else prompts)]
    ks = choose_ks(config.d_model, ks)
    if tokens is not None and tokens < 1:
        raise UsageError(f"tokens is {tokens}; it must be at least 1")
    if seed < 0:
        raise UsageError(f"seed is {seed}; it must be 0 or above")
    limit = tokens or max(4, int(WORK / (config.n_layers * config.d_model**3)))
    total = sum(min(limit, len(p)) for p in prompts) * config.n_layers * (1 + untrained)
    with Progress("block coupling", total, unit=" Jacobians", show=progress) as bar:
        trained = _analyse(model, prompts, ks, limit, seed, bar)
        fresh = type(model)(config, seed=seed, precision=model.precision) if untrained else None
        other = _analyse(fresh, prompts, ks, limit, seed, bar) if untrained else None
    return CouplingResult(
        trained=trained, untrained=other, ks=ks, config=config, prompt_lengths=[len(p) for p in prompts],
        positions=[spread(len(p), limit).tolist() for p in prompts], seed=seed, resamples=resamples,
    )  # fmt: skip


def _prompt(model, prompt):
    prompt = np.asarray(prompt)
    if prompt.ndim != 1 or not len(prompt):
        raise UsageError("a prompt is a 1-D array of at least one token id")
    return model._tokens(prompt[: model.config.context_length])[0]


def spread(length, count):
    """At most `count` positions of 0 ... length - 1, evenly spread, the last included."""
    return np.unique(np.round(np.linspace(length - 1, 0, min(count, length))).astype(int))


def linearise(model, prompt):
    """(the LinearisedBlocks of a model along one prompt, the stream (L + 1, T, d) that enters each and leaves the last)."""
    a = run_blocks(model, prompt)
    states = np.stack([*(b.residual_in for b in a.blocks), a.last_residual]).astype(np.float64)
    return [LinearisedBlock(model, layer) for layer in range(len(model.blocks))], states


def same_token_jacobians(model, prompt, positions, bar=None):
    """Part -> (L, n, d, d), from a token to itself, and the stream (L + 1, T, d)."""
    blocks, states = linearise(model, prompt)
    d = model.config.d_model
    found = {part: np.empty((len(blocks), len(positions), d, d), model.dtype) for part in PARTS}
    for layer, block in enumerate(blocks):
        for i, jacobians in enumerate(in_threads(block.same_token, positions)):
            for part, J in jacobians.items():
                found[part][layer, i] = J
        if bar:
            bar.update(len(positions) / 2)
    return found, states, blocks


def depth_coupling(jacobians, ks, dtype=np.float64, decomposed=None):
    """VARIANT -> (n, len(ks), L, L): m_K between layers at every token, from jacobians (L, n, d, d)."""
    decomposed = decomposed or Decomposed(jacobians, max(ks))
    n_layers, n = jacobians.shape[:2]
    found = {variant: np.empty((n, len(ks), n_layers, n_layers)) for variant in VARIANTS}

    def at_token(t):
        at = decomposed.at(t, dtype)
        J = jacobians[:, t].astype(dtype)
        for order in ("uv", "vu"):
            projected = projections(J, at, swapped=order == "vu")
            for variant in VARIANTS:
                if variant[2] == order:
                    for k, K in enumerate(ks):
                        found[variant][t, k] = coupling_of(projected, at.s, K, variant[0] == "signed", variant[1])

    in_threads(at_token, range(n))
    return found


def rotated_levels(singular_values, ks, seed=0):
    """(DRAWS, L, len(ks)) of m_K (absolute, norm) between J with these singular values (L, d) and random directions: 0 coupling.

    A Gaussian matrix has a flat spectrum; a Jacobian has not. This level keeps its own. One draw varies more than the mean over
    the layers of a model does, so there are many, each layer's its own.
    """
    n_layers, d = singular_values.shape

    def of_layer(layer):
        rng, s = np.random.default_rng([seed, layer]), singular_values[layer]
        found = np.empty((DRAWS, len(ks)))
        for draw in range(DRAWS):
            left, right = np.linalg.qr(rng.standard_normal((2, d, max(ks))))[0]
            inner = ((left.T * s) @ right)[None, None]
            found[draw] = [coupling_of(inner, s[None], K)[0, 0] for K in ks]
        return found

    return np.stack(in_threads(of_layer, range(n_layers)), axis=1)


def token_pairs(blocks, length, count=PAIR_TOKENS):
    """Name -> (list of (input, output) tokens, Jacobians (L, n, d, d)): same token, output fixed, input fixed, both moving."""
    few = spread(length, count)
    last, first = length - 1, 0
    corner = spread(length, 5)
    kinds = {
        "same token": [(t, t) for t in few],
        "output fixed": [(t, last) for t in few],
        "input fixed": [(first, t) for t in few],
        "both moving": [(a, b) for a in corner for b in corner if a < b],
    }
    found = {}
    for name, pairs in kinds.items():
        if len(pairs) < 2:
            continue
        jacobians = np.empty((len(blocks), len(pairs), blocks[0].d, blocks[0].d), blocks[0].dtype)
        for layer, block in enumerate(blocks):
            for t2 in sorted({b for _, b in pairs}):
                here = [i for i, (_, b) in enumerate(pairs) if b == t2]
                jacobians[layer, here] = block.jacobians(t2, [pairs[i][0] for i in here])
        found[name] = ([(int(a), int(b)) for a, b in pairs], jacobians)
    return found


def _analyse(model, prompts, ks, limit, seed, bar):
    dtype = model.dtype
    depth = {part: {variant: [] for variant in VARIANTS} for part in PARTS}
    spectra, line, spacing, norms, by_token, pairs = {part: [] for part in PARTS}, [], [], [], [], []
    example = None
    for prompt in prompts:
        positions = spread(len(prompt), limit)
        jacobians, states, blocks = same_token_jacobians(model, prompt, positions, bar)
        for part, J in jacobians.items():
            decomposed = Decomposed(J, max(ks))
            found = depth_coupling(J, ks, dtype, decomposed)
            for variant, values in found.items():
                depth[part][variant].append(values.mean(axis=0))
            spectra[part].append(decomposed.s.mean(axis=1))
            if part == "block":
                if example is None:
                    at = decomposed.at(-1, dtype)
                    with np.errstate(invalid="ignore", divide="ignore"):  # a block that does nothing has no directions
                        example = projections(J[:, -1], at)[:, :, :EXAMPLE, :EXAMPLE] / at.s[:, None, :1, None]
                by_token.append((positions, off_diagonal_mean(found["absolute", "norm", "uv"])))
        pairs.append({name: _pair_coupling(*of, ks, dtype) for name, of in token_pairs(blocks, len(prompt)).items()})
        line.append(line_shape_score(states[:, positions]))
        spacing.append(exponential_spacing(states[:, positions]))
        norms.append(np.linalg.norm(states[:, positions], axis=-1).mean(axis=1))
        bar.update(len(positions) * len(blocks) / 2)
    spectra = {part: np.stack(values) for part, values in spectra.items()}
    return CouplingSide(
        depth={part: {v: np.stack(values) for v, values in of.items()} for part, of in depth.items()},
        singular_values=spectra, by_token=by_token, pairs=pairs, line_shape=line, spacing=spacing,
        norms=np.stack(norms), example=example,
        rotated={part: rotated_levels(s.mean(axis=0), ks, seed) for part, s in spectra.items()},
    )  # fmt: skip


def _pair_coupling(pairs, jacobians, ks, dtype):
    """The token pairs, and m_K between them within each layer, absolute and signed: (L, len(ks), n, n)."""
    by_layer = jacobians.swapaxes(0, 1)  # pairs take the place of layers
    decomposed = Decomposed(by_layer, max(ks))
    absolute, signed = (np.empty((len(jacobians), len(ks), len(pairs), len(pairs))) for _ in range(2))

    def at_layer(layer):
        at = decomposed.at(layer, dtype)
        projected = projections(jacobians[layer].astype(dtype), at)
        for k, K in enumerate(ks):
            absolute[layer, k] = coupling_of(projected, at.s, K)
            signed[layer, k] = coupling_of(projected, at.s, K, signed=True)

    in_threads(at_layer, range(len(jacobians)))
    return {"pairs": pairs, "absolute": absolute, "signed": signed}
