"""The training loop: steps, and between them lines of progress, evaluations, samples and checkpoints.

All that a later process needs in order to go on with the same bits is in the checkpoint: the parameters, the optimizer's
moments, the position in the data, and LoopState. Samples draw from generators of their own, so that they change nothing.
"""

import contextlib
import dataclasses
import math
import time
from dataclasses import dataclass, field

from ..console import display_path, duration
from ..errors import DivergedError, UsageError
from ..evaluation import evaluate
from ..fitters.counts_offset import counts_for
from ..fitters.expert_weights import zero_expert_gradients
from ..formats.checkpoint import TrainingState
from ..kernels.jit import compile_seconds
from . import metrics
from .plot import draw_loss
from .polish import Polish
from .run_folder import METRICS, SAMPLES
from .schedule import Schedule

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
    """Trains `model` as the TrainSettings say, in a locked RunFolder.

    batches: a Batches; held_out: a TokenFile; tokenizer: a Tokenizer; stop: a StopRequest; console: a Console; compiled: the
    seconds that compiling kernels took before; calibration: what sets the weight of counts before an evaluation, or None.
    `run()` returns the LoopState at the end. Raises DivergedError, and UsageError when a file cannot be written; the
    message of either names the last good checkpoint.
    """

    def __init__(self, settings, model, optimizer, tokenizer, batches, held_out, run, console, stop, compiled=0.0,
                 calibration=None):  # fmt: skip
        self.calibration = calibration
        self.settings, self.model, self.optimizer, self.tokenizer = settings, model, optimizer, tokenizer
        self.batches, self.held_out, self.run_folder, self.console, self.stop = batches, held_out, run, console, stop
        self.schedule = Schedule(settings, batches.context_length)
        self.polish = Polish(settings, batches, held_out, tokenizer)
        self.state = LoopState()
        self.compile_seconds = compiled  # for this process, outside the run's own seconds
        self._saved_step = None
        self._step_seconds = 0.0  # of steps alone, in this process
        self._window_seconds, self._window_tokens = 0.0, 0  # the same since the last line
        self._plotted = -math.inf

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
        """Continue from a checkpoint's TrainingState. Raises ValueError if it belongs to other data."""
        state = training.state
        self.state = LoopState(**state["loop"])
        self.optimizer.load_state(training.arrays, state["optimizer"]["step_count"])
        self.batches.load_state(state["batches"])
        self.run_folder.truncate_logs(state["log_sizes"])
        self.run_folder.remove_remnants()
        self._saved_step = self.state.step
        self.state.finished = None

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self):
        """Train to the end, or until a stop is requested."""
        state, schedule = self.state, self.schedule
        self._start_clock()
        first_step, first_seconds = state.step, state.seconds
        total = schedule.total_steps or round(schedule.total_seconds)
        self.console.start(total, "step" if schedule.total_steps else "s", self._progress())
        try:
            if state.step == 0:
                self._couple()
            while state.finished is None and not self.stop.requested:
                self._step()
                self._count_time()
                done = state.step - first_step
                if done == 1:
                    timed_from = self._step_seconds  # the first step allocates: expectations are built on those after it
                if done == _TIMED_STEPS + 1:
                    self._say_expected((self._step_seconds - timed_from) / _TIMED_STEPS)
                per_step = (state.seconds - first_seconds) / done
                self._after_step(per_step)
            if state.step != self._saved_step:
                self._save()
            self._plot(at_once=True)
            return state
        finally:
            self.console.close()

    def _after_step(self, per_step):
        """Log, evaluate, sample and save where it is due after the step."""
        state, settings = self.state, self.settings
        if self.schedule.finished(state.step, state.seconds):
            state.finished = settings.horizon
        improved = False
        due = state.step % settings.log_every == 0
        if due or state.finished:
            self._log(per_step)
        if self.polish.due(state.step, state.finished):
            self._polish()
        if state.step % settings.eval_every == 0 or state.finished:
            improved = self._evaluate()
            if settings.patience is not None and state.evaluations_since_best >= settings.patience and not state.finished:
                state.finished = "patience"
        sampling = settings.sample_every is not None and self.tokenizer is not None
        if sampling and (state.step % settings.sample_every == 0 or state.finished):
            self._sample()
        self._couple()
        self.console.advance(self._progress())
        if improved or state.finished or state.step % settings.save_every == 0:
            self._save(best=improved)
            self._plot()
        self._count_time()

    def _step(self):
        """One optimizer step over `grad_accum` batches."""
        state, settings = self.state, self.settings
        learning_rate = self.schedule.learning_rate(state.step, state.seconds)
        began, compiled = time.perf_counter(), compile_seconds()
        self.model.gradients.zero_()
        loss, share = 0.0, 1.0 / settings.grad_accum
        for part in range(settings.grad_accum):
            tokens, targets = self.batches.next()
            seed = [settings.seed, state.step, part]
            loss += share * self.model.loss_and_gradients(
                tokens, targets, scale=share, dropout=settings.dropout, dropout_seed=seed,
                folds=counts_for(self.model, self.batches, settings.counts_share, seed),
            )  # fmt: skip
        if self.calibration is not None:
            zero_expert_gradients(self.model)
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
        seconds = time.perf_counter() - began - (compile_seconds() - compiled)
        self._step_seconds += seconds
        self._window_seconds += seconds
        self._window_tokens += self.schedule.tokens_per_step
        if self._suspicious() and len(state.recent_losses) == _RECENT:
            raise self._diverged(self._far_from_guessing(), learning_rate)

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
        peak = self.settings.learning_rate
        return DivergedError(
            f"diverged at step {step or self.state.step}: {what} (learning rate {learning_rate:.3g}, peak {peak:g}); "
            f"{self._kept()}; lower --learning-rate{self._or_resume()}"
        )

    # -- between the steps ---------------------------------------------------------------------------------------------

    def _log(self, per_step):
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
        windows = self.held_out.windows(settings.context_length, settings.batch_size, settings.eval_tokens)
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
        state.evaluated_step = state.step
        self._append(
            step=state.step, held_out_loss=result.loss, perplexity=result.perplexity, bits_per_byte=result.bits_per_byte,
            held_out_tokens=result.tokens, evaluation_seconds=result.seconds,
        )  # fmt: skip
        self.console.say(f"step {state.step:05d} | held-out {result}{' | best' if improved else ''}")
        return improved

    def _polish(self):
        """The fitters that are due, each with a line of metrics.jsonl."""
        for report in self.polish.run(self.model):
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
        state, settings, tokenizer = self.state, self.settings, self.tokenizer
        prompt = [tokenizer.start_id, *(tokenizer.encode(settings.sample_prompt) if settings.sample_prompt else [])]
        ids = self.model.generate(
            prompt, settings.sample_tokens, temperature=settings.sample_temperature, seed=settings.seed + state.step,
            stop_ids=(tokenizer.end_id,),
        )  # fmt: skip
        text = tokenizer.decode([*prompt[1:], *ids])
        with self._writing(SAMPLES), open(self._path(SAMPLES), "a", encoding="utf-8", newline="\n") as file:
            file.write(f"=== step {state.step} ===\n{text}\n\n")
        indented = "\n".join(f"    {line}" for line in text.strip().splitlines()) or "    (an empty document)"
        self.console.say(f"sample at step {state.step}:\n{indented}")

    def _couple(self):
        """Where it is due, the coupling of the blocks on the start of the held-out text, into metrics.jsonl."""
        every = self.settings.coupling_every
        if every is None or (self.state.step % every and not self.state.finished):
            return
        from ..dissect.emergence import coupling_record

        tokens, _ = next(iter(self.held_out.windows(self.settings.context_length, 1)))
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
        with self._writing("loss.png"):
            draw_loss(self._path(METRICS), self._path("loss.png"), title=self.run_folder.path.name)
            if self.settings.coupling_every is not None:
                from ..dissect.emergence import draw_emergence

                draw_emergence(self._path(METRICS), self._path("coupling.png"), title=self.run_folder.path.name)
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

    def _say_expected(self, per_step):
        """After a few timed steps: how long the run will take, and how much text it will see."""
        state, schedule = self.state, self.schedule
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
        return f"; go on with --resume {display_path(self.run_folder.path)}"

