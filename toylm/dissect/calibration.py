"""One pass over calibration text: moments of epsilon for every block, head and definition, samples, measures, predictors."""

from collections import defaultdict

import numpy as np

from .attention_heads import Reading, batch_rows, head_output_matrix, run_blocks
from .decomposition import DEFINITIONS, Basis, Moments, epsilon
from .intrinsic import two_nn
from .measures import attention_measures, head_overlaps, random_overlap, without_norm
from .replacements import fit_predictor


class Calibration:
    """What calibration text says about every block of a model; see `calibrate`.

    moments[definition][layer]: Moments. measures: name -> (L, H). samples (L, H, n, h): eps ("difference") at random
    positions. predictors[layer][definition]: (Predicted, R² (H,)) for the blocks asked for.
    """

    def __init__(self, model, n_layers, n_heads, d_head):
        self.model = model
        self.moments = {name: [Moments(n_heads, d_head) for _ in range(n_layers)] for name in DEFINITIONS}
        self.measures, self.samples, self.predictors = {}, [], {}
        self._bases = {}

    def basis(self, layer, definition, name):
        """The Basis of a block."""
        key = layer, definition, name
        if key not in self._bases:
            matrix = head_output_matrix(self.model, layer)
            self._bases[key] = Basis(name, self.moments[definition][layer], matrix, seed=1000 + layer)
        return self._bases[key]

    def spectra(self, definition, name):
        """(L, H, h) cumulative shares of energy."""
        return np.stack(
            [self.basis(layer, definition, name).spectrum for layer in range(len(self.moments[definition]))]
        )

    def ranks(self, definition, name, share=0.9):
        """(L, H) effective dimension: directions that hold `share` of the energy."""
        layers = range(len(self.moments[definition]))
        return np.stack([self.basis(layer, definition, name).rank_for(share) for layer in layers])

    def overlaps(self, rank, basis="uncentred", definition="difference"):
        """Mean overlap of every block's heads, own coordinates and stream, (L,) each, with the level of chance."""
        layers = range(len(self.moments[definition]))
        n_heads, d_head = self.moments[definition][0].total.shape
        rank = min(rank, d_head)
        off = ~np.eye(n_heads, dtype=bool)
        found = [
            head_overlaps(self.basis(i, definition, basis), head_output_matrix(self.model, i), rank) for i in layers
        ]
        own = [float(a[off].mean()) if n_heads > 1 else float("nan") for a, _ in found]
        stream = [float(b[off].mean()) if n_heads > 1 else float("nan") for _, b in found]
        d_model = self.model.config.d_model
        return {
            "rank": rank, "own_coordinates": own, "stream": stream,
            "chance_own_coordinates": random_overlap(d_head, rank)[0],
            "chance_stream": random_overlap(max(d_model, rank), rank)[0],
        }  # fmt: skip

    def dimensions(self, estimator="censored"):
        """(L, H) TwoNN intrinsic dimension of eps."""
        return np.array([[two_nn(points, estimator) for points in layer] for layer in self.samples])


def calibrate(model, blocks, predict_layers=(), sample=1500, seed=0, progress=None):
    """Read calibration Blocks once and return a Calibration. predict_layers: blocks to fit ridge predictors for."""
    config = model.config
    length = blocks.tokens.shape[1]
    result = Calibration(model, config.n_layers, config.n_heads, config.d_head)
    rng = np.random.default_rng(seed)
    picked = _sample_positions(rng, len(blocks.tokens), length, sample)
    samples, sums, kept, weights = defaultdict(list), defaultdict(list), defaultdict(list), []
    rows = batch_rows(config, length, model.dtype.itemsize)
    for start in range(0, len(blocks.tokens), rows):
        tokens = blocks.tokens[start : start + rows]
        run_blocks(model, tokens)
        weights.append(len(tokens))
        for layer, a in enumerate(model.activations.blocks):
            reading = Reading(a)
            for definition in DEFINITIONS:
                result.moments[definition][layer].add(*epsilon(reading, definition))
            difference = (reading.context - reading.v_star).transpose(1, 0, 2, 3)
            samples[layer].append(difference[:, picked[start : start + rows]])
            sums[layer].append(_measure(model, layer, a, reading))
            if layer in predict_layers:
                reading.probabilities = None  # the largest array, and not needed any more
                kept[layer].append(reading)
        if progress:
            progress(len(tokens))
    result.samples = [np.concatenate(samples[layer], axis=1) for layer in range(config.n_layers)]
    for name in sums[0][0]:
        per_layer = [np.average([m[name] for m in sums[i]], axis=0, weights=weights) for i in range(config.n_layers)]
        result.measures[name] = np.stack(per_layer)
    for layer in predict_layers:
        result.predictors[layer] = {name: fit_predictor(kept[layer], name, seed=seed) for name in DEFINITIONS}
    return result


def _sample_positions(rng, n_blocks, length, sample):
    """(n_blocks, length) bool: `sample` random positions, none of them first in its block (eps is 0 there)."""
    flat = np.zeros(n_blocks * (length - 1), bool)
    flat[rng.choice(len(flat), min(sample, len(flat)), replace=False)] = True
    picked = np.zeros((n_blocks, length), bool)
    picked[:, 1:] = flat.reshape(n_blocks, length - 1)
    return picked


def _measure(model, layer, activations, reading):
    found = attention_measures(reading)
    ratio, largest = without_norm(model, layer, activations)
    return {**found, "second_ratio_without_norm": ratio, "largest_score_without_norm": largest}
