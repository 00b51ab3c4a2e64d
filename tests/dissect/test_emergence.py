"""Coupling logged during training: figures in metrics.jsonl, a picture, and a run that is otherwise the same."""

import numpy as np
import pytest
from small_models import small_model

from toylm.cli import run_verb
from toylm.dissect import m_K
from toylm.dissect.coupling_analysis import same_token_jacobians
from toylm.dissect.emergence import coupling_record
from toylm.train import metrics

TEXT = "\n<|endoftext|>\n".join(f"The dog number {i} saw the cat and the bird on the tree." for i in range(60))
SMALL = [
    *(
        "--vocab-size",
        "280",
        "--held-out",
        "0.2",
        "--d-model",
        "16",
        "--n-heads",
        "2",
        "--n-layers",
        "2",
        "--threads",
        "1",
    ),
    *("--context-length", "16", "--batch-size", "4", "--steps", "6", "--sample-every", "none", "--quiet"),
]


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return lambda out, *flags: run_verb("train", ["--data", "text.txt", *SMALL, "--out", out, *flags])


def test_record_is_the_mean_over_layers():
    model, prompt = small_model(), np.random.default_rng(0).integers(0, 50, 7)
    record = coupling_record(model, prompt)
    J = same_token_jacobians(model, prompt, [0, 2, 4, 6])[0]["block"]
    pairs = [m_K(J[i, t], J[j, t], 2) for t in range(4) for i in range(3) for j in range(3) if i != j]
    assert record["coupling"] == pytest.approx(np.mean(pairs), rel=1e-9)
    assert record["coupling_k"] == 2 and record["coupling"] <= record["coupling_signed"]
    assert np.isnan(coupling_record(small_model(n_layers=1), prompt)["coupling"])


def test_training_logs_the_curve_and_is_not_changed_by_it(train, tmp_path):
    assert train("with", "--coupling-every", "2") == 0
    assert train("without") == 0
    found = [r for r in metrics.read(tmp_path / "with" / "metrics.jsonl") if "coupling" in r]
    assert [r["step"] for r in found] == [0, 2, 4, 6]
    assert found[0]["coupling"] is None  # blocks that start as the identity have none
    assert all(0 < r["coupling"] < 2 and r["coupling_random"] > 0.8 for r in found[1:])
    weights = [(tmp_path / run / "step-000006" / "model.safetensors").read_bytes() for run in ("with", "without")]
    assert weights[0] == weights[1]
    pytest.importorskip("matplotlib")
    assert (tmp_path / "with" / "coupling.png").is_file() and not (tmp_path / "without" / "coupling.png").exists()
    assert train("with", "--overwrite") == 0
    assert not (tmp_path / "with" / "coupling.png").exists()
