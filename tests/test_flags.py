"""Every flag of every verb, with every kind of data, changes something or is refused: none is ignored without a word."""

import contextlib
import json
import re

import pytest
from small_run import SMALL, make_text

from toylm.cli import run_verb
from toylm.data import corpora
from toylm.errors import UsageError
from toylm.train.settings import TrainSettings, refuse_idle

KINDS = ("file", "folder", "pattern", "undivided", "json lines", "prepared", "corpus", "corpus with held-out file", "task")
# Flag and value -> the kinds of data that it is refused for; for all others it changes what is prepared.
NO_TEXT = ("prepared", "task")
TEXT_FLAGS = {
    ("--tokenizer", "char"): NO_TEXT,
    ("--vocab-size", "280"): NO_TEXT,
    ("--limit", "2000"): NO_TEXT,
    ("--held-out", "0.3"): ("prepared", "corpus with held-out file"),
    ("--held-out-data", "more.txt"): NO_TEXT,
    ("--separator", "number"): NO_TEXT,
    ("--seed", "3"): ("prepared", "undivided", "corpus with held-out file"),
    ("--out", "elsewhere"): NO_TEXT,
}  # fmt: skip


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """(the working folder, kind -> the name of a text of this kind)."""
    folder = tmp_path_factory.mktemp("texts")
    text = make_text(60)
    (folder / "books").mkdir()
    documents = [{"text": document.strip()} for document in text.split("<|endoftext|>") if document.strip()]
    files = {
        "one.txt": text, "books/a.txt": text, "books/b.txt": make_text(30, seed=2), "other.txt": make_text(20, seed=5),
        "more.txt": make_text(9, seed=6),
        "undivided.txt": text.replace("<|endoftext|>", ""), "lines.jsonl": "".join(json.dumps(d) + "\n" for d in documents),
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(None):
        patch.chdir(folder)
        for name, held_out in (("small", []), ("pair", [folder / "other.txt"])):
            found = [folder / "one.txt"], held_out
            patch.setitem(corpora.CORPORA, name, corpora.Source("a text", "1 kB", "CC0", lambda cache, found=found: found))
        assert run_verb("data", ["one.txt", "--out", "made", "--vocab-size", "300"]) == 0
        yield folder, dict(zip(KINDS, ("one.txt", "books", "books/*.txt", "undivided.txt", "lines.jsonl", "made", "small", "pair",
                                       "task:copy")))  # fmt: skip


def prepared_by(words, capsys):
    """(status, what came out of `toylm data`: all that it says, and where)."""
    status = run_verb("data", words)
    said = capsys.readouterr()
    return status, re.sub(r" \(prepared before.*\)", "", said.out), said.err


@pytest.mark.parametrize("kind", KINDS)
def test_data(texts, kind, capsys):
    folder, names = texts
    base = [names[kind], *(() if kind in NO_TEXT else ("--out", "usual")), *(("--context-length", "32") if kind == "task" else ())]
    plain = prepared_by(base, capsys)
    assert plain[0] == 0, plain
    for (flag, value), refused in TEXT_FLAGS.items():
        words = base if flag != "--out" else [names[kind]]
        status, out, error = prepared_by([*words, flag, value], capsys)
        separated = flag == "--separator" and kind not in ("undivided", *NO_TEXT)
        if kind in refused:
            assert status == 2 and error.count("\n") == 1 and flag[2:].replace("-", "_") in error, (flag, out, error)
        elif separated and kind != "json lines":  # the text has a marker of its own, which is said
            assert status == 0 and "is not used" in out, (flag, out)
        else:
            assert status == 0 and out != plain[1], (flag, out)
    assert not (folder / "runs").exists()


def test_train_takes_the_same_flags(texts, capsys):
    """Without --out and --seed, which are of the run."""
    names = texts[1]
    small = [*SMALL[4:], "--steps", "1", "--dry-run"]
    for kind in ("prepared", "task", "corpus with held-out file"):
        for (flag, value), refused in TEXT_FLAGS.items():
            if kind in refused and flag not in ("--out", "--seed"):
                assert run_verb("train", ["--data", names[kind], *small, flag, value]) == 2
                assert flag[2:].replace("-", "_") in capsys.readouterr().err
    assert run_verb("train", ["--data", "task:copy", *small[:-5], "--dry-run", "--sample-prompt", "x"]) == 2
    assert "sample_prompt is for text, and task:copy has none" in capsys.readouterr().err


def test_fitters_of_a_text_take_the_same_flags(texts, capsys):
    names = texts[1]
    for kind in ("prepared", "corpus with held-out file"):
        for (flag, value), refused in TEXT_FLAGS.items():
            if kind in refused and flag not in ("--out", "--seed", "--held-out-data"):
                assert run_verb("fit", [names[kind], "--with", "counts", "--order", "2", flag, value]) == 2
                assert flag[2:].replace("-", "_") in capsys.readouterr().err


@pytest.mark.parametrize("name, value, beside", [
    ("momentum", 0.5, {"optimizer": "muon"}), ("beta1", 0.5, {"optimizer": "sgd"}), ("eps", 1e-5, {"optimizer": "sgd"}),
    ("embedding_rate", 2.0, {"optimizer": "sgd"}), ("vector_rate", 2.0, {"optimizer": "sgd"}),
    ("weight_decay", 0.3, {"optimizer": "adam"}), ("rope_theta", 5.0, {"positions": "learned"}), ("counts_folds", 3, {}),
    ("counts_share", 0.5, {}), ("fit_every", 3, {}), ("fit_tokens", 9, {}), ("sample_tokens", 3, {"sample_every": None}),
    ("sample_temperature", 0.1, {"sample_every": None}), ("sample_prompt", "a", {"sample_every": None}),
])  # fmt: skip
def test_a_setting_that_has_no_effect_beside_the_others_is_refused(name, value, beside):
    settings = TrainSettings().updated({**beside, name: value})
    with pytest.raises(UsageError, match=f"^{name} has no effect with .*: leave it out"):
        refuse_idle(settings, {name: value})
    refuse_idle(settings, {"batch_size": 3})  # in a recipe it may stand
    for other in ({"optimizer": "sgd"}, {"optimizer": "adamw"}, {"counts": 3, "fitter": "ridge"}, {"sample_every": 1}):
        with contextlib.suppress(UsageError):
            refuse_idle(settings.updated({"positions": "rope", **other}), {name: value})
            break
    else:
        raise AssertionError(f"{name} is refused beside everything")


@pytest.mark.parametrize("words, message", [
    (["generate", "RUN", "--raw"], "--raw is for a prompt, and there is none"),
    (["evaluate", "RUN", "--separator", "x"], "--separator is for TEXT, and there is none"),
    (["import", "RUN", "--base", "RUN", "--out", "x"], "is a whole model, not an adapter: leave --base out"),
    (["export", "RUN", "--to", "llama2c", "--dtype", "float16"], "dtype is float16; llama2c files are float32"),
    (["data", "--list", "one.txt"], "--list shows all corpora: leave one.txt out"),
    (["data", "stories", "--count", "2", "--out", "x", "--limit", "5"], "limit has no effect with --count"),
    (["data", "one.txt", "--seed", "-1"], "--seed is -1; it must be at least 0"),
    (["data", "one.txt", "--out", "x", "--tokenizer", "byte", "--vocab-size", "300"], "vocab_size cannot be chosen with the byte"),
    (["train", "--from", "RUN", "--start", "unigram"], "start cannot be chosen with --from"),
    (["train", "--from", "RUN", "--vocab-size", "300"], "vocab_size cannot be chosen with --from"),
    (["train", "--resume", "RUN", "--out", "x"], "--resume keeps its run's folder and settings"),
    (["fit", "RUN", "--with", "collapse", "--curve", "1", "--rank", "3"], "has no effect on"),
    (["task", "copy", "--modulo", "3"], "has no use for it"),
])  # fmt: skip
def test_flags_that_have_nothing_to_do_are_refused(texts, small_run, capsys, words, message):
    assert run_verb(words[0], [str(small_run) if word == "RUN" else word for word in words[1:]]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
