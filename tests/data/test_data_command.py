"""toylm data ..., as it is typed."""

import re
import subprocess
import sys

import pytest

from toylm.cli import main
from toylm.commands.data import human_bytes


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "my.txt"
    path.write_text("\n\n".join(f"Line {i}: a cat and {i * 7} 🙂." for i in range(60)), encoding="utf-8")
    return path


def test_a_text_is_prepared_and_described(tmp_path, text, capsys):
    out = tmp_path / "out"
    assert main(["data", str(text), "--out", str(out), "--vocab-size", "300", "--separator", r"\n\n"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"training +57 documents +[\d,]+ tokens +[\d.]+ kB +[\d.]+ bytes/token", shown)
    assert re.search(r"held out +3 documents", shown)
    assert "the same text" in shown and "duplicates removed from the split: 0" in shown and f"--data {out}" in shown
    assert (out / "train.bin").exists() and (out / "tokenizer.json").exists()
    assert main(["data", str(out)]) == 0
    assert re.search("training +57 documents", capsys.readouterr().out)


def test_the_default_folder_lies_under_runs(tmp_path, text, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "my.txt", "--tokenizer", "char"]) == 0
    assert (tmp_path / "runs" / "data" / "my" / "prepared.json").exists()
    assert "one document" in capsys.readouterr().out  # how an undivided text was split


def test_list(capsys):
    assert main(["data", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("stories", "tinystories", "shakespeare", "task:bracket", "any UTF-8 text"))


def test_more_stories(tmp_path, capsys):
    out = tmp_path / "more.txt"
    assert main(["data", "stories", "--count", "5", "--seed", "3", "--out", str(out)]) == 0
    first = out.read_bytes()
    assert first.count(b"<|endoftext|>") == 5 and "5 stories" in capsys.readouterr().out
    assert main(["data", "stories", "--count", "5", "--seed", "3", "--out", str(out)]) == 0
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["data"], "name a corpus or a text"),
        (["data", "storis"], "did you mean 'stories'?"),
        (["data", "task:brackets"], "no task 'brackets'; did you mean 'bracket'?"),
        (["data", "missing.txt"], "there is no file or folder 'missing.txt'"),
        (["data", "TEXT", "--vocab-size", "10"], "vocab_size is 10"),
        (["data", "TEXT", "--separator", "##"], "separator '##' does not occur"),
        (["data", "TEXT", "--context-length", "100000"], "one context of 100000 needs 100001"),
        (["data", "TEXT", "--count", "5", "--out", "x"], "--count goes with the source 'stories'"),
        (["data", "stories", "--count", "5"], "--count needs --out FILE"),
        (["data", "stories", "--count", "0", "--out", "x"], "--count is 0"),
        (["data", "stories", "--count", "1", "--out", "."], "is a folder"),
    ],
)
def test_mistakes_are_one_line_and_status_2(tmp_path, text, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main([str(text) if a == "TEXT" else a for a in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("toylm data: ") and message in error and error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir() if p != text] in ([], ["runs"]) and not list(tmp_path.glob("runs/data/*"))


def test_it_is_a_module_too(text, tmp_path):
    command = [sys.executable, "-m", "toylm.data", str(text), "--tokenizer", "byte", "--out", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert result.returncode == 0 and "257 tokens" in result.stdout and result.stderr == ""


@pytest.mark.parametrize("task", ["copy", "bracket", "reverse", "running-sum"])
def test_a_task_is_shown(task, capsys):
    assert main(["data", f"task:{task}", "--context-length", "32"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"training +3,686 examples of 32 tokens", shown) and "nothing was written" in shown


def test_small_helpers():
    assert [human_bytes(n) for n in (0, 999, 3100, 2_200_000_000)] == ["0 B", "999 B", "3.1 kB", "2.2 GB"]
