"""`toylm fit TEXT --with counts`, --add and --remove, and the other verbs on what it leaves."""

import json
import random

import numpy as np
import pytest

from toylm.cli import run_verb
from toylm.errors import CheckpointError
from toylm.formats.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A UTF-8 text of 80 short documents."""
    rng, lines = random.Random(0), []
    words, verbs = ["cat", "dog", "bird", "tree", "house", "river"], ["saw", "liked", "found", "carried"]
    for i in range(80):
        sentences = [f"The {rng.choice(words)} {rng.choice(verbs)} the {rng.choice(words)} {i}." for _ in range(rng.randint(2, 5))]
        lines.append(" ".join(sentences) + "\n<|endoftext|>\n")
    path = tmp_path_factory.mktemp("text") / "animals.txt"
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def fitted(corpus, tmp_path):
    out = tmp_path / "run"
    flags = ["--with", "counts", "--order", "4", "--vocab-size", "300", "--held-out", "0.2", "--context-length", "32"]
    assert run_verb("fit", [str(corpus), *flags, "--out", str(out), "--json"]) == 0
    return out


def shown(capsys, verb, *arguments):
    assert run_verb(verb, [*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_that_the_other_verbs_open(fitted, capsys):
    capsys.readouterr()
    report = json.loads((fitted / "run.json").read_text(encoding="utf-8"))["fitted"][0]
    assert report["fitter"] == "counts" and report["n_bytes"] > 0 and report["seconds"] > 0
    about = shown(capsys, "info", fitted)
    assert about["config"]["order"] == 4 and about["run"]["fitted"][0]["loss_after"] == report["loss_after"]
    assert shown(capsys, "evaluate", fitted)["loss"] == pytest.approx(report["loss_after"], rel=1e-9)
    assert (fitted / "samples.txt").read_text(encoding="utf-8").count("--- sample") == 3
    texts = []
    for _ in range(2):
        assert run_verb("generate", [str(fitted), "--prompt", "The cat", "--max-tokens", "12", "--quiet"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and texts[0].startswith("The cat")


def test_saved_and_loaded_it_predicts_the_same_bits(fitted, tmp_path):
    model, tokenizer, _, _ = load_checkpoint(fitted)
    window = np.array(tokenizer.encode("The dog saw the cat. The dog saw"))
    model.save(tmp_path / "again", tokenizer)
    again = load_checkpoint(tmp_path / "again").model
    assert np.array_equal(model.forward(window), again.forward(window))
    assert again.documents == model.documents and again.config == model.config and again.fitting == model.fitting
    assert all(np.array_equal(a, b) for a, b in zip(model.tables, again.tables))


def test_a_story_is_added_and_removed(fitted, tmp_path, capsys):
    story = tmp_path / "story.txt"
    story.write_text("The fox painted the boat. The fox painted the boat.", encoding="utf-8")
    before = load_checkpoint(fitted).model
    capsys.readouterr()
    added = shown(capsys, "fit", fitted, "--add", story)
    assert added["tokens"] == before.n_tokens + added["documents"][0]["tokens"]
    model, tokenizer, _, _ = load_checkpoint(fitted)
    ids = [tokenizer.end_id, *tokenizer.encode(story.read_text(encoding="utf-8"))]
    assert model.loss(ids[:-1], ids[1:]) < before.loss(ids[:-1], ids[1:])
    assert run_verb("fit", [str(fitted), "--remove", str(story), "--out", str(tmp_path / "less")]) == 0
    assert "removed" in capsys.readouterr().out
    after = load_checkpoint(tmp_path / "less").model
    assert all(np.array_equal(x, y) for x, y in zip(before.tables, after.tables))
    assert run_verb("fit", [str(tmp_path / "less"), "--remove", str(story)]) == 2
    assert "is not among those learned" in capsys.readouterr().err


def test_what_is_known_of_the_run_is_kept(fitted, tmp_path, capsys):
    story = tmp_path / "story.txt"
    story.write_text("The fox painted the boat.", encoding="utf-8")
    for out, flags in ((tmp_path / "more", []), (fitted, ["--overwrite"])):
        assert run_verb("fit", [str(fitted), "--add", str(story), "--out", str(out), *flags]) == 0
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        assert record["name"] == out.name and record["parameters"] == load_checkpoint(out).model.n_parameters
        capsys.readouterr()
        assert shown(capsys, "evaluate", out)["loss"] > 0


def test_mistakes_take_one_line(fitted, corpus, small_run, tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    (tmp_path / "blank.txt").write_text(" \n  \n", encoding="utf-8")
    capsys.readouterr()
    for verb, arguments, sentence in (
        ("fit", [tmp_path / "nowhere.txt", "--with", "counts"], "there is no file or folder"),
        ("fit", [tmp_path / "empty.txt", "--with", "counts"], "is empty"),
        ("fit", [corpus, "--with", "counts", "--order", "0", "--context-length", "16"], "order is 0; it must be at least 1"),
        ("fit", [corpus, "--with", "counts", "--context-length", "0"], "context_length is 0; it must be at least 1"),
        ("fit", [fitted / "latest", "--with", "counts"], "is a run: counts are fitted to a text"),
        ("fit", [fitted, "--with", "counts", "--add", corpus, "--order", "9"], "--order has no effect on --add and --remove"),
        ("fit", [corpus, "--with", "counts", "--window", "-5"], "--window is -5: it must be a whole number >= 0"),
        ("fit", [corpus, "--with", "counts", "--out", fitted], "holds a run already"),
        ("fit", [fitted, "--add", tmp_path / "empty.txt"], "is empty"),
        ("fit", [fitted, "--add", tmp_path / "blank.txt"], "blank.txt holds no text, only white space"),
        ("fit", [fitted, "--part", "head", "--with", "adam"], "holds a counts model, not a transformer"),
        ("fit", [small_run, "--part", "attention:0", "--with", "ridge", "--teacher", fitted], "not a transformer"),
        ("train", ["--from", fitted, "--data", corpus, "--steps", "1"], "holds a counts model, not a transformer"),
        ("export", [fitted, "--to", "hf", "--out", tmp_path / "hf"], "holds a counts model, not a transformer"),
    ):
        assert run_verb(verb, [*map(str, arguments)]) == 2, arguments
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and sentence in error, error


def test_a_damaged_file_is_an_error_that_says_so(fitted):
    path = load_checkpoint(fitted).path
    weights = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(CheckpointError, match="truncated or corrupt"):
        load_checkpoint(path)
    (path / "model.safetensors").write_bytes(weights)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    (path / "config.json").write_text(json.dumps(config | {"order": 5}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="do not fit its configuration"):
        load_checkpoint(path)
