"""Fitters inside a training run: every so many steps, or at the end, a part of the model is solved for where it stands.

    head_fitter = "cross-entropy"     the output matrix, on the features as they are
    block_fitter = "ridge"            w_o and w_ff2 of every block in turn, from the model's own loss
    fitter = "lora-gradient"          all matrices of the blocks at once
    fit_every = 500                   steps between; none: once, after the last step

The fit is part of the run: its time counts, it reads training text only, and what follows (evaluation, checkpoint) sees its
result, so that a resumed run has the same bits. The optimizer's moments stay as they are.
"""

from ..errors import UsageError

# setting -> the parts that it fits, given the number of blocks
PARTS = {
    "block_fitter": lambda layers: [f"block:{i}" for i in range(layers)],
    "fitter": lambda layers: ["all"],
    "head_fitter": lambda layers: ["head"],  # last: it reads what the others have changed
}


def wanted(settings):
    """[(setting, fitter)] of the fitters that the settings name, in the order in which they run."""
    return [(name, getattr(settings, name)) for name in PARTS if getattr(settings, name) is not None]


def check_polish(settings, prepared, config):
    """Raise UsageError, before training starts, where a fitter that the settings name could not do its work."""
    from ..data.token_file import TokenFile

    if not wanted(settings):
        return
    name = wanted(settings)[0][0]
    if not isinstance(prepared.train, TokenFile):
        raise UsageError(f"{name} reads running text, and {prepared.name} has none: leave it out")
    if settings.head_fitter is not None and config.tied:
        raise UsageError("head_fitter writes an output matrix of its own, and this model's is its embedding: add --tied false")
    if config.counts:
        raise UsageError(f"{name} looks at the loss on training text, which the counts in this model know by heart: leave it out")


class Polish:
    """Runs the fitters of a run. batches: the run's Batches (their source is the training text); held_out: a TokenFile."""

    def __init__(self, settings, batches, held_out, tokenizer):
        self.settings, self._fitters = settings, wanted(settings)
        if self._fitters:
            from ..fitters.data import FitData

            self._data = FitData(batches.source, held_out, tokenizer, settings.context_length, settings.batch_size,
                                 settings.fit_tokens, settings.seed, eval_tokens=settings.eval_tokens)  # fmt: skip

    def due(self, step, finished):
        """Whether the fitters run after this step."""
        every = self.settings.fit_every
        return bool(self._fitters) and bool(finished or (every is not None and step % every == 0))

    def run(self, model):
        """Fit every part; yields a FitReport for each."""
        from ..fitters import make_fitter

        for name, fitter in self._fitters:
            for part in PARTS[name](model.config.n_layers):
                report = make_fitter(part, fitter).fit(model, self._data)
                model.gradients.zero_()
                yield report
