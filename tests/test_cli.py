import argparse
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from toylm.cli import VERBS, HelpFormatter, main


def test_overview_names_every_verb_and_loads_nothing_heavy(capsys):
    code = "import sys\nfrom toylm.cli import main\nmain(['--help'])\nprint([m for m in ('numpy', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for verb, (_, line) in VERBS.items():
        assert verb in done.stdout and line in done.stdout
    assert done.stdout.endswith("[]\n")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("toylm 0.")


def test_a_typo_is_answered_with_the_nearest_verb(capsys):
    assert main(["trian"]) == 2
    assert "no verb 'trian'; did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_parser_and_help(verb, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    module = importlib.import_module(f"toylm.commands.{VERBS[verb][0]}")
    assert callable(module.run)
    with pytest.raises(SystemExit) as stopped:
        main([verb, "-h"])
    assert stopped.value.code == 0
    page = capsys.readouterr().out
    assert f"toylm {verb}" in page
    assert not re.findall(r"\(default: (?:\[.*|None|True|False|)\)|\(default.*\(default.*", page)
    assert importlib.util.find_spec("toylm." + verb.replace("-", "_"))


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
        assert said in error and "usage: toylm evaluate [-h]" in error and "RUN [TEXT ...]" in error


def test_a_mistake_is_one_line_and_status_2(capsys, tmp_path):
    assert main(["generate", str(tmp_path / "nothing")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path) in error
    with pytest.raises(FileNotFoundError):
        main(["generate", str(tmp_path / "nothing"), "--debug"])
