"""toylm evaluate and toylm info, against sums worked out from the logits and from the files."""

import json
import math
import shutil

import numpy as np
import pytest

from toylm.cli import run_verb
from toylm.data import corpora, train_tokenizer
from toylm.evaluation import Evaluation
from toylm.formats.checkpoint import load_checkpoint
from toylm.train import metrics

TEXT = "The cat saw the dog.\n<|endoftext|>\nA bird found the boat number 7, naïve café 🙂.\n<|endoftext|>\n"


def figures(capsys, *arguments):
    assert run_verb("evaluate", [*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_loss_is_the_mean_over_all_tokens(trained_run, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    shown = figures(capsys, trained_run, tmp_path / "text.txt", "--context-length", "8", "--batch-size", "3")
    model, tokenizer, _, _ = load_checkpoint(trained_run)
    from toylm.data import load_corpus

    documents = list(load_corpus(str(tmp_path / "text.txt")))
    assert len(documents) == 2
    ids = [i for text in documents for i in [*tokenizer.encode(text), tokenizer.end_id]]
    context = [tokenizer.end_id, *ids[:-1]]
    nats = 0.0
    for start in range(0, len(ids), 8):
        logits = model.forward(np.array(context[start : start + 8])).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        nats -= sum(logs[i, target] for i, target in enumerate(ids[start : start + 8]))
    size = sum(len(text.encode()) for text in documents)
    assert shown["tokens"] == len(ids) and shown["bytes"] == size
    assert shown["loss"] == pytest.approx(nats / len(ids), rel=1e-5)
    assert shown["perplexity"] == pytest.approx(math.exp(nats / len(ids)), rel=1e-4)
    assert shown["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-5)


def test_the_runs_own_held_out_text(trained_run, capsys):
    """The figure of the training run, again."""
    records = [r for r in metrics.read(trained_run / "metrics.jsonl") if "held_out_loss" in r]
    best = min(records, key=lambda r: r["held_out_loss"])
    shown = figures(capsys, trained_run)
    assert shown["text"] == "animals, held out" and shown["tokens"] == best["held_out_tokens"]
    assert shown["loss"] == pytest.approx(best["held_out_loss"], rel=1e-6)
    assert shown["bits_per_byte"] == pytest.approx(best["bits_per_byte"], rel=1e-6)


def test_a_corpus_with_held_out_text_of_its_own_is_measured_on_that(trained_run, tmp_path, capsys, monkeypatch):
    files = [tmp_path / "train.txt", tmp_path / "valid.txt"]
    files[0].write_text(50 * TEXT, encoding="utf-8")
    files[1].write_text(TEXT, encoding="utf-8")
    source = corpora.Source("two files", "1 kB", "CC0-1.0", lambda cache_dir: (files[:1], files[1:]))
    monkeypatch.setitem(corpora.CORPORA, "pair", source)
    shown = figures(capsys, trained_run, "pair")
    alone = figures(capsys, trained_run, files[1])
    assert shown["text"] == "pair, held out" and alone["text"] == "valid"
    assert (shown["tokens"], shown["loss"]) == (alone["tokens"], alone["loss"])


def test_a_text_that_the_tokenizer_does_not_know_is_said_to_be_one(trained_run, tmp_path, capsys):
    model = load_checkpoint(trained_run).model
    model.save(tmp_path / "m", train_tokenizer([TEXT], "char"))
    (tmp_path / "text.txt").write_text("Αβγ the cat", encoding="utf-8")
    assert figures(capsys, tmp_path / "m", tmp_path / "text.txt")["unknown_share"] == 3 / 12
    assert run_verb("evaluate", [str(tmp_path / "m"), str(tmp_path / "text.txt")]) == 0
    assert "25.00% of the tokens are unknown to the tokenizer" in capsys.readouterr().out
    (tmp_path / "text.txt").write_text("the cat", encoding="utf-8")
    assert run_verb("evaluate", [str(tmp_path / "m"), str(tmp_path / "text.txt")]) == 0
    assert "unknown" not in capsys.readouterr().out


def test_figures_that_are_no_numbers_are_null_in_json():
    shown = json.loads(json.dumps(Evaluation(math.nan, 3, 5, 0.1).to_dict(), allow_nan=False))
    assert shown["loss"] is shown["perplexity"] is shown["bits_per_byte"] is None and shown["tokens"] == 3
    assert math.isnan(Evaluation(math.nan, 3, 5, 0.1).perplexity) and Evaluation(800.0, 3, 5, 0.1).perplexity == math.inf


def test_printed(trained_run, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    assert run_verb("evaluate", [str(trained_run), str(tmp_path / "text.txt")]) == 0
    out = capsys.readouterr().out
    for words in ("nats/token", "perplexity", "bits per byte", "windows of 16", "step-0000"):
        assert words in out


@pytest.mark.parametrize(
    "content, flags, sentence",
    [
        (b"", [], "is empty"),
        (b"caf\xe9", [], "UTF-8"),
        (None, [], "there is no file or folder"),
        (b"some text", ["--context-length", "17"], "context_length is 17; the model was trained for at most 16"),
        (b"some text", ["--batch-size", "0"], "batch_size is 0; it must be at least 1"),
    ],
)
def test_mistakes(trained_run, tmp_path, capsys, content, flags, sentence):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    assert run_verb("evaluate", [str(trained_run), str(path), *flags]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and sentence in error


def test_a_checkpoint_without_its_run_needs_a_text(trained_run, tmp_path, capsys):
    load_checkpoint(trained_run).model.save(tmp_path / "m", load_checkpoint(trained_run).tokenizer)
    assert run_verb("evaluate", [str(tmp_path / "m")]) == 2
    assert "belongs to no run" in capsys.readouterr().err


def test_info(trained_run, capsys):
    assert run_verb("info", [str(trained_run), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    model = load_checkpoint(trained_run).model
    assert about["parameter_count"] == model.parameters.size and about["config"] == model.config.to_dict()
    assert [row["step"] for row in about["checkpoints"]] == [10, 20]
    assert about["checkpoints"][1]["is"] == ["latest", "best"]
    assert [row["step"] for row in about["held_out"]] == [10, 20]
    assert about["ended"]["finished"] == "steps" and about["run"]["host"]["cpu"]
    assert run_verb("info", [str(trained_run)]) == 0
    out = capsys.readouterr().out
    for words in ("model.layers.0.mlp.up_proj.weight", "64 x 16", "(latest, best)", "host ", "versions ", "bits/byte"):
        assert words in out


def test_info_counts_parameters_and_tells_what_else_lies_in_the_file(tmp_path, capsys):
    from safetensors.numpy import load_file, save_file

    import toylm

    config = toylm.ModelConfig(vocab_size=30, d_model=8, n_heads=2, n_layers=2, context_length=6, norm="layer", positions="learned")
    model = toylm.TransformerLM(config)
    file = model.save(tmp_path / "m") / "model.safetensors"
    zeros = [name for name in load_file(file) if name.endswith(".bias") and "ln_" not in name]
    masks = {f"transformer.h.{i}.attn.bias": np.tril(np.ones((1, 1, 6, 6), np.float32)) for i in range(2)}
    copy = {"lm_head.weight": model.parameters["token_embed"].array}
    save_file({**load_file(file), **masks, **copy}, file)
    assert run_verb("info", [str(tmp_path / "m"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["parameter_count"] == model.parameters.size
    assert sorted(row["name"] for row in about["others"]) == sorted([*zeros, *masks, *copy]) and len(zeros) == 8
    assert run_verb("info", [str(tmp_path / "m")]) == 0
    assert "other tensors in the file, no parameters\n  transformer.h.0.attn.bias" in capsys.readouterr().out


def test_info_names_a_damaged_record(trained_run, tmp_path, capsys):
    run = shutil.copytree(trained_run, tmp_path / "run")
    (run / "run.json").write_text("{", encoding="utf-8")
    for verb in ("info", "evaluate"):
        assert run_verb(verb, [str(run)]) == 2
        assert f"{run / 'run.json'} is damaged: not valid JSON" in capsys.readouterr().err


def test_info_of_a_bare_checkpoint_and_of_nothing(trained_run, tmp_path, capsys):
    load_checkpoint(trained_run).model.save(tmp_path / "m")
    assert run_verb("info", [str(tmp_path / "m")]) == 0
    assert "parameters" in capsys.readouterr().out
    (tmp_path / "m" / "model.safetensors").write_bytes(b"\0" * 30)
    for path, sentence in ((tmp_path / "m", "truncated or corrupt"), (tmp_path / "nowhere", "does not exist")):
        assert run_verb("info", [str(path)]) == 2
        assert sentence in capsys.readouterr().err
