"""loss.png, with and without matplotlib."""

import builtins

from toylm.train import metrics
from toylm.train.plot import draw_loss


def write(path, steps):
    for step in range(1, steps + 1):
        metrics.append(path, {"step": step, "loss": 7.0 / step**0.3})
        if step % 10 == 0:
            metrics.append(path, {"step": step, "held_out_loss": 7.1 / step**0.3})


def test_draws_a_png(tmp_path):
    for steps in (2, 9, 60):
        path = tmp_path / f"{steps}.jsonl"
        write(path, steps)
        assert draw_loss(path, tmp_path / "loss.png", title="a run")
        data = (tmp_path / "loss.png").read_bytes()
        assert data.startswith(b"\x89PNG") and len(data) > 10_000


def test_flat_and_single_curves(tmp_path):
    path = tmp_path / "flat.jsonl"
    for step in (1, 2, 3):
        metrics.append(path, {"step": step, "held_out_loss": 0.013})
    assert draw_loss(path, tmp_path / "loss.png")


def test_nothing_to_draw_and_no_matplotlib(tmp_path, monkeypatch):
    assert not draw_loss(tmp_path / "none.jsonl", tmp_path / "loss.png")
    path = tmp_path / "metrics.jsonl"
    write(path, 5)
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert not draw_loss(path, tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()
