"""A model's size from the time there is to train it: about ten tokens a parameter, at the speed that is measured here.

A larger model learns more from a token, a smaller one sees more tokens in the same time. Of a fixed amount of arithmetic C, 6 N
for a token of a model of N parameters, N = sqrt(C / 60) sees ten times as many tokens as it has parameters (Hoffmann et al. 2022
found 20 to be best for large models; docs/learning.md has what was measured for small ones).
"""

import math
import time

from ..config import layout_of
from ..model.transformer import TransformerLM

TOKENS_A_PARAMETER = 10
HEAD = 32  # values a head, about
SHAPES = ((48, 2), (64, 2), (64, 3), (96, 3), (128, 3), (128, 4), (192, 4), (192, 6), (256, 6), (384, 6), (384, 8), (512, 8))
PROBE_STEPS, PROBE_SECONDS = 6, 0.5


def shape_of(d_model, n_layers):
    """The settings of a shape: heads of about 32 values, and what follows from the width."""
    return dict(d_model=d_model, n_layers=n_layers, n_heads=max(1, (d_model + HEAD // 2) // HEAD), d_ff=None, n_kv_heads=None,
                d_head=None)  # fmt: skip


def flops_per_token(config):
    """Floating-point operations of a training step for a token: 6 a weight that multiplies, and 6 T d_q a layer for attention."""
    c = config
    looked_up = ("pos_embed",) if c.tied else ("token_embed", "pos_embed")  # tied, the embedding multiplies at the end
    weights = sum(rows * columns for name, rows, columns in layout_of(c) if rows > 1 and name not in looked_up)
    return 6 * (weights + c.n_layers * c.context_length * c.d_q)


def tokens_a_parameter(config, seconds, flops_per_second):
    """How many training tokens a model sees for each of its parameters."""
    return seconds * flops_per_second / flops_per_token(config) / sum(rows * columns for _, rows, columns in layout_of(config))


def shape_for(config_of, seconds, flops_per_second):
    """The index in SHAPES of what comes nearest to ten tokens a parameter; config_of: settings of a shape -> ModelConfig."""

    def distance(i):
        return abs(math.log(tokens_a_parameter(config_of(**shape_of(*SHAPES[i])), seconds, flops_per_second) / TOKENS_A_PARAMETER))

    return min(range(len(SHAPES)), key=distance)


def measured_flops_per_second(model, batches):
    """How fast this machine trains `model` now: the median of a few steps; the model's gradients are overwritten."""
    seconds, began = [], time.perf_counter()
    while len(seconds) < PROBE_STEPS and (len(seconds) < 2 or time.perf_counter() - began < PROBE_SECONDS):
        tokens, targets = batches.next()
        start = time.perf_counter()
        model.gradients.zero_()
        model.loss_and_gradients(tokens, targets)
        seconds.append(time.perf_counter() - start)
    return tokens.size * flops_per_token(model.config) / sorted(seconds)[len(seconds) // 2]


def size_by_the_clock(settings, prepared):
    """(settings, reason) for a run that names minutes and no shape: measure the speed of the settings' own shape, then choose."""

    def config_of(**shape):
        return settings.updated(shape).model_config(prepared.vocab_size)

    model = TransformerLM(config_of(), precision=settings.precision, threads=settings.threads)
    batches = prepared.batches(settings.batch_size, model.config.context_length, settings.seed)
    speed, seconds = measured_flops_per_second(model, batches), 60 * settings.minutes
    shape = shape_of(*SHAPES[shape_for(config_of, seconds, speed)])
    seen = tokens_a_parameter(config_of(**shape), seconds, speed)
    reason = (
        f"chosen for {settings.minutes:g} minutes at this speed: about {seen:.2g} tokens a parameter, aiming at "
        f"{TOKENS_A_PARAMETER} (--d-model and --n-layers choose another)"
    )
    return settings.updated(shape), reason
