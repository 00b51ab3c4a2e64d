"""The contest: what each contestant tries, chooses and reaches, kept line by line so that an interrupted one goes on.

The text has three parts. Contestants fit on training text; every choice (rate, size, penalty, order ...) is made by the loss on
validation text, with the same number of trials for all; each chosen setting then runs once a seed on training and validation text
together, and only these runs are measured on the test text.
"""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from ..errors import CheckpointError, DivergedError, UsageError
from ..files import write_text
from ..fitters.data import FitData, part_of
from .contestants import CONTESTANTS, Job
from .measure import document_losses

RUNS = "runs.jsonl"
_GUESS = 8.0  # seconds that a one-shot fit takes, for the expected time


@dataclass(frozen=True)
class Run:
    """A finished run. loss: nats per token, on validation text in a trial, else on test text; documents: nats of each, or None."""

    contestant: str
    budget: float | None
    megabytes: float | None
    trial: bool
    choice: dict
    seed: int
    loss: float | None  # None: it diverged
    bits_per_byte: float | None = None
    seconds: float = 0.0
    parameters: int = 0
    n_bytes: int = 0
    details: dict | None = None
    documents: list | None = None
    sample: str = ""

    @property
    def key(self):
        """What tells it apart from all other runs of a contest."""
        return _key(self.contestant, self.budget, self.megabytes, self.trial, self.choice, self.seed)


def _key(contestant, budget, megabytes, trial, choice, seed):
    return json.dumps([contestant, budget, megabytes, trial, choice, seed], sort_keys=True)


class Contest:
    """Runs contestants on a FitData, whose held-out text is the test text.

    folder: where the runs are kept; what lies there already is not run again. say: a callable for a line; progress: a fitter's.
    """

    def __init__(self, data, settings, folder, flops_per_second, say=print, progress=None, prompt=""):
        self.data, self.settings, self.folder, self.speed = data, settings, folder, flops_per_second
        self.say, self.progress, self.prompt = say, progress, prompt
        self.runs = read_runs(folder / RUNS)
        self._known, self._warmed, self._parts = {run.key: run for run in self.runs}, set(), {}

    # -- the plan ------------------------------------------------------------------------------------------------------------

    def cells(self, names):
        """(contestant, budget or None, megabytes or None) in the order in which they run: the quick ones first."""
        s = self.settings
        budgets = [(name, budget) for budget in (None, *sorted(s.budgets)) for name in names]
        fitting = [(name, b) for name, b in budgets if CONTESTANTS[name].budgeted == (b is not None)]
        sizes = [(name, b, mb) for mb in sorted(s.megabytes) for name, b in fitting if b in (None, max(s.budgets))]
        return [(name, b, None) for name, b in fitting] + sizes

    def choices(self, name, budget):
        """The settings that a contestant tries."""
        args = (self.settings, budget, self.data.train.vocab_size, self.speed)
        return CONTESTANTS[name].choices(*args)[: self.settings.trials]

    def expected_seconds(self, names):
        """About how long the whole contest still takes, without evaluation."""
        total = 0.0
        for name, budget, megabytes in self.cells(names):
            tries = self.choices(name, budget)
            tried = [_key(name, budget, megabytes, True, choice, self.settings.seeds[0]) in self._known for choice in tries]
            done = sum(run.contestant == name and run.budget == budget and run.megabytes == megabytes and not run.trial
                       for run in self.runs)  # fmt: skip
            if len(tries) > 1:
                total += (len(tries) - sum(tried)) * min(budget or _GUESS, self.settings.trial_seconds)
            total += (len(self.settings.seeds) - done) * (budget or _GUESS)
        return total

    # -- running ---------------------------------------------------------------------------------------------------------------

    def run(self, names):
        """Run everything that is not known yet."""
        cells = self.cells(names)
        for number, (name, budget, megabytes) in enumerate(cells, 1):
            where = f"[{number}/{len(cells)}] {name}" + ("" if budget is None else f", {budget:g} s")
            where += "" if megabytes is None else f", {megabytes:g} MB"
            choice = self._choose(where, name, budget, megabytes)
            for seed in self.settings.seeds:
                self._one(where, name, budget, megabytes, False, choice, seed)

    def _choose(self, where, name, budget, megabytes):
        tries = self.choices(name, budget)
        if len(tries) == 1:
            return tries[0]
        runs = [self._one(where, name, budget, megabytes, True, choice, self.settings.seeds[0]) for choice in tries]
        best = min(runs, key=lambda run: math.inf if run.loss is None else run.loss)
        if best.loss is None:
            raise DivergedError(f"{name} diverged with every setting that it tried: {', '.join(map(describe, tries))}")
        return best.choice

    def _one(self, where, name, budget, megabytes, trial, choice, seed):
        known = self._known.get(_key(name, budget, megabytes, trial, choice, seed))
        if known is not None:
            return known
        data = self._data(megabytes, trial)
        seconds = budget if budget is None or not trial else min(budget, self.settings.trial_seconds)
        what = f"trial of {describe(choice)}" if trial else f"seed {seed}" + (f", {describe(choice)}" if choice else "")
        self._warm(name, choice)
        run = Run(name, budget, megabytes, trial, choice, seed, None)
        try:
            fit = CONTESTANTS[name].run(Job(data, self.settings, seconds, choice, seed, self.progress))
        except DivergedError:
            if not trial:
                raise
        else:
            run = self._measured(run, fit, data)
        self._keep(run)
        on = "validation" if trial else "test"
        reached = "diverged" if run.loss is None else f"{on} {run.loss:.4f} nats/token after {run.seconds:.2f} s"
        self.say(f"{where} | {what} | {reached}")
        return run

    def _measured(self, run, fit, data):
        if fit.predictor is None:
            loss, bits, documents = fit.report.loss_after, fit.report.bits_per_byte_after, None
        else:
            sums, counts = document_losses(fit.predictor, data)
            loss = float(sums.sum() / counts.sum())
            utf8 = data.held_out_batches().bytes
            bits = loss * float(counts.sum()) / math.log(2) / utf8 if utf8 else None
            documents = None if run.trial else [round(float(x), 4) for x in sums]
        sample = "" if run.trial else self._sample(fit.predictor)
        kept = {name: value for name, value in fit.details.items() if isinstance(value, int | float | str | bool)}
        return Run(run.contestant, run.budget, run.megabytes, run.trial, run.choice, run.seed, loss, bits, fit.seconds,
                   fit.parameters, fit.n_bytes, kept, documents, sample)  # fmt: skip

    def _data(self, megabytes, trial):
        """The text of a run: of a part of the training text, and in a trial with the validation text in place of the test text."""
        if (megabytes, trial) not in self._parts:
            data, s = self.data, self.settings
            if megabytes is not None:
                data = self._fit_data(first_megabytes(data.train, megabytes), data.held_out)
            if trial:
                data = self._fit_data(data.fitting, data.validation)
            self._parts[megabytes, trial] = data
            if not len(data.held_out) > s.context_length:
                few = len(data.held_out)
                raise UsageError(f"the text leaves {few} tokens to choose by; take more text or a larger --validation")
        return self._parts[megabytes, trial]

    def _fit_data(self, train, held_out):
        s = self.settings
        return FitData(train, held_out, self.data.tokenizer, s.context_length, s.batch_size, seed=self.data.seed,
                       validation=s.validation)  # fmt: skip

    def _warm(self, name, choice):
        """Run a moment beforehand, so that no clock holds the loading of kernels."""
        what = (name, tuple(choice.get("shape", ())))
        if what in self._warmed:
            return
        self._warmed.add(what)
        data = self._data(None, True)
        if CONTESTANTS[name].budgeted:
            CONTESTANTS[name].run(Job(data, self.settings, 0.01, choice, 0))
        elif name == "counts":
            small = self._fit_data(part_of(data.train, 0, min(len(data.train), 20_000)), data.held_out)
            CONTESTANTS[name].run(Job(small, self.settings, None, choice, 0))

    def _sample(self, predictor):
        tokenizer = self.data.tokenizer
        if tokenizer is None or predictor is None:
            return ""
        prompt = [tokenizer.start_id, *(tokenizer.encode(self.prompt) if self.prompt else [])]
        ids = predictor.generate(prompt, 100, temperature=0.7, seed=0, stop_ids=(tokenizer.end_id,))
        return tokenizer.decode([*prompt[1:], *ids])

    def _keep(self, run):
        self.runs.append(run)
        self._known[run.key] = run
        with open(self.folder / RUNS, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(asdict(run)) + "\n")
            file.flush()


def describe(choice):
    """A choice in a few words."""
    words = {"learning_rate": "rate {:g}", "dropout": "dropout {:g}", "order": "order {}", "penalty": "penalty {:g}"}
    said = [words[name].format(value) for name, value in choice.items() if name in words and (name != "dropout" or value)]
    if "shape" in choice:
        said.append("d {}, {} layers".format(*choice["shape"]))
    return ", ".join(said) or "its only setting"


def first_megabytes(train, megabytes):
    """The first documents of a TokenFile, together about so many megabytes of text. Raises UsageError where it has fewer."""
    wanted, whole = megabytes * 1e6, train.bytes_of(0, len(train))
    if wanted > 1.05 * whole:
        raise UsageError(f"megabytes has {megabytes:g}; the training text has {whole / 1e6:.2f}")
    ends = np.flatnonzero(np.asarray(train.tokens) == train.end_id) + 1
    stop = int(len(train) * min(1.0, wanted / whole))
    return part_of(train, 0, int(ends[np.abs(ends - stop).argmin()]) if len(ends) else stop)


def read_runs(path):
    """The runs of an earlier call, [] where there are none. A last line that was cut short is left out. Raises CheckpointError."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):  # killed while it wrote
        lines.pop()
        write_text(path, "".join(lines))
    try:
        return [Run(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}; delete it to begin again") from None
