"""Which text a run is trained and measured on: names and paths, options that a text has no use for, text that has changed."""

import json
import os
import shutil

import pytest
from small_run import SMALL, make_text

from toylm.cli import run_verb
from toylm.commands.train import run_name
from toylm.data import corpora
from toylm.formats.checkpoint import load_checkpoint
from toylm.train.run_folder import read_run

SHORT = ["--steps", "2", "--quiet"]


def tree(folder):
    """Every file with its content."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"}


def refused(capsys, status, *words):
    assert status == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    for word in words:
        assert word in error, error


@pytest.mark.parametrize(
    "data, name",
    [
        (["books/*.txt"], "books"),
        (["books/**/*.txt"], "books"),
        (["books/story*.txt"], "story"),
        (["[ab].txt"], None),
        (["?.txt"], None),
        (["task:copy"], "task-copy"),
        (["a/one.txt", "two.md"], "one-two"),
        (["-y-dash.txt"], "y-dash"),
    ],
)
def test_the_name_of_a_run_has_no_wildcards(tmp_path, monkeypatch, data, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_name(data) == (name or "here")  # nothing in the pattern: the folder's name


def test_a_pattern_is_read_from_anywhere(train, tmp_path, monkeypatch, capsys):
    (tmp_path / "books").mkdir()
    for i in range(2):
        (tmp_path / "books" / f"{i}.txt").write_text(make_text(60, seed=i), encoding="utf-8")
    assert train(*SHORT, data="books/*.txt") == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["books"]
    assert read_run(tmp_path / "runs" / "books")[0].data == (str(tmp_path / "books" / "*.txt"),)
    (tmp_path / "elsewhere" / "books").mkdir(parents=True)
    (tmp_path / "elsewhere" / "books" / "other.txt").write_text(make_text(60, seed=9), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train("--resume", tmp_path / "runs" / "books", "--steps", "3", "--quiet") == 0


def test_all_paths_are_read_from_anywhere(train, trained_run, tmp_path, monkeypatch, text_file):
    shutil.copytree(load_checkpoint(trained_run).path, tmp_path / "tokenizer")
    (tmp_path / "held.txt").write_text(make_text(20, seed=5), encoding="utf-8")
    flags = [*SHORT, "--tokenizer", "tokenizer", "--held-out-data", "held.txt", "--out", "run"]
    assert train(*SMALL[4:], *flags, small=False) == 0  # without a vocabulary and a share
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("TOYLM_CACHE", str(tmp_path / "cache"))
    assert train("--resume", tmp_path / "run", "--steps", "3", "--quiet") == 0


def test_a_share_beside_held_out_text_is_refused(train, tmp_path, capsys, monkeypatch, text_file):
    (tmp_path / "held.txt").write_text(make_text(20, seed=5), encoding="utf-8")
    refused(capsys, train(*SHORT, "--held-out-data", "held.txt", "--out", "run"), "held_out is 0.2", "held.txt")
    source = corpora.Source("two files", "1 kB", "CC0-1.0", lambda cache_dir: ([text_file], [tmp_path / "held.txt"]))
    monkeypatch.setitem(corpora.CORPORA, "pair", source)
    refused(capsys, train(*SHORT, "--out", "run", data="pair"), "held_out is 0.2", "leave held_out out")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flags", [("--held-out", "0.2"), ("--tokenizer", "bpe"), ("--limit", "999"), ("--vocab-size", "300"),
                                   ("--separator", "x"), ("--held-out-data", "stories")])  # fmt: skip
def test_what_was_decided_when_a_folder_was_prepared_is_refused(train, tmp_path, text_file, capsys, flags):
    assert run_verb("data", [str(text_file), "--out", "prepared", "--tokenizer", "char", "--held-out", "0.3"]) == 0
    capsys.readouterr()
    name = flags[0][2:].replace("-", "_")
    refused(capsys, train(*SMALL[4:], *SHORT, *flags, data="prepared", small=False), f"{name} was decided when ", "prepared")


def test_a_prepared_folder_is_told_as_it_is(train, tmp_path, text_file, capsys):
    assert run_verb("data", [str(text_file), "--out", "prepared", "--tokenizer", "char", "--held-out", "0.3"]) == 0
    capsys.readouterr()
    assert train(*SMALL[4:], "--steps", "2", "--out", "run", data="prepared", small=False) == 0
    assert "tokenizer    prepared, " in capsys.readouterr().out
    assert train("--resume", "run", "--steps", "3", "--quiet") == 0


@pytest.fixture(params=["byte", "char"])
def run_of_a_copy(train, tmp_path, text_file, request):
    """(run, its text): tokenizers that a changed text may leave as they were."""
    copy = tmp_path / "copy.txt"
    copy.write_bytes(text_file.read_bytes())
    assert train(*SMALL[2:], *SHORT, "--tokenizer", request.param, "--out", "run", data=copy, small=False) == 0
    return tmp_path / "run", copy


def test_a_text_that_has_changed_is_refused_and_nothing_is_written(train, run_of_a_copy, capsys):
    run, text = run_of_a_copy
    text.write_bytes(text.read_bytes().replace(b"number 7", b"number 8"))  # the same characters, other documents held out
    before = tree(run)
    refused(capsys, train("--resume", "run", "--steps", "4", "--quiet"), "the text of run has changed")
    refused(capsys, run_verb("evaluate", ["run"]), "the text of run has changed")
    assert tree(run) == before


def test_a_text_that_has_changed_under_a_run_of_an_earlier_version(train, run_of_a_copy, capsys):
    run, text = run_of_a_copy
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    del record["data"]["identity"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert run_verb("evaluate", ["run", "--json"]) == 0
    capsys.readouterr()
    text.write_bytes(text.read_bytes().replace(b"number", b"numbre"))
    refused(capsys, run_verb("evaluate", ["run"]), "the text of run has changed")


@pytest.mark.parametrize("flags, words", [(["--d-model", "32"], "d_model cannot change"), (["--threads", "100000"], "threads")])
def test_a_refused_resume_has_written_nothing(train, run_of_a_copy, capsys, flags, words):
    run, _ = run_of_a_copy
    (run / "step-000009.tmp-1").mkdir()
    before = tree(run)
    refused(capsys, train("--resume", "run", "--steps", "4", *flags), words)
    assert tree(run) == before and (run / "step-000009.tmp-1").exists()


def test_the_runs_own_text_is_measured_where_it_was_held_out(trained_run, text_file, tmp_path, capsys):
    def shown(*texts):
        assert run_verb("evaluate", [str(trained_run), *map(str, texts), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    own, named = shown(), shown(text_file)
    assert {**named, "seconds": 0, "note": None} == {**own, "seconds": 0} and "was trained on" in named["note"]
    assert run_verb("evaluate", [str(trained_run), str(text_file)]) == 0
    assert "note             " in capsys.readouterr().out
    other = tmp_path / "other.txt"
    other.write_text(make_text(5, seed=3), encoding="utf-8")
    assert shown(other)["note"] is None


def test_a_part_of_the_runs_own_text_is_refused(train, tmp_path, capsys):
    (tmp_path / "books").mkdir()
    for i in range(2):
        (tmp_path / "books" / f"{i}.txt").write_text(make_text(60, seed=i), encoding="utf-8")
    assert train(*SHORT, "--out", "run", data="books") == 0
    refused(capsys, run_verb("evaluate", ["run", os.path.join("books", "1.txt")]), "1.txt is text that run was trained on")


def test_an_undivided_text_has_no_documents(train, tmp_path, capsys):
    (tmp_path / "one.txt").write_text(make_text(400).replace("<|endoftext|>\n", ""), encoding="utf-8")
    assert train("--steps", "2", "--dry-run", data="one.txt") == 0
    printed = capsys.readouterr().out
    assert "one: 1 part" in printed or " parts, " in printed
    assert "the text is one document" in printed and "10 documents" not in printed and "1 document," not in printed
