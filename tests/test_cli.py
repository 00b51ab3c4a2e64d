import importlib
import subprocess
import sys

import pytest

from toylm.cli import VERBS, main


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
def test_every_verb_has_a_parser_and_help(verb, capsys):
    module = importlib.import_module(VERBS[verb][0])
    assert callable(module.run)
    with pytest.raises(SystemExit) as stopped:
        main([verb, "-h"])
    assert stopped.value.code == 0
    assert f"toylm {verb}" in capsys.readouterr().out


def test_a_mistake_is_one_line_and_status_2(capsys, tmp_path):
    assert main(["generate", str(tmp_path / "nothing")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path) in error
    with pytest.raises(FileNotFoundError):
        main(["generate", str(tmp_path / "nothing"), "--debug"])
