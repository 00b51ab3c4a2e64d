"""The interface of fitters: parts, names, data, reports, gradient descent as a fitter."""

import json
from dataclasses import fields

import numpy as np
import pytest
from small_fits import VOCABULARY, small_data, small_model

from toylm.data.token_file import TokenFile
from toylm.errors import DivergedError, UsageError
from toylm.evaluation import evaluate
from toylm.fitters import FitData, FitReport, Part, fitter_names, make_fitter
from toylm.fitters.fitter import Fitter
from toylm.fitters.registry import REGISTRY, kinds_of, settings_of


@pytest.mark.parametrize("text,numbers,written", [
    ("head", (), "head"), ("all", (), "all"), ("block:3", (3,), "block:3"), ("blocks:2-4", (2, 3, 4), "blocks:2-4"),
    ("blocks:5,1", (1, 5), "blocks:1,5"), ("attention:0", (0,), "attention:0"), ("blocks:1,2", (1, 2), "blocks:1-2"),
])  # fmt: skip
def test_parts_are_read_and_written(text, numbers, written):
    part = Part.parse(text)
    assert part.numbers == numbers and str(part) == written and Part.parse(str(part)) == part


@pytest.mark.parametrize("text,words", [
    ("heed", "did you mean 'head'"), ("head:1", "takes no number"), ("block", "block:0"), ("block:1-2", "names no block"),
    ("blocks:x", "names no block"), ("attention:-1", "names no block"),
])  # fmt: skip
def test_parts_that_are_none_are_refused(text, words):
    with pytest.raises(UsageError, match=words):
        Part.parse(text)


def test_every_fitter_of_the_list_exists_and_takes_its_settings():
    for name in REGISTRY:
        for kind in kinds_of(name):
            part = kind if kind in ("head", "all") else "blocks:0,2" if kind == "blocks" else f"{kind}:0"
            given = {"teacher": "runs/teacher"} if name in ("lora-svd", "lora-activation") else {}
            fitter = make_fitter(part, name, **given)
            assert isinstance(fitter, Fitter) and fitter.name == name and str(fitter.part) == part
            assert type(fitter.settings) is settings_of(part, name) and fields(fitter.settings), (name, kind)
    assert {"cross-entropy", "ridge", "adam"} <= set(fitter_names("head"))


@pytest.mark.parametrize("part,name,settings,words", [
    ("head", "cross-entropie", {}, "did you mean 'cross-entropy'"),
    ("head", "collapse", {}, "collapse does not fit 'head'; what does: cross-entropy"),
    ("head", "ridge", {"lamda_reg": 1}, "ridge has no setting lamda_reg; did you mean 'lambda_reg'"),
    ("all", "adam", {"steps": 1, "seconds": 1}, "not both"),
    ("all", "adam", {"steps": 0}, "steps is 0"),
    ("all", "adam", {"learning_rate": -1}, "learning_rate is -1"),
    ("head", "cross-entropy", {"l2": -1}, "l2 is -1; it must be a finite number of at least 0"),
    ("head", "bohning", {"iterations": 0}, "iterations is 0; it must be a whole number of at least 1"),
    ("attention:0", "ridge", {"iterations": 2.5}, "iterations is 2.5; it must be a whole number"),
    ("attention:0", "ridge", {"reset": True, "lambda_reg": -1}, "lambda_reg is -1; it"),
    ("block:0", "collapse", {"lambda_reg": float("nan")}, "lambda_reg is nan; it"),
    ("head", "ridge", {"max_rows": 0}, "max_rows is 0; it"),
    ("head", "deep-elm", {"hidden_units": (8, 0)}, "hidden_units is 0; it"),
])  # fmt: skip
def test_mistakes_are_named_with_what_is_near(part, name, settings, words):
    with pytest.raises(UsageError, match=words):
        make_fitter(part, name, **settings)


def test_a_block_that_the_model_lacks_is_refused():
    with pytest.raises(UsageError, match="block:7: this model has blocks 0 to 2"):
        make_fitter("block:7", "adam", steps=1).fit(small_model(), small_data())


def test_fitting_and_validation_text_are_the_training_text():
    data = small_data(validation=0.2)
    assert len(data.fitting) + len(data.validation) == len(data.train)
    assert data.fitting.tokens[-1] == 0  # the cut is after a document
    assert abs(len(data.validation) / len(data.train) - 0.2) < 0.02
    np.testing.assert_array_equal(np.concatenate([data.fitting.tokens, data.validation.tokens]), data.train.tokens)
    assert data.fitting.utf8_bytes == 2 * len(data.fitting)
    targets = np.concatenate([t[t >= 0] for _, t in data.batches()])
    np.testing.assert_array_equal(targets, data.fitting.tokens)
    assert sum((t >= 0).sum() for _, t in data.batches(max_tokens=320)) == 320


def test_document_windows_read_every_document_by_itself():
    data = small_data()
    rows = [(x, y) for tokens, targets in data.document_batches() for x, y in zip(tokens, targets)]
    targets = np.concatenate([y[y >= 0] for _, y in rows])
    np.testing.assert_array_equal(targets, data.fitting.tokens)
    first = next(i for i, (_, y) in enumerate(rows) if (y == 0).any())
    assert rows[first + 1][0][0] == 0  # after the end of a document the next window starts with the end token


@pytest.mark.parametrize("settings,words", [
    ({"context_length": 0}, "context_length is 0"), ({"validation": 1.0}, "validation is 1.0"),
    ({"max_tokens": 0}, "max_tokens is 0"),
])  # fmt: skip
def test_data_settings_are_checked(settings, words):
    with pytest.raises(ValueError, match=words):
        small_data(**settings)


def test_too_little_text_for_a_validation_part():
    file = TokenFile(np.array([3, 4], np.uint16), VOCABULARY)
    with pytest.raises(ValueError, match="leaves a part without tokens"):
        FitData(file, file, context_length=1, validation=0.01)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_gradient_descent_is_a_fitter(name):
    data, model = small_data(), small_model()
    report = make_fitter("all", name, steps=30, evaluate_every=1e-9).fit(model, data)
    assert report.loss_after < report.loss_before
    assert report.loss_after == pytest.approx(evaluate(model, data.held_out_batches()).loss, rel=1e-12)
    assert report.changed == tuple(model.parameters.names) and report.parameters == model.parameters.size
    seconds, losses = zip(*report.details["curve"])
    assert seconds[0] == 0 and list(seconds) == sorted(seconds) and 3 <= len(seconds) <= 31
    assert losses[0] == pytest.approx(report.loss_before, rel=1e-12)
    assert losses[-1] == pytest.approx(report.loss_after, rel=1e-12)
    assert not model.gradients.flat.any()


@pytest.mark.parametrize("part,roles", [
    ("head", {"token_embed"}), ("attention:1", {"blocks.1.w_qkv", "blocks.1.w_o", "blocks.1.norm1_gamma"}),
    ("feed-forward:2", {"blocks.2.w_ff1", "blocks.2.w_ff2", "blocks.2.norm2_gamma"}),
])  # fmt: skip
def test_gradient_descent_on_a_part_moves_that_part_alone(part, roles):
    data, model = small_data(), small_model()
    before = {name: mat.array.copy() for name, mat in model.parameters.items()}
    report = make_fitter(part, "adam", steps=3, weight_decay=0.1).fit(model, data)
    moved = {name for name, mat in model.parameters.items() if (mat.array != before[name]).any()}
    assert moved == set(report.changed) == roles


def test_a_diverged_fit_leaves_the_model_as_it_was():
    data, model = small_data(), small_model("float32")
    before = model.parameters.flat.copy()
    with pytest.raises(DivergedError, match="lower --learning-rate"), np.errstate(all="ignore"):
        make_fitter("all", "sgd", steps=50, learning_rate=1e30, clip=None).fit(model, data)
    np.testing.assert_array_equal(model.parameters.flat, before)


@pytest.mark.parametrize("part,name,settings", [
    ("attention:1", "ridge", {"reset": True}), ("blocks:0,2", "collapse", {}), ("head", "ridge", {}),
])  # fmt: skip
def test_a_fit_that_fails_at_its_end_leaves_the_model_as_it_was(monkeypatch, part, name, settings):
    data, model = small_data(), small_model("float32")
    config, before, left = model.config, model.parameters.flat.copy(), 2 if settings else 1
    measured = data.evaluate

    def evaluate(model):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return measured(model)

    monkeypatch.setattr(data, "evaluate", evaluate)
    with pytest.raises(KeyboardInterrupt):
        make_fitter(part, name, **settings).fit(model, data)
    assert model.config == config and not model.gradients.flat.any()
    np.testing.assert_array_equal(model.parameters.flat, before)
    assert model.parameters.names == small_model().parameters.names


def test_a_gradient_is_not_clipped_to_nothing():
    with pytest.raises(UsageError, match="clip is -1; it must be above 0"):
        make_fitter("all", "sgd", steps=5, clip=-1)


def test_reports_say_it_all():
    report = FitReport("ridge", "head", ("unembed",), "cholesky", 1e-3, 0.5, 10, 40, 2.0, 1.0, 100, 1.5, 0.75, {"x": float("nan")})
    figures = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert figures["perplexity_after"] == pytest.approx(np.e) and figures["model_changed"] is True
    assert figures["details"]["x"] is None
    assert "2.0000 -> 1.0000" in str(report) and "rcond 1.0e-03" in str(report)
    assert "the model is not changed" in str(FitReport("elm", "head", loss_before=2.0, loss_after=1.0))
