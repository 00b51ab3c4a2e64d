"""The README's Python example runs and prints what its comments say; its commands and files exist."""

import contextlib
import doctest
import io
import re
import shlex
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


def _commands():
    """Every `toylm VERB ...` of the README, in a block or in the text, as its words."""
    blocks = re.findall(r"```(?:bash|text)\n(.*?)```", README, re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", README, flags=re.S))]
    for text in [*lines, *spans]:
        for command in re.findall(r"(?:^|[\s/])toylm ([a-z][a-z-]* .*)", text.partition("  # ")[0]):
            yield [word.split("|")[0] for word in shlex.split(command)]  # one of several, as in --to hf|gguf


def test_every_command_of_the_readme_is_understood():
    from toylm.cli import VERBS, parser_of

    tried = 0
    for verb, *words in _commands():
        if verb not in VERBS or words == ["-h"]:
            continue
        tried += 1
        try:
            parser_of(verb)[1].parse_args(words)
        except SystemExit:
            raise AssertionError(f"the README's command: toylm {shlex.join([verb, *words])}") from None
    assert tried > 20


def test_every_environment_variable_is_in_its_table():
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "toylm").rglob("*.py")))
    read = set(re.findall(r'environ(?:\.get\(|\.setdefault\(|\[)"(\w+)"', source)) - {"PYTHONPATH", "LOCALAPPDATA", "XLA_FLAGS"}
    assert {"TOYLM_CACHE", "TOYLM_DATA", "TOYLM_MATMUL", "TOYLM_BF16", "HF_ENDPOINT", "NUMBA_CACHE_DIR"} <= read
    table = README.split("## Environment variables")[1].split("##")[0]
    assert read <= set(re.findall(r"`(\w+)(?:=\w+)?`", table))
