"""The length of a run and its learning rate, against values worked out by hand."""

import pytest

from toylm.train.schedule import Schedule
from toylm.train.settings import TrainSettings


def settings(**changes):
    rates = {"learning_rate": 1.0, "final_learning_rate": 0.1, "warmup": 0.1}
    return TrainSettings().updated({**rates, "batch_size": 4, "context_length": 8, "grad_accum": 2, **changes})


def test_steps():
    schedule = Schedule(settings(steps=100))
    assert schedule.total_steps == 100 and schedule.tokens_per_step == 64
    rates = [schedule.learning_rate(step, 0.0) for step in range(101)]
    assert rates[:11] == pytest.approx([(i + 1) / 11 for i in range(10)] + [1.0])
    assert rates[55] == pytest.approx(0.55)  # half-way down the cosine: the mean of peak and floor
    assert rates[100] == pytest.approx(0.1)
    assert all(a > b for a, b in zip(rates[10:], rates[11:]))
    assert not schedule.finished(99, 0.0) and schedule.finished(100, 0.0)
    assert schedule.remaining_seconds(40, 123.0, 0.5) == 30.0


def test_tokens_become_steps_rounded_up():
    assert Schedule(settings(tokens=6400)).total_steps == 100
    assert Schedule(settings(tokens=6401)).total_steps == 101
    assert Schedule(settings(tokens=640), context_length=4).total_steps == 20  # examples shorter than the context


def test_minutes_follow_the_clock():
    schedule = Schedule(settings(minutes=1.0))
    assert schedule.total_steps is None
    assert 0 < schedule.learning_rate(0, 0.0) < 1e-3
    assert schedule.learning_rate(7, 3.0) == pytest.approx(0.5, rel=1e-3)
    assert schedule.learning_rate(7, 6.0) == pytest.approx(1.0, rel=1e-3)
    assert schedule.learning_rate(7, 33.0) == pytest.approx(0.55, rel=1e-3)
    assert schedule.learning_rate(7, 60.0) == pytest.approx(0.1)
    assert schedule.fraction(10**9, 15.0) == 0.25
    assert not schedule.finished(10**9, 59.9) and schedule.finished(1, 60.0)
    assert schedule.remaining_seconds(1, 45.0, 100.0) == 15.0


def test_no_warmup():
    assert Schedule(settings(steps=10, warmup=0.0)).learning_rate(0, 0.0) == 1.0
