"""README and docs/: their Python runs and prints what its comments say; their commands, links and files exist."""

import contextlib
import doctest
import io
import re
import shlex
from pathlib import Path

import pytest

from toylm.cli import VERBS, parser_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def blocks_of(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


def test_there_are_pages():
    assert len(PAGES) >= 9


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page, "python")], ids=lambda path: path.name)
def test_python_examples_print_what_their_comments_say(page):
    for code in blocks_of(page, "python"):
        expected = re.findall(r"^print\(.*\)\s+# (.*)$", code, re.M)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page.name, "exec"), {})
        lines = printed.getvalue().splitlines()
        assert expected and len(lines) == len(expected)
        for line, comment in zip(lines, expected):
            assert line == comment.split(":")[0] or line.startswith("Mat(16 x 16 float32"), (line, comment)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page, "pycon")], ids=lambda path: path.name)
def test_sessions_print_what_they_show(page):
    for session in blocks_of(page, "pycon"):
        examples = doctest.DocTestParser().get_doctest(session, {}, page.name, page.name, 0)
        assert examples.examples
        assert doctest.DocTestRunner(verbose=False).run(examples).failed == 0


@by_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_every_path_of_the_file_map_exists():
    table = PAGES[0].read_text(encoding="utf-8").split("## Where things are")[1].split("##")[0]
    paths = re.findall(r"`([\w./]+/|[\w./]+\.py)`", table)
    assert len(paths) > 10
    for path in paths:
        assert (ROOT / path).exists() or (ROOT / "toylm" / path).exists(), path


def test_every_fault_has_its_test():
    """Those of tests/faults/ are named where that folder is there."""
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| fault |")]
    assert len(rows) > 50
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for file, name in named:
            if (ROOT / file).exists() or "tests/faults" not in file:
                assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"


def commands_of(page):
    """Every `toylm VERB ...` of a page, in a block or in the text, as its words."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks_of(page, "(?:bash|text)") for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))]
    for line in [*lines, *spans]:
        for command in re.findall(r"(?:^|[\s/])toylm ([a-z][a-z-]*(?: .*)?)$", line.partition("  #")[0].rstrip()):
            yield [word.split("|")[0] for word in shlex.split(command)]  # one of several, as in --to hf|gguf


@by_page
def test_every_command_is_understood(page):
    for verb, *words in commands_of(page):
        assert verb in VERBS, verb
        if words in (["-h"], []):
            continue
        try:
            parser_of(verb)[1].parse_args(words)
        except SystemExit:
            raise AssertionError(f"toylm {shlex.join([verb, *words])}") from None


def test_every_verb_has_a_page():
    assert {verb for page in PAGES for verb, *_ in commands_of(page)} == set(VERBS)


def test_every_environment_variable_is_in_its_table():
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "toylm").rglob("*.py")))
    read = set(re.findall(r'environ(?:\.get\(|\.setdefault\(|\[)"(\w+)"', source)) - {"PYTHONPATH", "LOCALAPPDATA", "XLA_FLAGS"}
    assert {"TOYLM_CACHE", "TOYLM_DATA", "TOYLM_MATMUL", "TOYLM_BF16", "HF_ENDPOINT", "NUMBA_CACHE_DIR"} <= read
    table = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    assert read <= set(re.findall(r"`(\w+)(?:=\w+)?`", table))
