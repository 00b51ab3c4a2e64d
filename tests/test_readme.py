"""The README's Python example runs and prints what its comments say; its commands and files exist."""

import contextlib
import doctest
import io
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_example_prints_what_its_comments_say():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    expected = re.findall(r"^print\(.*\)\s+# (.*)$", code, re.M)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    lines = printed.getvalue().splitlines()
    assert len(lines) == len(expected) >= 4
    for line, comment in zip(lines, expected):
        value = comment.split(":")[0]
        assert line == value or line.startswith("Mat(16 x 16 float32"), (line, comment)


def test_closed_form_session_prints_what_it_shows():
    (session,) = re.findall(r"```pycon\n(.*?)```", README, re.S)
    examples = doctest.DocTestParser().get_doctest(session, {}, "README.md", "README.md", 0)
    assert len(examples.examples) >= 6
    result = doctest.DocTestRunner(verbose=False).run(examples)
    assert result.failed == 0


def test_every_path_of_the_file_map_exists():
    table = README.split("## Where things are")[1].split("##")[0]
    paths = re.findall(r"`([\w./]+/|[\w./]+\.py)`", table)
    assert len(paths) > 10
    for path in paths:
        candidates = [ROOT / path, ROOT / "toylm" / path, ROOT / "toylm" / "data" / path]
        assert any(c.exists() for c in candidates), path


def test_the_readme_names_every_verb_and_no_other():
    from toylm.cli import VERBS

    verbs = set(re.findall(r"[`$/] ?(?:\S*bin/)?toylm ([a-z][a-z-]+)\b", README))
    assert verbs == set(VERBS), verbs ^ set(VERBS)
