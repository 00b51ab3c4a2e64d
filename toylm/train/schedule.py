"""How far a run is, and the learning rate there: a linear rise to the peak, then down to the final rate."""

import math

from ..optimizers import scheduled_rate

# A run of so many minutes has no number of steps to count: the clock's fraction is laid on this many virtual ones.
_CLOCK_STEPS = 100_000


class Schedule:
    """The length of a run, by steps, tokens or minutes, and its learning rates.

    `total_steps` is the number of optimizer steps, or None for a run of so many minutes, where everything follows the
    fraction of the time that has passed (and so is not repeatable to the bit).
    """

    def __init__(self, settings, context_length=None):
        self.peak = settings.peak_learning_rate
        self.floor = settings.peak_learning_rate * settings.final_learning_rate
        self.warmup, self.shape, self.cooldown = settings.warmup, settings.schedule, settings.cooldown
        self.tokens_per_step = settings.batch_size * settings.grad_accum * (context_length or settings.model.context_length)
        self.total_seconds = None if settings.minutes is None else settings.minutes * 60
        if settings.tokens is not None:
            self.total_steps = math.ceil(settings.tokens / self.tokens_per_step)
        else:
            self.total_steps = settings.steps

    def fraction(self, step, seconds):
        """The share of the run that is done after `step` steps and `seconds` of training, 0 to 1."""
        if self.total_steps is not None:
            return min(1.0, step / self.total_steps)
        return min(1.0, seconds / self.total_seconds)

    def finished(self, step, seconds):
        """Whether the run has reached its length."""
        return self.fraction(step, seconds) >= 1.0

    def learning_rate(self, step, seconds):
        """The learning rate of the step after `step` steps and `seconds` of training."""
        if self.total_steps is not None:
            total, position = self.total_steps, step
        else:
            total, position = _CLOCK_STEPS, int(self.fraction(step, seconds) * _CLOCK_STEPS)
        warmup_steps = round(self.warmup * total)
        return scheduled_rate(min(position, total), total, warmup_steps, self.peak, self.floor, self.shape, self.cooldown)

    def remaining_seconds(self, step, seconds, seconds_per_step):
        """Estimated seconds until the run ends."""
        if self.total_steps is not None:
            return max(0, self.total_steps - step) * seconds_per_step
        return max(0.0, self.total_seconds - seconds)
