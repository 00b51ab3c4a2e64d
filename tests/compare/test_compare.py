"""toylm compare: what its answers say of hand-made curves, and the command from end to end on a very small text."""

import json
import math
import sys

import pytest
from small_fits import VOCABULARY, small_data

from toylm.cli import run_verb
from toylm.compare.answers import answers, loss_at, seconds_to_reach, stays_below
from toylm.compare.contest import Contest
from toylm.compare.pages import table
from toylm.compare.row import Row
from toylm.compare.settings import Settings
from toylm.errors import UsageError

FALLING = [(0.0, 6.0), (10.0, 4.0), (20.0, 3.0)]


def test_reading_a_curve():
    assert loss_at(FALLING, 15) == 4.0 and loss_at(FALLING, -1) is None and loss_at(FALLING, 99) == 3.0
    assert seconds_to_reach(FALLING, 5.0) == pytest.approx(5)  # half of the way down to 4
    assert seconds_to_reach(FALLING, 3.25) == pytest.approx(17.5)
    assert seconds_to_reach(FALLING, 6.0) == 0 and seconds_to_reach(FALLING, 2.9) is None


def test_how_long_a_curve_stays_below_another():
    assert stays_below([(1.0, 3.5), (12.0, 2.0)], FALLING) == (2, None)
    assert stays_below([(1.0, 3.5)], FALLING) == (1, 20.0)
    assert stays_below([(1.0, 5.0), (30.0, 1.0)], FALLING) == (0, 10.0)
    assert stays_below([(30.0, 1.0)], FALLING) == (0, None)  # nothing of the other comes after its start


@pytest.mark.parametrize("curve,words", [
    ([(0.2, 3.5)], "is below adam until 20 s"), ([(5.0, 4.0), (20.0, 2.9)], "is not below adam at 10 s, when it starts"),
    ([(30.0, 2.9)], "starts after adam has ended"), ([(0.0, 2.9)], "is below adam at every second of the run"),
])  # fmt: skip
def test_answers_say_where_the_combination_is_below(curve, words):
    said = answers([row("adam", 3.0, 20.0, FALLING), row("counts + adam", 2.9, 20.0, curve)], 1)
    assert f"counts + adam {words}, and ends 9.5% lower" in said[0]


def row(name, loss, seconds, curve=None, **details):
    return Row(name, "one-shot", seconds, 10, 40, loss, 1.0, curve or [(seconds, loss)], details)


def test_answers_hold_the_figures():
    rows = [
        row("counts", 3.5, 0.1),
        row("adam", 3.0, 20.0, FALLING, learning_rate=0.003, validation_loss_by_rate={"0.003": 3.1, "0.01": 3.4}),
        row("counts + adam", 2.9, 20.0, [(0.2, 3.5), (9.0, 3.2), (20.0, 2.9)]),
        row("ridge head, random features", 4.0, 1.0),
        row("cross-entropy head, random features", 3.4, 1.0),
    ]
    said = "\n".join(answers(rows, 1))
    assert "counts reach perplexity 33.12 in 0.10 s; tuned Adam needs 15 s for it (150 times as long)" in said
    assert "counts + adam is below adam at every second of the run, and ends 9.5% lower in perplexity" in said
    assert "the cross-entropy head is 0.60 nats below one-hot ridge" in said
    assert "adam: learning rate 0.003, the best of (validation nats) 0.003 3.100, 0.01 3.400" in said
    slow = answers([row("counts", 2.0, 0.5), rows[1]], 1)
    assert "tuned Adam does not in 1 minutes (more than 120 times as long)" in slow[0]
    assert table(rows).splitlines()[-1].startswith("| counts + adam | 20 s | 10 | 40 B | 2.9000 | 18.17 |")


@pytest.fixture(scope="module")
def compared(tmp_path_factory, stories):
    folder = tmp_path_factory.mktemp("compare")
    small = ["--vocab-size", "300", "--d-model", "16", "--n-heads", "2", "--n-layers", "1", "--context-length", "16"]
    flags = ["--minutes", "0.02", "--adam-rates", "0.01", "--sgd-rates", "0.1", "0.3", "--order", "3", "--folds", "2"]
    common = [str(stories), *small, *flags, "--out", str(folder / "out"), "--quiet"]
    assert run_verb("compare", [*common, "--only", "counts", "bigram", "adam", "combination"]) == 0
    assert run_verb("compare", [*common, "--only", "sgd"]) == 0  # one more, into the same table
    return folder / "out"


def test_the_command_writes_table_curves_samples_and_json(compared):
    found = json.loads((compared / "compare.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in found["rows"]}
    assert {"counts", "bigram start", "adam", "sgd", "counts + adam"} == set(rows)
    uniform = math.log(found["vocab_size"])
    for name, result in rows.items():
        assert 0 < result["loss"] < uniform + 0.5, name
        assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
        assert result["curve"][-1][1] == pytest.approx(result["loss"])
        assert all(t0 <= t1 for (t0, _), (t1, _) in zip(result["curve"], result["curve"][1:]))
    assert rows["counts + adam"]["curve"][0][1] == pytest.approx(rows["counts"]["loss"], abs=1e-4)  # starts as the counts
    assert set(rows["sgd"]["details"]["validation_loss_by_rate"]) == {"0.1", "0.3"}
    assert "| counts + adam |" in (compared / "table.md").read_text(encoding="utf-8")
    assert "=== counts (perplexity" in (compared / "samples.txt").read_text(encoding="utf-8")
    assert (compared / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_is_named_where_it_was_drawn(tmp_path, stories, monkeypatch, capsys):
    small = ["--vocab-size", "300", "--d-model", "16", "--n-heads", "2", "--n-layers", "1", "--context-length", "16"]
    common = [str(stories), *small, "--order", "3", "--only", "counts"]
    assert run_verb("compare", [*common, "--out", str(tmp_path / "drawn")]) == 0
    assert "table.md, curves.png, samples.txt" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run_verb("compare", [*common, "--out", str(tmp_path / "not")]) == 0
    assert "table.md, samples.txt" in capsys.readouterr().out and not (tmp_path / "not" / "curves.png").exists()


def test_heads_on_random_features_and_on_what_adam_learned():
    kept = []
    settings = Settings(minutes=0.01, d_model=16, n_layers=1, n_heads=2, context_length=16, batch_size=4, adam_rates=(0.01,))
    contest = Contest(small_data(), settings, lambda line: None, on_row=lambda contest: kept.append(len(contest.rows)))
    contest.feature_heads(("ridge", "cross-entropy"))
    with pytest.raises(UsageError, match="add adam, or leave polish out"):
        contest.polish()
    contest.adam()
    contest.polish()
    rows = {row.name: row for row in contest.rows}
    assert kept == [1, 2, 3, 4]
    assert rows["cross-entropy head, random features"].loss < rows["ridge head, random features"].loss
    assert rows["adam, then a cross-entropy head"].seconds > rows["adam"].seconds
    assert contest.models["adam"].config.tied  # the polished model is another one
    contest.feature_heads(("ridge",))
    assert len(contest.rows) == 4  # it replaced its own


def test_the_combination_takes_adams_rate_where_it_is_one_to_try(monkeypatch):
    found = []
    monkeypatch.setattr(Contest, "_descend", lambda self, name, method, rates, start, kind: found.append(rates))
    for rates in ((0.05,), (0.05, 0.02), (0.003, 0.05)):
        Contest(small_data(), Settings(adam_rates=rates), rows=[row("adam", 3.0, 1.0, learning_rate=0.003)]).combination()
    assert found == [(0.05,), (0.05, 0.02), (0.003,)]


def test_a_head_beside_the_model_is_counted_with_it():
    settings = Settings(minutes=0.01, d_model=16, n_layers=1, n_heads=2, context_length=16, batch_size=4)
    contest = Contest(small_data(), settings, lambda line: None)
    contest.feature_heads(("ridge", "elm"))
    model, rows = contest._model(), {row.name.partition(" ")[0]: row for row in contest.rows}
    beside = 16 * 1024 + 1024 + 1024 * VOCABULARY
    assert rows["elm"].parameters == model.n_parameters + beside
    assert rows["elm"].n_bytes == model.parameters.flat.nbytes + 8 * beside
    assert rows["ridge"].parameters == model.n_parameters + 16 * VOCABULARY  # an output matrix of its own


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--only", "count"], "no contestant 'count'"),
        (["--minutes", "0"], "minutes is 0; it must be above 0"),
        (["--adam-rates", "-1"], "adam-rates has -1; learning rates are above 0"),
        (["--order", "0"], "order is 0"),
        (["--seed", "-1"], "seed is -1; it must be at least 0"),
        (["--counts-share", "-3"], "counts_share is -3; it must be from 0 to 1"),
        (["--folds", "1"], "folds is 1; it must be at least 2"),
        (["--folds", "40"], "have 40 folds, the last of which is shorter than the"),
        (["--n-heads", "3"], "not divisible by n_heads 3"),
        (["--only", "polish"], "add adam, or leave polish out"),
    ],
)
def test_mistakes_are_one_line(stories, tmp_path, monkeypatch, capsys, flags, sentence):
    monkeypatch.chdir(tmp_path)
    assert run_verb("compare", [str(stories), "--context-length", "16", "--vocab-size", "300", "--quiet", *flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and "Traceback" not in error
    assert not list(tmp_path.iterdir())
