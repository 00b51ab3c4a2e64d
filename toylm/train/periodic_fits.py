"""Fitters inside a training run: every so many steps, or at the end, a part of the model is solved for where it stands.

    head_fitter = "cross-entropy"     the output matrix, on the features as they are
    block_fitter = "ridge"            w_o and w_ff2 of every block in turn, from the model's own loss
    fitter = "lora-gradient"          all matrices of the blocks at once
    fit_every = 500                   steps between; none: once, after the last step

The fit is part of the run: its time counts, it reads training text only, and what follows (evaluation, checkpoint) sees its
result, so that a resumed run has the same bits. The optimizer's moments stay as they are.
"""

from ..data.token_file import TokenFile
from ..errors import UsageError
from ..fitters import make_fitter
from ..fitters.data import FitData

# setting -> the parts that it fits, given the number of blocks
PARTS = {
    "block_fitter": lambda layers: [f"block:{i}" for i in range(layers)],
    "fitter": lambda layers: ["all"],
    "head_fitter": lambda layers: ["head"],  # last: it reads what the others have changed
}


class PeriodicFits:
    """The fitters that the settings name. prepared: a toylm.data.Prepared; config: the model's.

    Raises UsageError, before training starts, where a fitter could not do its work.
    """

    def __init__(self, settings, prepared, config):
        self.settings = settings
        self._fitters = [(name, getattr(settings, name)) for name in PARTS if getattr(settings, name) is not None]
        if not self._fitters:
            return
        name = self._fitters[0][0]
        if not isinstance(prepared.train, TokenFile):
            raise UsageError(f"{name} reads running text, and {prepared.name} has none: leave it out")
        if settings.head_fitter is not None and config.tied:
            raise UsageError("head_fitter writes an output matrix of its own, and this model's is its embedding: add --tied false")
        if config.counts:
            raise UsageError(f"{name} looks at the loss on training text, which this model's counts know by heart: leave it out")
        self._data = FitData.of_prepared(
            prepared, context_length=settings.model.context_length, batch_size=settings.batch_size, max_tokens=settings.fit_tokens,
            seed=settings.seed, eval_tokens=settings.eval_tokens,
        )  # fmt: skip

    def due(self, step, finished):
        """Whether the fitters run after this step."""
        every = self.settings.fit_every
        return bool(self._fitters) and bool(finished or (every is not None and step % every == 0))

    def run(self, model):
        """Fit every part; yields a FitReport for each."""
        for name, fitter in self._fitters:
            for part in PARTS[name](model.config.n_layers):
                report = make_fitter(part, fitter).fit(model, self._data)
                model.gradients.zero_()
                yield report
