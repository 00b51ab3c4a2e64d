"""Counts inside a transformer, from end to end: train, resume with the same bits, evaluate, generate, save and load."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import toylm
from toylm.cli import run_verb
from toylm.data.token_file import TokenFile
from toylm.errors import UsageError
from toylm.fitters import FitData
from toylm.fitters.counts_offset import Calibration, attach_counts, counts_for
from toylm.fitters.expert_weights import fit_expert_weights
from toylm.formats.checkpoint import load_checkpoint
from toylm.formats.safetensors_files import SafetensorsFile
from toylm.model.transformer import NO_COUNTS

FLAGS = [
    *("--vocab-size", "300", "--held-out", "0.2", "--d-model", "16", "--n-heads", "2", "--n-layers", "1", "--context-length", "16"),
    *("--batch-size", "4", "--learning-rate", "0.01", "--threads", "1", "--log-every", "4", "--eval-every", "10"),
    *("--save-every", "10", "--sample-every", "none", "--counts", "4", "--counts-folds", "3", "--start", "bigram"),
    *("--tied", "false", "--dropout", "0.1", "--quiet"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, stories):
    """A run of 20 steps, and the same resumed at step 10; each process loads its kernels."""
    folder = tmp_path_factory.mktemp("counts")

    def train(*arguments):
        program = [sys.executable, "-m", "toylm.train", *arguments]
        done = subprocess.run(program, cwd=folder, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr

    train("--data", str(stories), *FLAGS, "--steps", "20", "--out", "whole")
    shutil.copytree(folder / "whole", folder / "half")
    train("--resume", "half/step-000010", "--quiet")
    return folder


def test_a_resumed_run_has_the_same_bits(runs):
    folder = runs
    for name in ("model.safetensors", "counts.safetensors", "training.safetensors"):
        half, whole = (SafetensorsFile(folder / run / "step-000020" / name) for run in ("half", "whole"))
        assert sorted(half.names) == sorted(whole.names)
        assert all(half.read(tensor).tobytes() == whole.read(tensor).tobytes() for tensor in whole.names), name


def test_the_held_out_loss_falls_from_that_of_the_counts(runs, capsys):
    folder = runs

    def printed(verb, *arguments):
        assert run_verb(verb, [*arguments]) == 0
        return capsys.readouterr().out

    whole = str(folder / "whole")
    records = [json.loads(line) for line in (folder / "whole/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [r["held_out_loss"] for r in records if "held_out_loss" in r]
    model = load_checkpoint(folder / "whole").model
    a, b = model.unembedding.expert_weights(model.parameters)
    assert a > 0 and b >= 0 and (a, b) != (1, 0)
    evaluated = json.loads(printed("evaluate", whole, "--json"))
    assert evaluated["loss"] == pytest.approx(min(losses), abs=1e-5)
    assert len(printed("generate", whole, "--prompt", "The cat", "--seed", "1", "--temperature", "0")) > 10
    assert "counts" in printed("info", whole)


def test_a_saved_model_is_the_same_model(runs, tmp_path):
    folder = runs
    checkpoint = load_checkpoint(folder / "whole")
    tokens = np.arange(16)[None]
    checkpoint.model.save(tmp_path / "copy", checkpoint.tokenizer)
    again = toylm.TransformerLM.load(tmp_path / "copy")
    assert again.forward(tokens).tobytes() == checkpoint.model.forward(tokens).tobytes()
    (tmp_path / "copy" / "counts.json").unlink()
    with pytest.raises(FileNotFoundError, match="has no counts.json"):
        load_checkpoint(tmp_path / "copy")


def test_expert_weights_are_where_the_loss_is_least():
    rng = np.random.default_rng(0)
    model, _ = _counted(rng.integers(0, 6, 400))
    model = model.astype("float64")
    model.parameters.flat[:] += 0.3 * rng.standard_normal(model.parameters.size)
    tokens, targets = rng.integers(0, 6, (8, 4)), rng.integers(-1, 6, (8, 4))
    before = model.loss(tokens, targets)
    a, b, nats = fit_expert_weights(model, [(tokens[:4], targets[:4]), (tokens[4:], targets[4:])])
    assert (a, b) == pytest.approx(model.unembedding.expert_weights(model.parameters))
    assert nats == pytest.approx(model.loss(tokens, targets), rel=1e-6)
    assert nats < before
    for name in ("counts_scale", "transformer_scale"):
        for step in (-1e-3, 1e-3):
            weight = model.parameters[name].flat
            if weight[0] + step < 0:
                continue  # the weights are not negative
            weight += step
            assert model.loss(tokens, targets) >= nats - 1e-9
            weight -= step
    with pytest.raises(ValueError, match="no token to predict"):
        fit_expert_weights(model, [(tokens, np.full_like(targets, -1))])


def _counted(tokens):
    config = toylm.ModelConfig(vocab_size=6, d_model=8, n_heads=2, n_layers=1, context_length=4, counts=True)
    model = toylm.TransformerLM(config, seed=0)
    text = TokenFile(np.asarray(tokens, np.uint16), 6, 5)
    attach_counts(model, text, 3, 3)
    return model, text


def test_a_training_window_is_offered_the_counts_without_its_own_documents():
    from toylm.data.batches import Batches

    tokens = np.array([0, 1, 2, 5, 0, 1, 3, 5, 0, 1, 4, 5] * 4)
    model, text = _counted(tokens)
    batches = Batches(text, 8, 4, seed=0)
    batches.next()
    folds = counts_for(model, batches, share=0.5, seed=[0, 1])
    assert (folds == NO_COUNTS).sum() == 4
    kept = folds != NO_COUNTS
    np.testing.assert_array_equal(folds[kept], model.counts.fold_of(batches.starts)[kept])
    np.testing.assert_array_equal(folds, counts_for(model, batches, share=0.5, seed=[0, 1]))
    assert not np.array_equal(folds, counts_for(model, batches, share=0.5, seed=[0, 2]))
    row = tokens[None, :4]
    without = np.concatenate([tokens[model.counts.fold_of(np.arange(len(tokens))) != 0]])
    alone, _ = _counted(without)
    expected = alone.counts.log_probabilities(row)
    # The mixing weights are those of all the text; where they agree, so does the rest.
    alone.counts.weights, alone.counts.length_weights = model.counts.weights, model.counts.length_weights
    expected = alone.counts.log_probabilities(row)
    np.testing.assert_allclose(model.log_counts(row, np.array([0]))[0], expected, atol=1e-6)


def test_text_that_sets_the_weights_must_be_left_out_whole():
    tokens = np.array([0, 1, 2, 5, 0, 1, 3, 5] * 20)
    model, text = _counted(tokens)
    data = FitData(text, text, context_length=4, batch_size=4, validation=0.2)
    assert Calibration(model, data).fold == 2  # the last of three holds a third of the text
    attach_counts(model, text, 3, 10)
    with pytest.raises(UsageError, match="the counts have 10 folds, the last of which is shorter than the 32 tokens"):
        Calibration(model, data)


def test_counts_of_another_vocabulary_or_none_are_refused():
    model, text = _counted([0, 1, 5] * 8)
    with pytest.raises(ValueError, match="make it with counts=True"):
        attach_counts(toylm.TransformerLM(model.config.replace(counts=False)), text, 3, 2)
    with pytest.raises(ValueError, match="the text has 9 tokens and the model 6"):
        attach_counts(model, TokenFile(text.tokens, 9, 5), 3, 2)
