import argparse
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from toylm.cli import VERBS, main, parser_of
from toylm.errors import UsageError
from toylm.help import HelpFormatter


def test_overview_names_every_verb_and_loads_nothing_heavy(capsys):
    code = "import sys\nfrom toylm.cli import main\nmain(['--help'])\nprint([m for m in ('numpy', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for verb, (_, line) in VERBS.items():
        assert verb in done.stdout and line in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.endswith("[]\n")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("toylm 0.")


def test_a_typo_is_answered_with_the_nearest_verb(capsys):
    assert main(["trian"]) == 2
    assert "no verb 'trian'; did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_parser_and_help(verb, monkeypatch, capsys):
    """Within 80 columns however wide the terminal is, at most 90 lines, and all that there is with --help-all."""
    monkeypatch.setenv("COLUMNS", "300")
    module = importlib.import_module(f"toylm.commands.{VERBS[verb][0]}")
    assert callable(module.run)
    pages = []
    for flag in ("-h", "--help-all"):
        with pytest.raises(SystemExit) as stopped:
            main([verb, flag])
        assert stopped.value.code == 0
        pages.append(capsys.readouterr().out)
        assert max(map(len, pages[-1].splitlines())) <= 80
    short, page = pages
    assert f"toylm {verb}" in short and short.count("\n") <= 90
    parser = parser_of(verb)[1]
    flags = {flag for action in parser._actions if action.help != argparse.SUPPRESS for flag in action.option_strings}
    assert flags <= set(re.findall(r"--?[\w-]+", page)) and set(parser.short or ()) <= flags
    assert (short == page) == (parser.short is None) and ("--help-all explains" in short) == (parser.short is not None)
    for action in parser._actions:
        said = parser._get_formatter()._expand_help(action) if action.help else ""
        assert not re.search(r"\(default: (?:\[.*|None|True|False|)\)|\(default.*\(default.*", said)


@pytest.mark.parametrize("verb", ["train", "generate", "evaluate", "data", "bench"])
def test_the_verbs_that_are_modules_too(verb):
    assert importlib.util.find_spec(f"toylm.{verb}")


def test_help_and_version_however_they_are_asked_for(capsys):
    pages = []
    for words in (["help", "info"], ["info", "-h"]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1] and "toylm info" in pages[0]
    for words in (["info", "-V"], ["train", "--version"]):
        with pytest.raises(SystemExit):
            main(words)
        assert capsys.readouterr().out.startswith("toylm 0.")
    assert main(["-V"]) == 0 and capsys.readouterr().out.startswith("toylm 0.")
    assert main(["help", "trian"]) == 2 and "did you mean 'train'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, hint",
    [
        (["train", "--lerning-rate", "1"], "did you mean '--learning-rate'?"),
        (["train", "--batchsize=3"], "did you mean '--batch-size'?"),
        (["generate", "x", "--temprature", "1"], "did you mean '--temperature'?"),
        (["info", "x", "--qqqqq"], "(toylm info --help-all explains all options)"),
    ],
)
def test_a_misspelt_flag(capsys, words, hint):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and hint in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "words, line",
    [
        (["generate", "x", "--seed", "9" * 5000], f"--seed is '{'9' * 37}...'; it must be a whole number"),
        (["generate", "x", "--seed", str(2**63)], "--seed is too large; it must be below 2**63"),
        (["generate", "x", "--temperature", "nan"], "--temperature is 'nan'; it must be a finite number"),
        (["data", "x", "--limit", "1.5"], "--limit is '1.5'; it must be a whole number"),
        (["data", "x", "--limit", "some"], "--limit is 'some'; it must be a whole number"),
        (["bench", "train", "--rounds", "x"], "--rounds is 'x'; it must be a whole number"),
        (["export", "x"], "the following arguments are required: --to"),
    ],
)
def test_a_value_that_is_none(capsys, words, line):
    """A line that names flag and value, in each verb; it was a page of usage, or an OverflowError later."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    error = capsys.readouterr().err
    verb = " ".join(words[:2]) if words[0] == "bench" else words[0]
    assert stopped.value.code == 2 and error == f"toylm {verb}: {line} (toylm {verb} -h explains it)\n"


def test_flags_and_values_as_people_write_them():
    parser = parser_of("train")[1]
    assert parser_of("data")[1].parse_args(["x", "--limit", "20M", "--vocab-size", "4k"]).limit == 20_000_000
    words = ["--learning_rate", "0.1", "--batch_size=3", "--sample-prompt", "-cat", "--lr", "1e-3", "--weight-decay", "-1"]
    args = parser.parse_intermixed_args([*words, "--data", "a", "b"])
    assert (args.learning_rate, args.batch_size, args.sample_prompt, args.weight_decay) == ("1e-3", "3", "-cat", "-1")
    assert args.data == ["a", "b"]
    with pytest.raises(SystemExit):  # a flag is not the value of the one before
        parser.parse_intermixed_args(["--sample-prompt", "--quiet"])


def test_help_shows_the_defaults_there_are(capsys):
    parser = argparse.ArgumentParser(formatter_class=HelpFormatter)
    shown = {"--zero": 0, "--half": 0.5, "--word": "x", "--rates": [1, 2]}
    silent = {"--none": None, "--switch": False, "--empty": "", "--many": []}
    for flag, default in (shown | silent).items():
        parser.add_argument(flag, default=default, help="what it is")
    parser.add_argument("--told", default=3, help="what it is (default: three)")
    parser.print_help()
    lines = [line for line in capsys.readouterr().out.splitlines() if "what it is" in line]
    ends = {line.split()[0]: line.partition("what it is")[2] for line in lines}
    assert [ends[flag] for flag in shown] == [" (default: 0)", " (default: 0.5)", " (default: x)", " (default: 1 2)"]
    assert [ends[flag] for flag in silent] == [""] * 4 and ends["--told"] == " (default: three)"


def test_options_may_stand_anywhere(capsys, tmp_path):
    files = [str(tmp_path / name) for name in ("a.txt", "b.txt")]
    for name in files:
        Path(name).write_text("Some words, and some more.", encoding="utf-8")
    out = str(tmp_path / "out")
    assert main(["data", files[0], "--out", out, files[1], "--tokenizer", "byte"]) == 0
    assert "2 documents" in capsys.readouterr().out
    for arguments, said in (([], "required: RUN"), (["a", "b", "--nosuch"], "unrecognized arguments: --nosuch")):
        with pytest.raises(SystemExit) as stopped:
            main(["evaluate", *arguments])
        assert stopped.value.code == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


def test_a_mistake_is_one_line_and_status_2(capsys, tmp_path):
    assert main(["generate", str(tmp_path / "nothing")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path) in error
    with pytest.raises(FileNotFoundError):
        main(["generate", str(tmp_path / "nothing"), "--debug"])


def fails_with(monkeypatch, error):
    """`toylm info` raises this error."""

    def run(args):
        raise error

    monkeypatch.setattr(importlib.import_module("toylm.commands.info"), "run", run)


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, ZeroDivisionError, FloatingPointError])
def test_a_fault_of_toylms_own_shows_where_it_is(monkeypatch, capsys, error):
    """It looked like the user's mistake: one line, without a place."""
    fails_with(monkeypatch, error("bad"))
    assert main(["info", "x"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said and "test_cli.py" in said and "this is a fault of toylm" in said


@pytest.mark.parametrize(
    "error, line",
    [
        (UsageError("one\nline"), "toylm info: one line\n"),
        (PermissionError(13, "Permission denied", "a/b.txt"), "toylm info: a/b.txt: Permission denied\n"),
        (FileNotFoundError(2, "No such file or directory"), "toylm info: the current folder: No such file or directory\n"),
        (OSError(28, "No space left on device"), "toylm info: a file: No space left on device\n"),
        (MemoryError(), "toylm info: out of memory: a smaller model, batch or context takes less\n"),
        (KeyboardInterrupt(), "\ntoylm info: interrupted\n"),
    ],
)
def test_what_is_not_toylms_fault_is_one_line(monkeypatch, capsys, error, line):
    fails_with(monkeypatch, error)
    assert main(["info", "x"]) == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert capsys.readouterr().err == line


@pytest.mark.skipif(os.name != "posix", reason="os.kill delivers signals on POSIX only")
def test_sigterm_ends_with_143_and_a_word(monkeypatch, capsys):
    monkeypatch.setattr(importlib.import_module("toylm.commands.info"), "run", lambda args: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["info", "x"]) == 143
    assert capsys.readouterr().err == "\ntoylm info: ended by SIGTERM\n" and signal.getsignal(signal.SIGTERM) is before


def test_more_threads_than_cores():
    """Numba must know of them before it is imported."""
    code = "from toylm.cli import _allow_threads\n_allow_threads('7')\nfrom toylm.threads import set_threads\nprint(set_threads(7))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "7\n"


@pytest.mark.parametrize("words", [["--tokenizer", "--"], ["--context-length=--"]])
def test_two_dashes_are_no_value(words, capsys):
    with pytest.raises(SystemExit):
        parser_of("data")[1].parse_args(["text.txt", *words])
    assert "expected a value, not --" in capsys.readouterr().err
