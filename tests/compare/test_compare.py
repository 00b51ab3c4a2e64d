"""toylm compare: its plan, what it keeps and goes on from, its intervals against hand-made numbers, the command from end to end."""

import json
import math
import sys

import numpy as np
import pytest
from small_fits import VOCABULARY, small_data, trained_model

from toylm.cli import run_verb
from toylm.compare import contestants
from toylm.compare.answers import answers, seconds_to_reach
from toylm.compare.contest import RUNS, Contest, Run, describe, first_megabytes, read_runs
from toylm.compare.measure import document_losses, paired_interval
from toylm.compare.pages import table
from toylm.compare.row import envelope, rows_of
from toylm.compare.settings import Settings
from toylm.errors import CheckpointError, UsageError
from toylm.train import sizing

FALLING = [(10.0, 4.0), (40.0, 3.0)]


def test_reading_an_envelope():
    assert seconds_to_reach(FALLING, 3.5) == (pytest.approx(20.0), False)  # half of the way on a logarithmic clock
    assert seconds_to_reach(FALLING, 4.5) == (10.0, True) and seconds_to_reach(FALLING, 2.9) is None


def run(name, budget, loss, seed=0, documents=None, **more):
    return Run(name, budget, None, False, {}, seed, loss, 1.0, budget or 0.5, 10, 40, {}, documents, **more)


def test_rows_are_means_of_seeds_and_the_envelope_never_rises():
    figures = (10.0, 4.0, 0), (10.0, 4.2, 1), (40.0, 3.0, 0), (90.0, 3.3, 0)
    runs = [run("adamw", *figure) for figure in figures] + [run("counts", None, 3.5)]
    rows = rows_of(runs, np.ones(1))
    assert [row.loss for row in rows] == pytest.approx([4.1, 3.5, 3.3, 3.0])
    assert rows[0].spread == pytest.approx(0.1) and rows[0].losses == (4.0, 4.2)
    assert envelope(rows, "adamw") == [(10.0, pytest.approx(4.1)), (40.0, 3.0), (90.0, 3.0)]
    assert "| 4.1000 ± 0.1000 |" in table(rows) and table(rows).splitlines()[-1].startswith("| adamw | 40 s | 40 s |")


def test_intervals_are_paired_by_document():
    rng = np.random.default_rng(0)
    counts = rng.integers(50, 150, 400)
    hard = rng.normal(3, 1, 400)  # documents differ much more than the two contestants do
    ours = counts * (hard - 0.05 + rng.normal(0, 0.02, 400))
    theirs = counts * hard
    difference, low, high = paired_interval([ours], [theirs], counts)
    assert difference == pytest.approx((ours.sum() - theirs.sum()) / counts.sum())
    assert low < difference < high < -0.04 and high - low < 0.01
    said = answers(rows_of([run("muon", 10.0, 2.9, documents=list(ours)), run("adamw", 10.0, 3.0, documents=list(theirs))], counts))
    assert any(sentence.startswith("muon, 10 s: 0.05") and "lower than adamw" in sentence for sentence in said)


def test_answers_hold_the_figures():
    runs = [run("adamw", *point) for point in FALLING] + [run("muon", 10.0, 3.5), run("muon", 40.0, 2.5)]
    runs.append(run("counts", None, 3.5))
    said = "\n".join(answers(rows_of(runs, np.ones(1))))
    assert "muon reaches what adamw reaches in 40 s (3.0000 nats) in 20 s, 0.50 x" in said
    assert "counts has 3.5000 nats after 0.50 s; adamw, tuned for each budget, needs 20 s for that" in said


def test_losses_by_document_add_up():
    data = small_data()
    model = trained_model(data, steps=3)
    sums, counts = document_losses(model, data)
    assert counts.sum() == len(data.held_out) and len(counts) == len(sums)
    assert sums.sum() / counts.sum() == pytest.approx(data.evaluate(model).loss)
    ends = np.flatnonzero(np.asarray(data.held_out.tokens) == 0)
    assert counts.tolist() == np.diff(ends, prepend=-1).tolist()


def test_sizes_of_the_text_are_whole_documents():
    data = small_data()
    data.train.utf8_bytes = whole = 9000
    part = first_megabytes(data.train, whole / 2e6)
    assert abs(len(part) / len(data.train) - 0.5) < 0.02 and part.tokens[-1] == 0
    with pytest.raises(UsageError, match="megabytes has 50; the training text has"):
        first_megabytes(data.train, 50)


@pytest.fixture
def small_shapes(monkeypatch):
    shapes = ((16, 1), (16, 2), (32, 1))
    for module in (sizing, contestants):
        monkeypatch.setattr(module, "SHAPES", shapes)
    monkeypatch.setattr(contestants, "_HEAD_START", (16, 2))


def test_every_contestant_runs_and_nothing_runs_twice(small_shapes, tmp_path):
    settings = Settings((0.05,), (0,), trials=2, context_length=16, batch_size=4, order=3, folds=8, trial_seconds=0.02)
    contest = Contest(small_data(), settings, tmp_path, 1e9, lambda line: None)
    names = list(contestants.CONTESTANTS)
    assert contest.expected_seconds(names) > 0
    contest.run(names)
    final = {r.contestant: r for r in contest.runs if not r.trial}
    assert set(final) == set(names) and contest.expected_seconds(names) == 0
    uniform = math.log(VOCABULARY)
    assert all(0 < r.loss < uniform + 2 for r in final.values())
    assert final["cross-entropy head"].loss < final["ridge head"].loss < uniform + 0.1
    assert final["bigram start"].loss < uniform and final["counts"].loss < uniform
    assert sum(r.trial and r.contestant == "adamw" for r in contest.runs) == 2
    beside = final["elm head"]
    assert beside.documents is None and beside.parameters > final["ridge head"].parameters
    lines = (tmp_path / RUNS).read_text(encoding="utf-8")
    again = Contest(small_data(), settings, tmp_path, 1e9, pytest.fail)  # says nothing: nothing is run
    again.run(names)
    assert (tmp_path / RUNS).read_text(encoding="utf-8") == lines


def test_choices_are_made_on_validation_text_and_the_test_text_is_only_measured(small_shapes, tmp_path):
    data, seen = small_data(), []
    settings = Settings(budgets=(0.02,), seeds=(0, 1), trials=2, context_length=16, batch_size=4, order=3)
    contest = Contest(data, settings, tmp_path, 1e9, lambda line: None)
    measured = contest._measured
    contest._measured = lambda run, fit, of: seen.append((run.trial, of)) or measured(run, fit, of)
    contest.run(["counts"])
    assert [trial for trial, _ in seen] == [True, True, False, False]
    trial, final = seen[0][1], seen[-1][1]
    assert np.array_equal(final.held_out.tokens, data.held_out.tokens)
    assert np.array_equal(trial.held_out.tokens, data.validation.tokens) and np.array_equal(trial.train.tokens, data.fitting.tokens)
    best = min((r for r in contest.runs if r.trial), key=lambda r: r.loss)
    assert all(r.choice == best.choice for r in contest.runs if not r.trial)


def test_choices_follow_the_clock():
    settings, speed = Settings(), 5e10
    small, large = (contestants.gradient_choices("adamw", settings, seconds, 512, speed)[0]["shape"] for seconds in (5, 60))
    assert small < large
    tried = contestants.gradient_choices("muon", settings, 60, 512, speed)
    assert len({json.dumps(choice) for choice in tried}) == len(tried) and tried[1]["shape"] < tried[0]["shape"]
    cut = contestants.gradient_choices("muon", settings, 420, 512, speed)  # trials of 60 s: sizes are not tried there
    assert len({choice["shape"] for choice in cut}) == 1
    assert describe(cut[1]) == f"rate 0.03, d {cut[1]['shape'][0]}, {cut[1]['shape'][1]} layers"


def test_a_line_that_was_cut_short_is_run_again(tmp_path):
    path = tmp_path / RUNS
    path.write_text(json.dumps(run("counts", None, 3.5).__dict__) + '\n{"contestant": "ad', encoding="utf-8")
    assert [r.contestant for r in read_runs(path)] == ["counts"] and path.read_text(encoding="utf-8").endswith("}\n")
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="is damaged"):
        read_runs(path)


def compare(stories, out, *flags):
    small = ["--vocab-size", "300", "--context-length", "16", "--batch-size", "4", "--order", "3", "--folds", "2"]
    quick = ["--budgets", "0.05", "--seeds", "0", "--trials", "1"]
    return run_verb("compare", [str(stories), *small, *quick, "--out", str(out), *flags])


def test_the_command_writes_table_pictures_samples_and_json(small_shapes, tmp_path, stories, capsys, monkeypatch):
    out = tmp_path / "out"
    assert compare(stories, out, "--only", "counts", "adamw") == 0
    said = capsys.readouterr().out
    assert "[2/2] adamw, 0.05 s | seed 0" in said and "time.png, bytes.png, samples.txt, compare.json" in said
    assert compare(stories, out, "--only", "counts", "muon", "--quiet") == 0  # one more, into the same table
    found = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert {row["contestant"] for row in found["rows"]} == {"counts", "adamw", "muon"}
    assert all(row["perplexity"] == pytest.approx(math.exp(row["loss"])) for row in found["rows"])
    assert "| muon | 0.05 s |" in (out / "table.md").read_text(encoding="utf-8")
    assert "=== counts (perplexity" in (out / "samples.txt").read_text(encoding="utf-8")
    assert (out / "time.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert compare(stories, out, "--order", "4") == 2
    assert "holds a comparison with another settings" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert compare(stories, out, "--only", "counts") == 0
    assert "table.md, samples.txt" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--only", "count"], "no contestant 'count'"),
        (["--budgets", "0"], "budgets has 0; it must be above 0"),
        (["--seeds", "-1"], "give at least one, none below 0"),
        (["--order", "0"], "order is 0"),
        (["--folds", "1"], "folds is 1; it must be at least 2"),
        (["--trials", "0"], "trials is 0; it must be at least 1"),
    ],
)
def test_mistakes_are_one_line(stories, tmp_path, monkeypatch, capsys, flags, sentence):
    monkeypatch.chdir(tmp_path)
    assert run_verb("compare", [str(stories), "--context-length", "16", "--vocab-size", "300", "--quiet", *flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_the_list_of_contestants(capsys):
    assert run_verb("compare", ["stories", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in contestants.CONTESTANTS) and "(an ablation)" in said
