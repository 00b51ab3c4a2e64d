"""toylm bench ablate: every switch changes what runs and not what is computed, and factors become verdicts."""

import json

import numpy as np
import pytest

import toylm
from toylm.bench import ablate
from toylm.bench.presets import PRESETS, Shape
from toylm.cli import main
from toylm.kernels.matmul import matmul_mode

SHAPE = Shape(vocab_size=96, d_model=32, n_layers=2, n_heads=2, d_ff=64, length=24, batch=3)


def one_step(config):
    """(loss, gradients) of a model in float64, so that all ways to compute them agree to many digits."""
    model = toylm.TransformerLM(config, seed=0, precision="float64")
    tokens, targets = np.random.default_rng(0).integers(0, config.vocab_size, (2, 3, config.context_length))
    return model.loss_and_gradients(tokens, targets), model.gradients.flat.copy()


@pytest.fixture
def switched_off(monkeypatch):
    """A function that switches a mechanism off until the test ends."""

    def switch_off(mechanism):
        for variable, value in mechanism.variables.items():
            monkeypatch.setenv(variable, value)
        for owner, name, value in mechanism.replacements():
            monkeypatch.setattr(owner, name, value)
        matmul_mode.cache_clear()

    yield switch_off
    monkeypatch.undo()
    matmul_mode.cache_clear()


@pytest.mark.parametrize("kv_heads", [None, 1])
@pytest.mark.parametrize("name", ablate.MECHANISMS)
def test_a_mechanism_changes_nothing_but_time(name, kv_heads, switched_off):
    config = toylm.ModelConfig(96, 32, 64, 2, 2, 24, positions="rope", n_kv_heads=kv_heads)
    loss, gradients = one_step(config)
    switched_off(ablate.MECHANISMS[name])
    loss_without, gradients_without = one_step(config)
    assert loss_without == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(gradients_without, gradients, rtol=1e-9, atol=1e-12)


def test_a_switch_whose_name_is_gone_says_so():
    with pytest.raises(AttributeError, match="toylm.bench.ablate has no way: the mechanism is gone"):
        ablate.Mechanism("one way | another", lambda: [(ablate, "way", None)]).switch_off()


def test_verdicts():
    def row(factor, beside=None, memory=None):
        return {"factor": factor, "beside_loop": beside or {}, "memory": memory or {}}

    assert ablate.verdict(row({"nano": 1.5, "tiny": 1.04, "small": 1.0})) == "does not pay"
    assert ablate.verdict(row({"nano": 1.0, "tiny": 1.0, "small": 1.06})) == "pays (1.06 x)"
    assert ablate.verdict(row({"nano": 1.5})) == "pays (1.50 x)"
    assert ablate.verdict(row({"tiny": 1.0}, {"tiny": 1.12})) == "pays beside a busy loop (1.12 x)"
    assert ablate.verdict(row({"tiny": 1.0}, {"tiny": 1.07}, {"tiny": 1.3})) == "pays in memory (1.30 x)"


def test_the_command_measures_prints_and_writes(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(PRESETS, "tiny", SHAPE)
    monkeypatch.setattr(ablate, "cold_seconds", lambda folder, program=None: 20.0 if program is None else 30.0)
    monkeypatch.setattr(ablate, "train_seconds", lambda folder: 1.0)
    arguments = ["--preset", "tiny", "--only", "nothing,feed-forward", "--rounds", "2", "--seconds", "0.001", "--beside-loop"]
    assert main(["bench", "ablate", *arguments, "--threads", "1", "--json", str(tmp_path / "a.json")]) == 0
    printed = capfd.readouterr().out
    assert "feed-forward: feed-forward in one kernel | operation by operation" in printed and "(noise)" in printed
    assert "the first step of a cold start after 20.0 | 30.0 s" in printed
    mechanisms = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["mechanisms"]
    assert list(mechanisms) == ["nothing", "feed-forward", "warm-up"]
    for name in ("nothing", "feed-forward"):
        assert all(list(mechanisms[name][key]) == ["tiny"] for key in ("factor", "beside_loop", "memory"))
        assert all(mechanisms[name][key]["tiny"] > 0 for key in ("factor", "beside_loop", "memory"))


@pytest.mark.parametrize("option, message", [("--preset", "no preset 'tin'; did you mean 'tiny'"),
                                             ("--only", "no mechanism 'tin'")])  # fmt: skip
def test_unknown_names_take_one_line(option, message, capsys):
    assert main(["bench", "ablate", option, "tin"]) == 2
    assert message in capsys.readouterr().err
