"""The contest: every contestant is fitted on the same training text and measured on the same held-out text.

Time is the seconds of fitting alone, without evaluation, and without compiling kernels, for all alike. What has to be chosen
(learning rates, mixing weights, temperatures, when to stop) is chosen on training text; held-out text is only measured.
"""

import math

from ..counts.language_model import CountsLM, fold_starts
from ..counts.views import word_symbols
from ..errors import DivergedError, UsageError
from ..fitters.counts_offset import attach_counts, validation_fold
from ..fitters.fitter import Clock
from ..fitters.registry import make_fitter
from ..fitters.start import start_from_counts
from ..model.transformer import TransformerLM
from .row import Row

FEATURE_HEADS = ("ridge", "kernel-ridge", "elm", "deep-elm", "cross-entropy")


class Contest:
    """Runs contestants on a FitData and collects their rows.

    say: a callable for a line of progress; progress: a fitter's `progress`. After each row `on_row(self)` is called, so that
    what is known can be kept. Models of finished contestants are in `models`, by name. rows: what an earlier contest on the same
    text found; a contestant that runs again replaces its own.
    """

    def __init__(self, data, settings, say=print, progress=None, on_row=None, prompt="", rows=()):
        self.data, self.settings, self.say, self.progress = data, settings, say, progress
        self.on_row, self.prompt = on_row or (lambda contest: None), prompt
        self.rows, self.models = list(rows), {}

    def check(self, names):
        """Raise UsageError, before any of them runs, where one of these contestants (methods, by name) could not."""
        train = self.data.train
        if "combination" in names:
            validation_fold(fold_starts(train.tokens, train.end_id, self.settings.folds), self.data)
        if "polish" in names and "adam" not in (*names, *self.models):
            raise UsageError("polish goes on from the model that adam leaves in the same call: add adam, or leave polish out")

    # -- contestants -----------------------------------------------------------------------------------------------------

    def warm_up(self):
        """Two steps of a gradient run and a little counting, so that no contestant's clock holds the loading of kernels."""
        self.count(self.data.train.tokens[:2000])
        make_fitter("all", "adam", steps=2, dropout=self.settings.dropout).fit(self._model(), self.data)

    def counts(self):
        """Kneser-Ney counts with the induction head: no gradient, no transformer."""
        clock = Clock()
        counts = self.count(self.data.train.tokens)
        details = {"order": self.settings.order}
        self._add("counts", "one-shot", counts, clock.seconds(), counts.n_parameters, counts.nbytes, details)

    def count(self, tokens):
        """A CountsLM of `tokens`."""
        s, train, tokenizer = self.settings, self.data.train, self.data.tokenizer
        words = None if tokenizer is None else word_symbols(tokenizer)
        return CountsLM.fit(
            tokens, train.vocab_size, train.end_id, order=s.order, context_length=s.context_length, words=words
        )

    def bigram_start(self):
        """A transformer whose embeddings are the singular vectors of the log-PMI matrix, before any step."""
        model = self._model(tied=False, output_bias=True)
        clock = Clock()
        start_from_counts(model, self.data.train.tokens, "bigram")
        self._add("bigram start", "one-shot", model, clock.seconds(), model.n_parameters, model.parameters.flat.nbytes)

    def feature_heads(self, names=FEATURE_HEADS):
        """Each closed-form head on the features of a transformer with random weights."""
        for name in names:
            model = self._model()
            report = make_fitter("head", name).fit(model, self.data, self.progress)
            self._add_report(f"{name} head, random features", model, report)

    def polish(self):
        """The cross-entropy head on what Adam's model has learned: a few closed-form passes after the last step."""
        self.check(("polish",))
        model = self.models["adam"].astype(self.models["adam"].precision)
        report = make_fitter("head", "cross-entropy").fit(model, self.data, self.progress)
        self._add_report("adam, then a cross-entropy head", model, report, after=self._row("adam"))

    def adam(self):
        """Adam on the transformer, at the best of the learning rates tried."""
        self._descend("adam", "adam", self.settings.adam_rates, lambda: (self._model(), [], 0.0))

    def sgd(self):
        """SGD with momentum, likewise."""
        self._descend("sgd", "sgd", self.settings.sgd_rates, lambda: (self._model(), [], 0.0))

    def combination(self):
        """Counts combined with a transformer whose embeddings start from log-PMI, then Adam on all of it."""
        counts = self._row("counts")

        def start():
            model = self._model(tied=False, output_bias=True, counts=True)
            clock = Clock()
            attach_counts(model, self.data.train, self.settings.order, self.settings.folds, self.data.tokenizer)
            start_from_counts(model, self.data.train.tokens, "bigram")
            seconds = clock.seconds()
            # Until the folds are counted, the counts are the model.
            early = [(counts.seconds, counts.loss)] if counts and counts.seconds < seconds else []
            return model, early, seconds

        # At Adam's own best rate, where it has been found among the ones to try: what the transformer adds to the counts in the
        # short trials is too little to tell rates apart.
        adam, rates = self._row("adam"), self.settings.adam_rates
        if adam and adam.details["learning_rate"] in rates:
            rates = (adam.details["learning_rate"],)
        self._descend("counts + adam", "adam", rates, start, kind="both")

    # -- how -------------------------------------------------------------------------------------------------------------

    def _model(self, **changes):
        return TransformerLM(self.settings.model_config(self.data.train.vocab_size, **changes), seed=self.settings.seed)

    def _gradient_fitter(self, method, rate, seconds, **more):
        s = self.settings
        decay = s.weight_decay if method == "adam" else 0.0
        return make_fitter("all", method, seconds=seconds, learning_rate=rate, dropout=s.dropout, batch_size=s.batch_size,
                           counts_share=s.counts_share, weight_decay=decay, **more)  # fmt: skip

    def _descend(self, name, method, rates, start, kind="gradient descent"):
        s, tried = self.settings, {}
        seconds = 60 * s.minutes
        for rate in rates if len(rates) > 1 else ():
            model, _, _ = start()
            self.say(f"{name}: learning rate {rate:g} for {s.sweep * seconds:.0f} s ...")
            try:
                report = self._gradient_fitter(method, rate, s.sweep * seconds).fit(model, self.data, self.progress)
                # A model with counts is measured with those of the validation text left out, by the fitter itself.
                tried[rate] = report.details.get("validation_loss") or self.data.validation_loss(model)
            except DivergedError:
                tried[rate] = math.inf
            self.say(f"{name}: learning rate {rate:g} has {tried[rate]:.4f} nats/token on validation text")
        best = min(tried, key=tried.get) if tried else rates[0]
        model, early, before = start()
        self.say(f"{name}: learning rate {best:g} for {seconds:.0f} s ...")
        fitter = self._gradient_fitter(method, best, seconds, evaluate_every=s.evaluate_every, whole_text=True)
        report = fitter.fit(model, self.data, self.progress)
        curve = early + [(before + t, loss) for t, loss in report.details.pop("curve")]
        n_bytes = model.parameters.flat.nbytes + (model.counts.nbytes if model.counts is not None else 0)
        parameters = model.n_parameters + (model.counts.n_parameters if model.counts is not None else 0)
        by_rate = {f"{rate:g}": loss for rate, loss in tried.items()}
        details = {"learning_rate": best, "validation_loss_by_rate": by_rate, **report.details}
        self.models[name] = model
        self._add(name, kind, model, before + report.seconds, parameters, n_bytes, details, curve, report)

    def _row(self, name):
        return next((row for row in self.rows if row.name == name), None)

    def _add_report(self, name, model, report, after=None):
        seconds = report.seconds + (after.seconds if after else 0)
        kind = "both" if after else "one-shot"
        parameters, n_bytes = model.n_parameters, model.parameters.flat.nbytes
        if not report.model_changed:  # what was fitted lies beside the model
            parameters, n_bytes = parameters + report.parameters, n_bytes + report.n_bytes
        self._add(name, kind, model, seconds, parameters, n_bytes, report.details, None, report)

    def _add(self, name, kind, model, seconds, parameters, n_bytes, details=None, curve=None, report=None):
        if report is None:
            result = self.data.evaluate(model)
            loss, bits = result.loss, result.bits_per_byte
        else:
            loss, bits = report.loss_after, report.bits_per_byte_after
        has_model = report is None or report.model_changed
        sample = self._sample(model) if has_model else "(measured beside the model, which cannot write with it)"
        row = Row(name, kind, seconds, int(parameters), int(n_bytes), loss, bits, curve or [(seconds, loss)], details or {}, sample)
        self.rows = [old for old in self.rows if old.name != name] + [row]
        self.say(f"{name}: held-out {loss:.4f} nats/token, perplexity {row.perplexity:,.2f}, after {seconds:.2f} s")
        self.on_row(self)

    def _sample(self, model):
        tokenizer = self.data.tokenizer
        if tokenizer is None:
            return ""
        prompt = [tokenizer.start_id, *(tokenizer.encode(self.prompt) if self.prompt else [])]
        ids = model.generate(prompt, 100, temperature=0.7, seed=self.settings.seed, stop_ids=(tokenizer.end_id,))
        return tokenizer.decode([*prompt[1:], *ids])
