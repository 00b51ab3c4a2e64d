"""The contestants of a comparison: each is a function from a Job to a Fit, what it may choose among, and a line in CONTESTANTS.

A contestant chooses by itself only on the validation part of the text that it is given. Its seconds are those of fitting: without
evaluation, and without compiling kernels.
"""

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from ..counts.language_model import CountsLM
from ..counts.views import word_symbols
from ..fitters.counts_offset import Calibration, attach_counts
from ..fitters.fitter import Clock
from ..fitters.registry import make_fitter
from ..fitters.start import start_from_counts
from ..model.transformer import TransformerLM
from ..train.sizing import SHAPES, shape_for, shape_of

# The learning rates to try, the likeliest first; the same groups and start for all, which were tuned on the embedded stories.
RATES = {"adamw": (3e-3, 6e-3, 1.5e-3), "muon": (0.02, 0.03, 0.012), "sgd": (0.3, 1.0, 0.1)}
FITTERS = {
    "adamw": ("adam", dict(betas=(0.9, 0.95), embedding_rate=6.0, vector_rate=3.0, weight_decay=0.1)),
    "muon": ("muon", dict(betas=(0.9, 0.99), embedding_rate=6.0, vector_rate=3.0, weight_decay=0.1)),
    "sgd": ("sgd", {}),
}
LAMBDAS = {
    "ridge": (1e-4, 1e-6, 1e-2), "kernel-ridge": (1e-6, 1e-8, 1e-4), "elm": (1e-5, 1e-7, 1e-3), "cross-entropy": (1e-3, 1e-5, 1e-1),
}  # fmt: skip
TRUNK_SHARE = 0.7  # of the budget, for the trunk that a head is fitted on
_HEAD_START = (128, 4)  # the shape of a random trunk, which no clock chooses


class Job(NamedTuple):
    """One run. data: FitData, whose held-out text is validation text in a trial; seconds: the budget, or None."""

    data: object
    settings: object
    seconds: float | None
    choice: dict
    seed: int
    progress: object = None


@dataclass
class Fit:
    """What a run leaves. predictor: what has token_losses and generate; None where `report` alone holds the loss."""

    predictor: object
    seconds: float
    parameters: int
    n_bytes: int
    details: dict = field(default_factory=dict)
    report: object = None


@dataclass(frozen=True)
class Contestant:
    """kind: "gradient descent", "one-shot" or "both"; choices: (settings, seconds, vocabulary, FLOP/s) -> settings to try."""

    kind: str
    help: str
    run: object
    choices: object
    budgeted: bool = False
    ablation: bool = False


# -- what they may choose among ------------------------------------------------------------------------------------------------


def gradient_choices(optimizer, settings, seconds, vocab_size, flops_per_second):
    """Sizes about that of ten tokens a parameter, rates, dropout; in trials shorter than the budget a small model has an edge that
    it would not keep, so that these choose between rates and dropout alone."""
    rates = RATES[optimizer]

    def config_of(**shape):
        return settings.model_config(vocab_size, **shape)

    best = shape_for(config_of, seconds, flops_per_second)
    first = {"learning_rate": rates[0], "shape": SHAPES[best], "dropout": 0.0}
    sizes = [{**first, "shape": SHAPES[i]} for i in (best - 1, best + 1) if 0 <= i < len(SHAPES)]
    others = [{**first, "learning_rate": rate} for rate in rates[1:]]
    dropped = {**first, "dropout": 0.1}
    if settings.trial_seconds < seconds:
        return [first, others[0], dropped, others[1]]
    return [first, *sizes[:1], others[0], *sizes[1:], others[1], dropped]


def orders(settings, *_):
    """Of n-grams."""
    return [{"order": order} for order in (settings.order, settings.order - 2, settings.order + 2)]


def lambdas(name, *_):
    """Penalties of a head."""
    return [{"penalty": value} for value in LAMBDAS[name]]


def no_choice(*_):
    """A fit without a setting to choose."""
    return [{}]


# -- what they do ----------------------------------------------------------------------------------------------------------------


def new_model(job, shape=None, **changes):
    """A TransformerLM of the job's shape."""
    shape = shape_of(*(shape or job.choice.get("shape", _HEAD_START)))
    config = job.settings.model_config(job.data.train.vocab_size, **shape, **changes)
    return TransformerLM(config, seed=job.seed)


def descend(optimizer, job, start="random", tied=True, counts=False, smear=False, seconds=None, whole=True):
    """Gradient descent from start to end of a budget, the work before the first step included: a Fit. whole: on all training text,
    not only on what is left when the validation part is taken off."""
    seconds = seconds or job.seconds
    own_output = {} if tied else {"tied": False, "output_bias": start != "random"}
    model = new_model(job, counts=counts, smear=smear, **own_output)
    clock = Clock()
    if counts:
        attach_counts(model, job.data.train, job.settings.order, job.settings.folds, job.data.tokenizer)
    if start != "random":
        start_from_counts(model, job.data.train.tokens, start)
    before = clock.seconds()
    name, more = FITTERS[optimizer]
    fitter = make_fitter(
        "all", name, seconds=max(seconds - before, 0.05 * seconds), learning_rate=job.choice["learning_rate"],
        dropout=job.choice["dropout"], batch_size=job.settings.batch_size, whole_text=whole, **more,
    )  # fmt: skip
    data = copy.copy(job.data)
    data.eval_tokens = 1  # the contest measures by document; the fitter's own report is not needed
    report = fitter.fit(model, data, job.progress)
    return fit_of(model, before + report.seconds, report.details)


def fit_of(model, seconds, details=None):
    """The Fit of a model, its counts included."""
    counts = getattr(model, "counts", None)
    parameters = model.n_parameters + (counts.n_parameters if counts is not None else 0)
    n_bytes = model.parameters.flat.nbytes + (counts.nbytes if counts is not None else 0)
    return Fit(model, seconds, int(parameters), int(n_bytes), details or {})


def mixed_afterwards(optimizer, job):
    """A transformer that was trained by itself, then weighed with counts: the counts' part of the combination alone."""
    # The text that decides the weights must be new to the transformer.
    fit = descend(optimizer, job, seconds=0.9 * job.seconds, whole=False)
    trained = fit.predictor
    clock = Clock()
    model = TransformerLM(trained.config.replace(counts=True))
    for name in trained.parameters.names:
        model.parameters[name].array[:] = trained.parameters[name].array
    attach_counts(model, job.data.train, job.settings.order, job.settings.folds, job.data.tokenizer)
    validation_loss = Calibration(model, job.data)(model)
    return fit_of(model, fit.seconds + clock.seconds(), {**fit.details, "validation_loss": validation_loss})


def count(job):
    """Kneser-Ney counts with copying: no gradient, no transformer."""
    s, train, tokenizer = job.settings, job.data.train, job.data.tokenizer
    words = None if tokenizer is None else word_symbols(tokenizer)
    clock = Clock()
    model = CountsLM.fit(
        train.tokens, train.vocab_size, train.end_id, order=job.choice["order"], context_length=s.context_length, words=words
    )
    return Fit(model, clock.seconds(), int(model.n_parameters), int(model.nbytes))


def bigram_start(job):
    """A transformer whose embeddings are the singular vectors of the log-PMI matrix, before any step."""
    model = new_model(job, tied=False, output_bias=True)
    clock = Clock()
    start_from_counts(model, job.data.train.tokens, "bigram")
    return fit_of(model, clock.seconds())


def head(name, job, trunk=None):
    """A closed-form head on the features of a trunk: random, or trained by gradient descent for the most of the budget."""
    if trunk is None:
        # Weights at random throughout: with the branches at zero a feature would be the token alone.
        shape = shape_of(*_HEAD_START)
        config = job.settings.model_config(job.data.train.vocab_size, **shape).replace(init="normal")
        model, seconds, details = TransformerLM(config, seed=job.seed), 0.0, {}
    else:
        fit = descend(trunk, job, seconds=TRUNK_SHARE * job.seconds)
        model, seconds, details = fit.predictor, fit.seconds, fit.details
    key = "l2" if name == "cross-entropy" else "lambda_reg"
    report = make_fitter("head", name, **{key: job.choice["penalty"]}).fit(model, job.data, job.progress)
    fit = fit_of(model, seconds + report.seconds, details | {"rows": report.details.get("rows")})
    if not report.model_changed:  # what was fitted lies beside the model, which cannot write with it
        fit = Fit(None, fit.seconds, fit.parameters + report.parameters, fit.n_bytes + report.n_bytes, fit.details, report)
    return fit


def trunk_choices(name, trunk, settings, seconds, vocab_size, flops_per_second):
    """The penalty of the head; its trunk is as the clock says."""
    first = gradient_choices(trunk, settings, seconds, vocab_size, flops_per_second)[0]
    return [first | penalty for penalty in lambdas(name)]


def _descent(help, optimizer, kind="gradient descent", ablation=False, **more):
    return Contestant(kind, help, partial(descend, optimizer, **more), partial(gradient_choices, optimizer), True, ablation)


def _head(name):
    help = f"a {name} head on the features of a transformer with random weights"
    return Contestant("one-shot", help, partial(head, name), partial(lambdas, name))


def _trunk(name):
    help = f"a {name} head on a transformer that muon trained for {TRUNK_SHARE:.0%} of the budget"
    return Contestant("both", help, partial(head, name, trunk="muon"), partial(trunk_choices, name, "muon"), True)


CONTESTANTS = {
    "counts": Contestant("one-shot", "Kneser-Ney counts of tokens and words, with copying", count, orders),
    "bigram start": Contestant("one-shot", "embeddings from log-PMI, no step", bigram_start, no_choice),
    "ridge head": _head("ridge"),
    "kernel-ridge head": _head("kernel-ridge"),
    "elm head": _head("elm"),
    "cross-entropy head": _head("cross-entropy"),
    "ridge head, trained trunk": _trunk("ridge"),
    "cross-entropy head, trained trunk": _trunk("cross-entropy"),
    "adamw": _descent("AdamW with rates by group", "adamw"),
    "muon": _descent("Muon on the blocks' matrices, Adam on the rest", "muon"),
    "muon, token shift": _descent("the same, each embedding with a share of the one before", "muon", smear=True),
    "sgd": _descent("gradient descent with momentum", "sgd"),
    "counts + adamw": _descent("counts and a transformer from a bigram start as two experts", "adamw", "both", start="bigram",
                               tied=False, counts=True),
    "counts + muon": _descent("the same with Muon", "muon", "both", start="bigram", tied=False, counts=True),
    # what each part of the combination is worth
    "untied adamw": _descent("AdamW with an output matrix of its own", "adamw", ablation=True, tied=False),
    "bigram start, then adamw": _descent("AdamW from the bigram start", "adamw", ablation=True, start="bigram", tied=False),
    "counts + adamw, random start": _descent("the combination without the bigram start", "adamw", "both", True, counts=True),
    "adamw, then counts": Contestant("both", "AdamW by itself, weighed with counts afterwards", partial(mixed_afterwards, "adamw"),
                                     partial(gradient_choices, "adamw"), True, True),
}  # fmt: skip
