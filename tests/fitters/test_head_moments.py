"""The moments of a ridge head: stories go in and out, and what remains is what a new fit finds."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_fits import VOCABULARY, small_data, small_model

from toylm.cli import run_verb
from toylm.counts.documents import Documents
from toylm.errors import CheckpointError
from toylm.fitters import make_fitter
from toylm.fitters.activations import head_features
from toylm.fitters.data import documents_of
from toylm.fitters.gram_head import GramHead
from toylm.fitters.output_heads import GRAM, write_head
from toylm.fitters.token_gram import TokenGram
from toylm.formats.checkpoint import load_checkpoint


def moments(model, data, documents):
    gram = TokenGram(model.config.d_model, VOCABULARY)
    data.fitting.tokens = np.concatenate(documents)
    gram.documents = Documents.of(documents)
    return gram.add(*head_features(model, data.document_batches()))


def test_moments_are_sums_over_rows():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 4)), rng.integers(0, 6, 50)
    gram = TokenGram(4, 6).add(X[:20], y[:20]).add(X[20:], y[20:])
    np.testing.assert_allclose(gram.G, X.T @ X, rtol=1e-12)
    np.testing.assert_allclose(gram.S, np.eye(6)[y].T @ X, rtol=1e-12)
    assert gram.count == 50 and (gram.targets == np.bincount(y, minlength=6)).all()


def test_rows_may_lie_in_memory_in_any_order():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 4)), rng.integers(0, 6, 50)
    np.testing.assert_allclose(TokenGram(4, 6).add(np.asfortranarray(X), y).S, np.eye(6)[y].T @ X, rtol=1e-12)


def test_moments_that_rounding_has_eaten_say_so_and_speak_of_no_kernel():
    rng = np.random.default_rng(0)
    gram = TokenGram(4, 6).add(rng.standard_normal((50, 4)), rng.integers(0, 6, 50))
    gram.G -= 2 * np.eye(4) * gram.G.max()
    with pytest.raises(ValueError, match="moments are no longer those of any rows") as failure:
        gram.solve(1e-6)
    assert "kernel" not in str(failure.value)
    gram.G[0, 0] = np.inf
    with pytest.raises(ValueError, match="moments contain NaN or infinity"):
        gram.solve(1e-6)


def test_targets_beyond_the_vocabulary_are_refused():
    gram = TokenGram(2, 5)
    with pytest.raises(ValueError, match="target id 5 is out of range; ids are 0 to 4"):
        gram.add(np.ones((2, 2)), np.array([1, 5]))
    with pytest.raises(ValueError, match="target id 7"):
        gram.remove(np.ones((1, 2)), np.array([7]))
    with pytest.raises(ValueError, match="target id -1"):
        gram.add(np.ones((1, 2)), np.array([-1]))
    assert gram.count == 0 and not gram.G.any() and not gram.S.any()


@pytest.mark.parametrize("precision,tolerance,length", [("float64", 1e-12, 16), ("float64", 1e-12, 5), ("float32", 1e-9, 16)])
def test_adding_and_removing_a_story_is_fitting_anew(precision, tolerance, length):
    data, model = small_data(context_length=length), small_model(precision)
    documents = documents_of(data.train)
    whole, without = moments(model, data, documents), moments(model, data, [*documents[:40], *documents[41:]])
    head = GramHead(model, whole, 3.0, 1e-3, length)
    write_head(model, 3.0 * whole.solve(1e-3)[0])
    start = model.parameters["unembed"].array.copy()
    head.remove(documents[40])
    assert head.gram.distance(without) <= tolerance
    np.testing.assert_allclose(model.parameters["unembed"].array, 3.0 * without.solve(1e-3)[0], atol=1e-5)
    assert np.abs(model.parameters["unembed"].array - start).max() > 1e-6
    head.add(documents[40])
    assert head.gram.distance(moments(model, data, documents)) <= tolerance
    np.testing.assert_allclose(model.parameters["unembed"].array, start, atol=1e-5)


def test_a_story_that_was_never_in_cannot_go_out():
    data, model = small_data(), small_model()
    documents = documents_of(data.train)
    head = GramHead(model, moments(model, data, documents), 3.0, 1e-3, 16)
    with pytest.raises(ValueError, match="of 3 tokens is not among those learned"):
        head.remove(np.array([*documents[3][:2], 0]))  # its tokens are all there
    head.remove(documents[3])
    with pytest.raises(ValueError, match="not among those learned"):
        head.remove(documents[3])


def test_rows_that_were_never_in_cannot_go_out():
    gram = TokenGram(2, 5).add(np.ones((3, 2)), np.array([1, 1, 2]))
    with pytest.raises(ValueError, match="cannot remove 2 rows of token 2: only 1"):
        gram.remove(np.ones((2, 2)), np.array([2, 2]))
    with pytest.raises(ValueError, match="2 features a row"):
        gram.add(np.ones((2, 3)), np.array([1, 1]))
    with pytest.raises(ValueError, match="not finite"):
        gram.add(np.full((1, 2), np.nan), np.array([1]))
    with pytest.raises(ValueError, match="every one was removed"):
        TokenGram(2, 5).solve()


def test_moments_are_kept_in_a_file(tmp_path):
    rng = np.random.default_rng(0)
    gram = TokenGram(3, 5).add(rng.standard_normal((20, 3)), rng.integers(0, 5, 20))
    gram.documents = Documents.of([[1, 0], [2, 3, 0], [1, 0]])
    gram.save(tmp_path / GRAM, beta="2.5")
    loaded, metadata = TokenGram.load(tmp_path / GRAM)
    assert loaded.distance(gram) == 0 and metadata["beta"] == "2.5" and loaded.count == 20
    assert loaded.documents == gram.documents and sum(loaded.documents.values()) == 3
    (tmp_path / GRAM).write_bytes((tmp_path / GRAM).read_bytes()[:50])
    with pytest.raises(CheckpointError, match="truncated or corrupt"):
        TokenGram.load(tmp_path / GRAM)


def test_moments_of_an_earlier_version_are_refused(tmp_path):
    tensors = {"gram": np.zeros((2, 2)), "cross": np.zeros((5, 2)), "targets": np.zeros(5, np.int64), "count": np.array([3])}
    save_file(tensors, tmp_path / GRAM, {"format": "toylm token gram 1", "beta": "1.0", "lambda_reg": "0.0"})
    with pytest.raises(CheckpointError, match="of an earlier version.*: fit the head again with --by-document"):
        TokenGram.load(tmp_path / GRAM)


def test_by_document_whole_documents_are_read_up_to_the_cap():
    data, model = small_data(max_tokens=900), small_model()
    for settings, most in (({"max_rows": 300}, 300), ({}, 900)):
        fitter = make_fitter("head", "ridge", by_document=True, **settings)
        report = fitter.fit(model, data)
        assert most - 60 < report.details["rows"] <= most  # a document has at most 31 tokens
        fitted = {np.asarray(ids).tobytes() for ids in documents_of(data.fitting)}
        read = data.document_batches(settings.get("max_rows")).documents
        assert {ids.tobytes() for ids in read} < fitted and Documents.of(read) == fitter.gram.documents
        assert fitter.gram.targets[0] == len(read)  # each with the token that closes it
    with pytest.raises(ValueError, match="at most 5 tokens are to be read by document"):
        make_fitter("head", "ridge", by_document=True, max_rows=5).fit(model, data)


@pytest.mark.parametrize("length", [16, 7])
def test_the_command_adds_and_removes(small_run, tmp_path, capsys, length):
    run = tmp_path / "ridge"
    flags = ["--part", "head", "--with", "ridge", "--by-document", "--context-length", str(length)]
    assert run_verb("fit", [str(small_run), *flags, "--out", str(run)]) == 0
    story = tmp_path / "story.txt"
    story.write_text("The owl found the boat number 7. The owl liked the owl.", encoding="utf-8")
    before = load_checkpoint(run)
    gram = TokenGram.load(before.path / GRAM)[0]
    capsys.readouterr()
    assert run_verb("fit", [str(run), "--add", str(story), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["documents"][0]["action"] == "add" and said["tokens"] == gram.count + said["documents"][0]["tokens"]
    changed = load_checkpoint(run).model.parameters["unembed"].array
    assert np.abs(changed - before.model.parameters["unembed"].array).max() > 0
    other = tmp_path / "other"
    assert run_verb("fit", [str(run), "--remove", str(story), "--out", str(other)]) == 0
    assert TokenGram.load(load_checkpoint(other).path / GRAM)[0].distance(gram) <= 1e-9
    head = GramHead.open(load_checkpoint(other))
    assert head.context_length == length and head.gram.documents == gram.documents
    assert (other / "run.json").is_file()
    weights = load_checkpoint(run).model.parameters.flat.copy()
    assert run_verb("fit", [str(run), "--add", str(story), "--context-length", "9"]) == 2
    assert "--context-length has no effect on --add and --remove" in capsys.readouterr().err
    for text, sentence in (("The owl found the cat.", "is not among those learned"), (" \n ", "holds no text")):
        story.write_text(text, encoding="utf-8")
        capsys.readouterr()
        assert run_verb("fit", [str(run), "--remove", str(story)]) == 2
        assert sentence in capsys.readouterr().err
    np.testing.assert_array_equal(load_checkpoint(run).model.parameters.flat, weights)
