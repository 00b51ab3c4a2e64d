"""Whole runs of bench train, generate and matmul at a tiny shape, turns, and what runs beside them."""

import json

import pytest

from toylm.bench import products, sides
from toylm.bench.presets import PRESETS, Shape
from toylm.cli import main

SHAPE = Shape(vocab_size=96, d_model=32, n_layers=1, n_heads=2, d_ff=64, length=24, batch=2)
QUICK = ["--preset", "nano", "--peers", "", "--threads", "1", "--rounds", "2", "--seconds", "0.001"]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(PRESETS, "nano", SHAPE)


@pytest.mark.parametrize("beside", [None, "self"])
def test_training_is_measured(beside, tiny, tmp_path, capfd):
    more = [] if beside is None else ["--beside", beside]
    assert main(["bench", "train", *QUICK, *more, "--json", str(tmp_path / "t.json")]) == 0
    printed = capfd.readouterr().out
    assert "toylm is warm" in printed and "toylm's step reaches" in printed
    assert ("of its own idle speed" in printed) == (beside is not None)
    result = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    (row,) = result["sides"]
    assert result["beside"] == beside and len(row["all_ms"]) == 2
    assert row["tokens_per_second"] == pytest.approx(SHAPE.tokens / row["ms_per_step"] * 1e3)
    assert row["toylm_is_faster_by"] == 1 and row["loss"] > 0 and row["product_gflops"] > 0
    assert ("share_of_idle_speed" in row) == (beside is not None)


def test_generating_is_measured(tiny, tmp_path, capfd):
    assert main(["bench", "generate", *QUICK, "--tokens", "8", "--json", str(tmp_path / "g.json")]) == 0
    (row,) = json.loads((tmp_path / "g.json").read_text(encoding="utf-8"))["sides"]
    assert row["tokens_per_second"] == pytest.approx(8 / row["ms_per_step"] * 1e3)
    assert "gflops" not in row and "share_of_idle_speed" not in row


def test_products_are_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(products, "PRESETS", {"one": SHAPE})
    monkeypatch.setattr(products, "WORK", 1)
    monkeypatch.setattr(products, "LONGEST_REST", 0)
    assert main(["bench", "matmul", "--json", str(tmp_path / "m.json")]) == 0
    result = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert len(result["products"]) == len(list(products.shapes_of(SHAPE))) == 15
    assert all(min(r["gflops"]) > 0 and r["ratio"] > 0 for r in result["products"])
    assert capsys.readouterr().out.count("geometric mean") == 2


class Recorder:
    """A side that takes 2 ms a step and notes what is asked of it."""

    def __init__(self, log, name):
        self.log, self.name, self.answers = log, name, []

    def ask(self, repeat):
        self.log.append((self.name, repeat))
        return {"seconds": 0.002}

    def measure(self, repeat):
        self.answers.append(self.ask(repeat))
        return self.answers[-1]


def test_sides_take_turns_and_every_turn_is_run_again_beside_a_neighbour():
    log = []

    class Neighbour:
        def __enter__(self):
            log.append("works")

        def __exit__(self, *failure):
            log.append("rests")

    a, b = Recorder(log, "a"), Recorder(log, "b")
    sides.take_turns([a, b], 2, 0.01, Neighbour())
    turn = [("a", 5), "works", ("a", 5), "rests", ("b", 5), "works", ("b", 5), "rests"]
    assert log == [("a", 1), ("b", 1), *turn, *turn]
    assert a.answers == b.answers == 2 * [{"seconds": 0.002, "beside": 0.002}]
    log.clear()
    sides.take_turns([a, b], 1, 0.01)
    assert log == [("a", 1), ("b", 1), ("a", 5), ("b", 5)] and a.answers == [{"seconds": 0.002}]


def test_a_neighbour_ends_while_it_works_and_while_it_rests():
    for work in (True, False):
        neighbour = sides.Neighbour("loop", {})
        if work:
            neighbour.__enter__()
        neighbour.close()
        assert neighbour.side.process.returncode == 0


def test_ratios_are_taken_turn_by_turn():
    assert sides.median_ratio([2, 30, 4], [1, 10, 4]) == 2
