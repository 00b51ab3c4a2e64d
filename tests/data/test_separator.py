"""--separator '\\n\\n', as a shell passes it on, means an empty line in every verb that has the option."""

import pytest

from toylm.cli import VERBS, parser_of, run_verb
from toylm.data.separator import unescape


def test_unescape():
    assert unescape(r"\n\n\t\\n—") == "\n\n\t\\n—"


def test_every_verb_that_has_it_understands_it_and_says_so():
    tried = []
    for verb in VERBS:
        _, parser = parser_of(verb)
        (option,) = [a for a in parser._actions if "--separator" in a.option_strings] or [None]
        if option is None:
            continue
        required = [] if verb == "train" else ["RUN"]
        assert parser.parse_args([*required, "--separator", r"\n\n"]).separator == "\n\n", verb
        assert r"\n and \t are understood" in option.help, verb
        tried.append(verb)
    assert set(tried) == {"train", "evaluate", "fit", "data", "residual"}


@pytest.mark.parametrize("typed", [r"\n\n", "\n\n", r"\r\n\r\n", r"\r\r"])
def test_a_text_of_paragraphs_is_trained_on(typed, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TOYLM_CACHE", str(tmp_path / "cache"))
    text = tmp_path / "paragraphs.txt"
    text.write_text("\n\n".join(f"Line {i}: a cat and {i * 7}." for i in range(60)), encoding="utf-8")
    small = ["--tokenizer", "byte", "--context-length", "16", "--d-model", "16", "--n-layers", "1", "--steps", "1"]
    assert run_verb("train", ["--data", str(text), "--separator", typed, *small, "--dry-run"]) == 0
    assert "57 documents" in capsys.readouterr().out
