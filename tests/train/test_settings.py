"""Settings: defaults, recipes, TOML and flags; every mistake named with its limit or the nearest valid name."""

import dataclasses
import re

import pytest

from toylm.cli import run_verb
from toylm.config import ModelConfig
from toylm.data import CORPORA
from toylm.data.tasks import TASKS
from toylm.errors import UsageError
from toylm.fields import parse
from toylm.train.settings import ALL_FIELDS, FIELDS, TrainSettings, find_config, read_toml, recipes


def test_the_default_recipe_is_the_defaults():
    stories = TrainSettings().updated(read_toml(find_config("stories")))
    assert stories.updated({"vocab_size": None}) == TrainSettings()
    assert stories.vocab_size == 2048  # what the tokenizer takes by default


def test_every_recipe_is_valid_and_described():
    known = recipes()
    assert {"nano", "tiny", "small", "stories", "shakespeare-char", "tinystories"} <= set(known)
    for name, (path, line) in known.items():
        TrainSettings().updated(read_toml(path))
        assert len(line) > 20, name


def test_toml_and_json_round_trips(tmp_path):
    settings = TrainSettings(
        data=("a b.txt", 'quo"te\\.txt'), separator="\n\n---\t\n", clip=None, steps=7, minutes=None, eps=1e-9
    ).updated({"d_ff": 48, "biases": True})
    path = tmp_path / "mine.toml"
    path.write_text(settings.to_toml(), encoding="utf-8")
    assert TrainSettings().updated(read_toml(path)) == settings
    assert TrainSettings.from_dict(settings.to_dict()) == settings


def test_flags_override_the_file_and_a_length_replaces_another(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text("d_model = 32\n[length]\nminutes = 2\n[optimization]\nlearning_rate = 1\n", encoding="utf-8")
    assert run_verb("train", ["--config", str(path), "--learning-rate", "0.5", "--tokens", "2M", "--show-settings"]) == 0
    shown = tmp_path / "shown.toml"
    shown.write_text(capsys.readouterr().out, encoding="utf-8")
    settings = TrainSettings().updated(read_toml(shown))
    assert (settings.model.d_model, settings.learning_rate, settings.tokens) == (32, 0.5, 2_000_000)
    assert settings.minutes is None and settings.steps is None and settings.horizon == "tokens"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("d_modle = 3", "unknown key 'd_modle'; did you mean 'd_model'"),
        ("[modle]\nd_model = 3", r"unknown table \[modle\]; did you mean 'model'"),
        ("[model]\nd_model = 3\n[data]\nd_model = 4", "gives d_model twice"),
        ("d_model = 'three'", "d_model is 'three'; it must be a whole number"),
        ("d_model = 3.5", "d_model is 3.5; it must be a whole number"),
        ("learning_rate = true", "learning_rate is True; it must be a number"),
        ("tokenizer = 3", "tokenizer is 3; it must be text"),
        ("data = [1]", "data is .*; it must be text, or a list of texts"),
        ("data = []", "data names no text"),
        ("d_model = ", "is not valid TOML"),
        ("batch_size = 0", "batch_size is 0; it must be at least 1"),
        ("learning_rate = 0", "learning_rate is 0.0; it must be above 0"),
        ("learning_rate = nan", "learning_rate is nan; it must be a finite number"),
        ("held_out = 1.0", "held_out is 1.0; it must be above 0 and below 1"),
        ("optimizer = 'adamx'", "optimizer is 'adamx'; did you mean 'adam'"),
        ("positions = 'none'", "positions is 'none'; valid: rope, learned"),
        ("steps = 3\ntokens = 4", "exactly one of steps, minutes and tokens, not steps and tokens"),
    ],
)
def test_mistakes_in_a_file(tmp_path, text, sentence):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=sentence):
        TrainSettings().updated(read_toml(path))


def test_a_file_that_is_not_there_or_not_utf8(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.toml does not exist"):
        read_toml(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"data = '\xe9'")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_toml(tmp_path / "latin.toml")


def test_numbers_in_words():
    assert parse(FIELDS["tokens"], "500k") == 500_000
    assert parse(FIELDS["tokens"], "1e9") == 10**9
    assert parse(FIELDS["seed"], str(2**63 - 25)) == 2**63 - 25  # exact beyond what a float holds
    assert parse(FIELDS["clip"], "none") is None
    assert parse(FIELDS["data"], "a.txt") == ("a.txt",)
    for wrong in ("1.5", "k", "x", "inf", "", "1" * 5000):
        with pytest.raises(UsageError, match="must be a whole number"):
            parse(FIELDS["tokens"], wrong)


@pytest.mark.parametrize("name", ["d_model", "vocab_size", "seed"])
def test_numbers_beyond_64_bits(name):
    with pytest.raises(UsageError, match=f"{name} is too large"):
        TrainSettings().updated({name: 2**63})


def test_every_switch_of_a_model_is_a_setting():
    """There is no second list: what ModelConfig has, a recipe and the command line have, with the same rules."""
    config = {field.name: field for field in dataclasses.fields(ModelConfig)}
    assert set(config) - set(ALL_FIELDS) == set()
    settings = TrainSettings().updated({"norm_eps": 1e-6, "init": "uniform", "output_bias": True, "rope_theta": 500.0})
    model = settings.model_config(vocab_size=300)
    assert (model.norm_eps, model.init, model.output_bias, model.rope_theta) == (1e-6, "uniform", True, 500.0)
    assert not TrainSettings().model_config(300).output_bias and TrainSettings(start="unigram").model_config(300).output_bias
    with pytest.raises(UsageError, match="norm_eps is 0; it must be above 0"):
        TrainSettings().updated({"norm_eps": 0})
    # Sizes that were left out go on following the others.
    assert TrainSettings().updated({"d_model": 64}).model_config(300).d_ff == 256


def test_the_settings_of_earlier_runs_are_read():
    """run.json of the first version: flat, and without what has been added since."""
    old = {"data": ["stories"], "d_model": 64, "n_heads": 4, "steps": 10, "minutes": None, "counts": None, "start": "random"}
    settings = TrainSettings.from_dict(old)
    assert (settings.model.d_model, settings.steps, settings.model.rope_theta) == (64, 10, 10000.0)


def test_help_names_every_setting(capsys):
    with pytest.raises(SystemExit) as ended:
        run_verb("train", ["--help-all"])
    assert ended.value.code == 0
    page = re.sub(r"\n\s+", " ", capsys.readouterr().out)
    for name, field in ALL_FIELDS.items():
        assert f"--{name.replace('_', '-')}" in page
        assert len(field.metadata["help"]) > 3
    assert re.search(r"--biases {true,false}\s+a bias[^(]* \(default: false\)", page)
    assert re.search(r"--tied {true,false}\s+the output[^(]* \(default: true\)", page)
    words = " ".join(page.split())
    for name, source in CORPORA.items():  # and what is downloaded, with its size
        assert (name if name == "stories" else f"{name} ({source.size})") in words
    assert f"which are downloaded; UTF-8 files, a folder of them or a quoted pattern; task:{'|'.join(TASKS)};" in words
    for heading in ("what to run:", "model:", "optimization:", "how long", "run folder:", "recipes (--config NAME"):
        assert heading in page
