"""Fitters inside a training run: when they run, what they log, and that a resumed run has the same bits."""

import json
import shutil

import numpy as np
import pytest

from toylm.cli import run_verb
from toylm.formats.checkpoint import load_checkpoint

SMALL = ["--vocab-size", "300", "--held-out", "0.2", "--d-model", "16", "--n-heads", "2", "--n-layers", "2",
         "--context-length", "16", "--batch-size", "8", "--learning-rate", "0.01", "--log-every", "4", "--eval-every", "8",
         "--save-every", "4", "--sample-every", "none", "--threads", "1", "--quiet"]  # fmt: skip


def train(stories, out, *flags, status=0):
    assert run_verb("train", ["--data", str(stories), "--out", str(out), *SMALL, *map(str, flags)]) == status


def records(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


FITTERS = ["--head-fitter", "cross-entropy", "--tied", "false", "--block-fitter", "lora-gradient", "--fit-every", "6"]


def test_fitters_run_when_due_and_are_logged(stories, tmp_path):
    train(stories, tmp_path / "run", *FITTERS, "--steps", 8)
    fits = [r for r in records(tmp_path / "run") if "fitted" in r]
    assert [r["step"] for r in fits] == [6, 6, 6, 8, 8, 8]
    assert [r["fitted"] for r in fits[:3]] == ["block:0", "block:1", "head"]
    assert all(r["fit_seconds"] >= 0 and r["loss_after_fit"] > 0 for r in fits)
    evaluated = [r for r in records(tmp_path / "run") if "held_out_loss" in r][-1]
    assert evaluated["held_out_loss"] == pytest.approx(fits[-1]["loss_after_fit"], rel=1e-9)


def test_a_resumed_run_has_the_same_bits(stories, tmp_path):
    train(stories, tmp_path / "whole", *FITTERS, "--steps", 12)
    parts = shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    (parts / "latest").write_text("step-000008\n", encoding="utf-8")
    before = load_checkpoint(parts / "step-000008", training=True)
    assert before.training.state["loop"]["step"] == 8
    assert run_verb("train", ["--resume", str(parts / "step-000008"), "--quiet", "--steps", "12"]) == 0
    a, b = (load_checkpoint(tmp_path / name / "step-000012").model for name in ("whole", "parts"))
    np.testing.assert_array_equal(a.parameters.flat, b.parameters.flat)


def test_once_at_the_end_without_fit_every(stories, tmp_path):
    train(stories, tmp_path / "run", "--fitter", "lora-gradient", "--steps", 6)
    assert [(r["step"], r["fitted"]) for r in records(tmp_path / "run") if "fitted" in r] == [(6, "all")]


@pytest.mark.parametrize("flags,words", [
    (["--head-fitter", "cross-entropy"], "add --tied false"),
    (["--head-fitter", "lora"], "head_fitter is 'lora'"),
    (["--fitter", "ridge", "--data", "task:copy", "--vocab-size", "none"], "fitter reads running text"),
])  # fmt: skip
def test_what_cannot_be_fitted_is_said_before_training(stories, tmp_path, capsys, flags, words):
    train(stories, tmp_path / "run", *flags, "--steps", 4, status=2)
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()
