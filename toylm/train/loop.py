"""The training loop: steps, and between them lines of progress, evaluations, fits, samples and checkpoints.

All that a later process needs in order to go on with the same bits is in the checkpoint: the parameters, the optimizer's
moments, the position in the data, and LoopState. Samples draw from generators of their own, so that they change nothing.
"""

import contextlib
import dataclasses
import math
import time
from dataclasses import dataclass, field

from ..console import display_path, duration
from ..dissect.emergence import coupling_record, draw_emergence
from ..errors import CheckpointError, DivergedError, UsageError
from ..evaluation import evaluate
from ..fitters.counts_offset import counts_for
from ..fitters.expert_weights import zero_expert_gradients
from ..formats.checkpoint import TrainingState
from ..invocation import command_line
from ..kernels.jit import compile_seconds
from . import metrics
from .plot import draw_loss
from .run_folder import METRICS, SAMPLES

_TIMED_STEPS = 10  # steps timed before the expected duration is said
_RECENT = 10  # losses whose mean tells a diverged run from one bad batch
_PLOT_SECONDS = 60.0  # between two drawings of loss.png during a run


@dataclass
class LoopState:
    """Where the loop stands, as kept in training.json."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0  # of training, evaluations and saving included, compilation not
    loss_sum: float = 0.0  # since the last line of metrics.jsonl
    loss_count: int = 0
    recent_losses: list = field(default_factory=list)
    first_loss: float | None = None
    best_loss: float | None = None  # held out
    best_step: int | None = None
    evaluations_since_best: int = 0
    evaluated_step: int | None = None
    finished: str | None = None  # "steps", "tokens", "minutes" or "patience"


class Trainer:
    """Trains a model as the TrainSettings say, in a locked RunFolder.

    parts: what `set_up` made; prepared: a toylm.data.Prepared; stop: a StopRequest; console: a Console; compiled: the seconds that
    compiling kernels took before. `run()` returns the LoopState at the end. Raises DivergedError, and UsageError when a file cannot
    be written; the message of either names the last good checkpoint.
    """

    def __init__(self, settings, parts, prepared, run_folder, console, stop, compiled=0.0):
        self.settings, self.run_folder, self.console, self.stop = settings, run_folder, console, stop
        self.model, self.optimizer, self.batches, self.schedule, self.fits, self.calibration = parts
        self.held_out, self.tokenizer = prepared.held_out, prepared.tokenizer
        self.state = LoopState()
        self.compile_seconds = compiled  # for this process, outside the run's own seconds
        self._saved_step = None
        self._step_seconds = 0.0  # of steps alone, in this process
        self._window_seconds, self._window_tokens = 0.0, 0  # the same since the last line
        self._plotted = time.perf_counter()
        self._first = (0, 0.0)  # step and seconds where this process began
        self._start_clock()

    # -- resuming ------------------------------------------------------------------------------------------------------

    def state_dict(self):
        """Everything but the arrays, JSON-able; the inverse of `load`."""
        return {
            "loop": dataclasses.asdict(self.state),
            "optimizer": {"name": self.settings.optimizer, "step_count": self.optimizer.step_count},
            "batches": self.batches.state(),
            "log_sizes": self.run_folder.sync_logs(),
        }

    def load(self, training):
        """Continue from a checkpoint's TrainingState, without writing anything; returns whether the run has ended there.

        Raises UsageError or CheckpointError where the state does not fit.
        """
        try:
            self.state = LoopState(**training.state["loop"])
            self.optimizer.load_state(training.arrays, training.state["optimizer"]["step_count"])
            self.batches.load_state(training.state["batches"])
            self.log_sizes = dict(training.state["log_sizes"])
            over = self.schedule.finished(self.state.step, self.state.seconds)
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"the training.json of {display_path(self.run_folder.path)} is damaged: {error}") from None
        self._saved_step = self.state.step
        ended = metrics.last_end(self._path(METRICS)) == self.state.step
        if over:
            self.state.finished = self.settings.horizon
        elif self.state.finished != "patience" or ended:
            self.state.finished = None
        return over and ended

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self):
        """Train to the end, or until a stop is requested."""
        state, settings = self.state, self.settings
        self._start_clock()
        self._first = (state.step, state.seconds)
        total = self.schedule.total_steps or round(self.schedule.total_seconds)
        self.console.start(total, "step" if self.schedule.total_steps else "s", self._progress())
        try:
            if state.step == 0 and settings.coupling_every is not None:
                self._couple()
            while state.finished is None and not self.stop.requested:
                self._step()
                if self.schedule.finished(state.step, state.seconds):
                    state.finished = settings.horizon
                if self._due(settings.log_every):
                    self._log()
                if self.fits.due(state.step, state.finished):
                    self._fit()
                improved = self._due(settings.eval_every) and self._evaluate()
                if self._due(settings.sample_every) and self.tokenizer is not None:
                    self._sample()
                if self._due(settings.coupling_every):
                    self._couple()
                self.console.advance(self._progress())
                if improved or self._due(settings.save_every):
                    self._save(best=improved)
                    self._plot()
                self._count_time()
            if state.step != self._saved_step:
                self._save()
            self._plot(at_once=True)
            return state
        finally:
            self.console.close()

    def rehearse(self, parts):
        """Do once what `run` does between loading and saving, so that it is compiled: "training", "sampling" or both."""
        if "training" in parts:
            self._step()
            for report in self.fits.run(self.model):
                self.console.say(report)
            self._evaluate()
            if self.settings.coupling_every is not None:
                self._couple()
        if "sampling" in parts:
            self._sample()

    def _due(self, every):
        """Whether something is due that is done every so many steps and at the end; None is never."""
        return every is not None and bool(self.state.finished or self.state.step % every == 0)

    def _step(self):
        """One optimizer step over `grad_accum` batches."""
        state, settings = self.state, self.settings
        began, compiled = time.perf_counter(), compile_seconds()
        learning_rate = self.schedule.learning_rate(state.step, state.seconds)
        self.model.gradients.zero_()
        loss = self._loss_and_gradients()
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}", learning_rate, state.step + 1)
        try:
            self.norm = self.optimizer.step(self.model.gradients, learning_rate=learning_rate, max_norm=settings.clip)
        except DivergedError as error:
            raise self._diverged(str(error), learning_rate, state.step + 1) from None
        self.learning_rate = learning_rate
        state.step += 1
        state.tokens += self.schedule.tokens_per_step
        state.loss_sum += loss
        state.loss_count += 1
        state.recent_losses = [*state.recent_losses[1 - _RECENT :], loss]
        if state.first_loss is None:
            state.first_loss = loss
        if self._suspicious() and len(state.recent_losses) == _RECENT:
            raise self._diverged(self._far_from_guessing(), learning_rate)
        seconds = time.perf_counter() - began - (compile_seconds() - compiled)
        self._step_seconds += seconds
        self._window_seconds += seconds
        self._window_tokens += self.schedule.tokens_per_step
        self._count_time()
        self._say_expected()

    def _loss_and_gradients(self):
        """The loss over the step's batches, each weighted by its counted targets, so that they are one large batch."""
        settings, passes = self.settings, []
        for part in range(settings.grad_accum):
            tokens, targets = self.batches.next()
            seed = [settings.seed, self.state.step, part]
            passes.append((tokens, targets, seed, counts_for(self.model, self.batches, settings.counts_share, seed)))
        counted = [int((targets >= 0).sum()) for _, targets, _, _ in passes]
        loss = 0.0
        for (tokens, targets, seed, folds), targets_counted in zip(passes, counted):
            share = targets_counted / max(1, sum(counted))
            loss += share * self.model.loss_and_gradients(
                tokens, targets, scale=share, dropout=settings.dropout, dropout_seed=seed, folds=folds
            )
        if self.calibration is not None:
            zero_expert_gradients(self.model)
        return loss

    def _suspicious(self):
        """Whether the last losses are far above those of guessing: nothing that should be kept or gone on with."""
        recent = self.state.recent_losses
        if not recent:
            return False
        limit = 2.0 * max(math.log(self.model.config.vocab_size), self.state.first_loss)
        return math.fsum(recent) / len(recent) > limit

    def _far_from_guessing(self):
        recent = self.state.recent_losses
        guess = math.log(self.model.config.vocab_size)
        return f"the loss is {math.fsum(recent) / len(recent):.3g}, where blind guessing has {guess:.3g}"

    def _diverged(self, what, learning_rate, step=None):
        peak = self.settings.peak_learning_rate
        return DivergedError(
            f"diverged at step {step or self.state.step}: {what} (learning rate {learning_rate:.3g}, peak {peak:g}); "
            f"{self._kept()}; lower --learning-rate{self._or_resume()}"
        )

    # -- between the steps ---------------------------------------------------------------------------------------------

    def _log(self):
        state = self.state
        if not state.loss_count:
            return
        loss = state.loss_sum / state.loss_count
        speed = self._window_tokens / self._window_seconds if self._window_seconds > 0 else None
        self._append(
            step=state.step, loss=loss, learning_rate=self.learning_rate, gradient_norm=self.norm, tokens=state.tokens,
            epochs=self.batches.epochs, tokens_per_second=speed, seconds=state.seconds,
        )  # fmt: skip
        state.loss_sum, state.loss_count = 0.0, 0
        self._window_seconds, self._window_tokens = 0.0, 0
        fraction = self.schedule.fraction(state.step, state.seconds)
        per_step = (state.seconds - self._first[1]) / (state.step - self._first[0])
        eta = duration(self.schedule.remaining_seconds(state.step, state.seconds, per_step))
        total = self.schedule.total_steps
        counted = f"{state.step:05d}" + (f"/{total:05d}" if total else "")
        shown = "" if speed is None else f" | tok/s {speed:,.0f}"
        self.console.step_line(
            f"step {counted} ({fraction:.2%}) | loss {loss:.4f} | lr {self.learning_rate:.2e} | norm {self.norm:.2f}"
            f"{shown} | eta: {eta}"
        )
        self.console.advance(self._progress(), loss=f"{loss:.3f}", **({} if speed is None else {"tok/s": f"{speed:,.0f}"}))

    def _evaluate(self):
        """Evaluate on held-out text; returns whether it is the best so far."""
        state, settings = self.state, self.settings
        windows = self.held_out.windows(settings.model.context_length, settings.batch_size, settings.eval_tokens)
        if self.calibration is not None:
            self.calibration(self.model)
            counts, transformer = self.model.unembedding.expert_weights(self.model.parameters)
            self._append(step=state.step, counts_weight=counts, transformer_weight=transformer)
        result = evaluate(self.model, windows)
        if not math.isfinite(result.loss):
            raise self._diverged(f"the held-out loss is {result.loss}", self.learning_rate)
        improved = state.best_loss is None or result.loss < state.best_loss
        if improved:
            state.best_loss, state.best_step, state.evaluations_since_best = result.loss, state.step, 0
        else:
            state.evaluations_since_best += 1
        if settings.patience is not None and state.evaluations_since_best >= settings.patience and not state.finished:
            state.finished = "patience"
        state.evaluated_step = state.step
        self._append(
            step=state.step, held_out_loss=result.loss, perplexity=result.perplexity, bits_per_byte=result.bits_per_byte,
            held_out_tokens=result.tokens, evaluation_seconds=result.seconds,
        )  # fmt: skip
        self.console.say(f"step {state.step:05d} | held-out {result}{' | best' if improved else ''}")
        return improved

    def _fit(self):
        """The fitters that are due, each with a line of metrics.jsonl."""
        for report in self.fits.run(self.model):
            if not math.isfinite(report.loss_after):
                raise self._diverged(f"the held-out loss is {report.loss_after} after a fit of {report.part}", self.learning_rate)
            self._append(
                step=self.state.step, fitted=report.part, fitter=report.fitter, solver=report.solver, rcond=report.rcond,
                fit_seconds=report.seconds, loss_before_fit=report.loss_before, loss_after_fit=report.loss_after,
            )  # fmt: skip
            what = f"{report.part} with {report.fitter} in {report.seconds:.1f} s"
            change = f"held-out {report.loss_before:.4f} -> {report.loss_after:.4f}"
            self.console.say(f"step {self.state.step:05d} | fitted {what} | {change}")

    def _sample(self):
        """A text from the model, into samples.txt and onto the console."""
        with self._not_worth_a_run("sample"):
            state, settings, tokenizer = self.state, self.settings, self.tokenizer
            prompt = [tokenizer.start_id, *(tokenizer.encode(settings.sample_prompt) if settings.sample_prompt else [])]
            ids = self.model.generate(
                prompt, settings.sample_tokens, temperature=settings.sample_temperature, seed=settings.seed + state.step,
                stop_ids=(tokenizer.end_id,),
            )  # fmt: skip
            text = tokenizer.decode([*prompt[1:], *ids])
            with open(self._path(SAMPLES), "a", encoding="utf-8", newline="\n") as file:
                file.write(f"=== step {state.step} ===\n{text}\n\n")
            indented = "\n".join(f"    {line}" for line in text.strip().splitlines()) or "    (an empty document)"
            self.console.say(f"sample at step {state.step}:\n{indented}")

    def _couple(self):
        """The coupling of the blocks on the start of the held-out text, into metrics.jsonl."""
        with self._not_worth_a_run("coupling"):
            tokens, _ = next(iter(self.held_out.windows(self.settings.model.context_length, 1)))
            self._append(step=self.state.step, **coupling_record(self.model, tokens[0]))

    def _save(self, best=False):
        if self._suspicious():  # a checkpoint of a run that is falling apart would push out a good one
            if self.state.finished or self.stop.requested:
                raise self._diverged(self._far_from_guessing(), self.learning_rate)
            return
        self._count_time()
        with self._writing(f"step-{self.state.step:06d}"):
            training = TrainingState(self.optimizer.state(), self.state_dict())
            self.run_folder.save(
                self.state.step, self.model, self.tokenizer, training, best=best, keep_last=self.settings.keep_last
            )
        self._saved_step = self.state.step

    def _plot(self, at_once=False):
        if not at_once and time.perf_counter() - self._plotted < _PLOT_SECONDS:
            return
        with self._not_worth_a_run("picture"):
            draw_loss(self._path(METRICS), self._path("loss.png"), title=self.run_folder.path.name)
            if self.settings.coupling_every is not None:
                draw_emergence(metrics.read(self._path(METRICS)), self._path("coupling.png"), title=self.run_folder.path.name)
        self._plotted = time.perf_counter()

    def finish(self, peak_memory):
        """The last line of metrics.jsonl."""
        self._append(
            step=self.state.step, finished=self.state.finished or "interrupted", seconds=self.state.seconds,
            compile_seconds=self.compile_seconds, peak_memory_bytes=peak_memory,
        )  # fmt: skip

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _progress(self):
        state = self.state
        return state.step if self.schedule.total_steps else min(state.seconds, self.schedule.total_seconds)

    def _start_clock(self):
        self._clock, self._compiled = time.perf_counter(), compile_seconds()

    def _count_time(self):
        """Add the time since the last call to the run's seconds, without what compilation took of it."""
        now, compiled = time.perf_counter(), compile_seconds()
        self.compile_seconds += compiled - self._compiled
        self.state.seconds += max(0.0, now - self._clock - (compiled - self._compiled))
        self._clock, self._compiled = now, compiled

    def _say_expected(self):
        """After a few timed steps: how long the run will take, and how much text it will see."""
        state, schedule = self.state, self.schedule
        done = state.step - self._first[0]
        if done == 1:
            self._timed_from = self._step_seconds  # the first step allocates: expectations are built on those after it
        if done != _TIMED_STEPS + 1:
            return
        per_step = (self._step_seconds - self._timed_from) / _TIMED_STEPS
        seconds = schedule.remaining_seconds(state.step, state.seconds, per_step)
        steps = schedule.total_steps or state.step + round(seconds / per_step)
        tokens = steps * schedule.tokens_per_step
        epochs = tokens / (self.batches.windows_per_epoch * self.batches.context_length)
        self.console.say(
            f"expected: {duration(seconds)} for {steps:,} steps, {tokens:,} tokens ({epochs:.1f} epochs) "
            f"at {schedule.tokens_per_step / per_step:,.0f} tokens/s"
        )

    def _append(self, **record):
        with self._writing(METRICS):
            metrics.append(self._path(METRICS), record)

    def _path(self, name):
        return self.run_folder.path / name

    @contextlib.contextmanager
    def _not_worth_a_run(self, what):
        """A sample or a picture that fails is told of, and training goes on."""
        try:
            yield
        except Exception as error:
            self.console.say(f"step {self.state.step:05d} | no {what}: {type(error).__name__}: {error}")

    @contextlib.contextmanager
    def _writing(self, what):
        """Turn a failed write into one sentence that says what was kept."""
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"cannot write {display_path(self._path(what))} at step {self.state.step}: {error.strerror or error}; "
                f"{self._kept()}{self._or_resume()}"
            ) from error

    def _kept(self):
        latest = self.run_folder.latest()
        return f"the last good checkpoint is {display_path(latest)}" if latest else "no checkpoint had been saved"

    def _or_resume(self):
        if self.run_folder.latest() is None:
            return ""
        return f"; go on with: {command_line('train', '--resume', display_path(self.run_folder.path))}"

