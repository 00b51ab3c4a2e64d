"""The exponents on made-up times, the curves' shapes, and start-up as processes."""

import dataclasses
import json
import sys

import pytest

from toylm.bench import scaling, startup
from toylm.bench.presets import Shape
from toylm.bench.sides import environment
from toylm.cli import main
from toylm.errors import UsageError


def test_exponent_of_made_up_times():
    sizes = [128, 256, 512, 1024]
    assert scaling.exponent(sizes, [3e-6 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert scaling.exponent(sizes, [7.0] * 4) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="two different sizes"):
        scaling.exponent([128, 128], [1, 2])


@pytest.mark.parametrize("name", scaling.CURVES)
def test_a_curve_changes_one_size(name):
    curve = scaling.CURVES[name]
    shapes = [curve.shape(value) for value in curve.values]
    field = {"T": "length", "d": "d_model", "V": "vocab_size", "B": "batch"}[name]
    assert [getattr(s, field) for s in shapes] == list(curve.values)
    follow = {field, "d_ff", "n_heads"} if name == "d" else {field}
    for shape in shapes:
        assert shape.d_model % shape.n_heads == 0
        changed = {f.name for f in dataclasses.fields(Shape) if getattr(shape, f.name) != getattr(shapes[0], f.name)}
        assert changed <= follow
    assert scaling.CURVES["T"].values[0] == 128 and scaling.CURVES["T"].values[-1] == 4096


class FakeSide:
    """Takes one nanosecond an operation and a byte a position."""

    def __init__(self, name, task):
        self.shape, self.answers, self.peak_bytes = Shape(**task["shape"]), [], task["shape"]["length"] * 2**16

    def measure(self, repeat):
        self.answers.append({"seconds": self.shape.flops * 1e-9})
        return self.answers[-1]

    @property
    def seconds(self):
        return self.answers[-1]["seconds"]

    def close(self):
        pass


def test_scaling_reports_exponents_memory_and_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "Side", FakeSide)
    files = ["--json", str(tmp_path / "s.json"), "--picture", str(tmp_path / "s.png")]
    assert main(["bench", "scaling", "--only", "T,B", "--rounds", "2", *files]) == 0
    assert "trains in 256 MiB at the peak: within 1 GiB" in capsys.readouterr().out
    result = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    for curve in result["curves"]:
        assert curve["exponent"] == pytest.approx(curve["arithmetic_exponent"])
        assert all(p["gflops"] == pytest.approx(1) for p in curve["points"])
    assert result["curves"][1]["exponent"] == pytest.approx(1)
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(scaling, "MEMORY_LIMIT", 2**20)
    assert main(["bench", "scaling", "--only", "T", "--rounds", "1"]) == 1
    assert "NOT within" in capsys.readouterr().out


def test_scaling_says_where_the_system_does_not_tell_the_memory(monkeypatch, capsys):
    class Untold(FakeSide):
        peak_bytes = property(lambda self: 0, lambda self, value: None)

    monkeypatch.setattr(scaling, "Side", Untold)
    assert main(["bench", "scaling", "--only", "T", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "trains in memory that this system does not tell: whether within 1 GiB is not known" in printed
    assert printed.count("?\n") == len(scaling.CURVES["T"].values)


def test_scaling_names_an_unknown_size(capsys):
    assert main(["bench", "scaling", "--only", "heads"]) == 2
    assert "no size to grow 'heads'; valid: T, d, V, B" in capsys.readouterr().err


def test_a_process_is_timed_to_its_end_or_to_a_line(tmp_path):
    code = "import time; print('step 00001 done', flush=True); time.sleep(3600)"
    seconds = startup.seconds_of([sys.executable, "-c", code], tmp_path, environment(), startup.FIRST_STEP)
    assert 0 < seconds < 3600  # ended at the line
    assert startup.seconds_of([sys.executable, "-c", ""], tmp_path, environment()) > 0
    with pytest.raises(UsageError, match="status 3: why"):
        startup.seconds_of([sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path, environment())
    with pytest.raises(UsageError, match="status 0"):
        startup.seconds_of([sys.executable, "-c", "print('no step')"], tmp_path, environment(), startup.FIRST_STEP)


def test_only_the_kernels_are_cold(monkeypatch, tmp_path):
    monkeypatch.setenv("TOYLM_CACHE", "texts")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "elsewhere")
    variables = environment(NUMBA_CACHE_DIR=str(tmp_path))
    assert variables["NUMBA_CACHE_DIR"] == str(tmp_path) and variables["TOYLM_CACHE"] == "texts"
    assert environment()["NUMBA_CACHE_DIR"] == "elsewhere"


def test_startup_reports_bars_kept_and_missed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(startup, "help_seconds", lambda folder: 0.1)
    monkeypatch.setattr(startup, "library_seconds", lambda folder: 2.0)
    monkeypatch.setattr(startup, "train_seconds", lambda folder, cache=None, program=None: 2.4 if cache is None else 31.0)
    assert main(["bench", "startup", "--rounds", "2", "--cold-rounds", "1", "--json", str(tmp_path / "s.json")]) == 1
    printed = capsys.readouterr().out
    assert "bar 2.5 s: kept" in printed and "bar 30 s: MISSED" in printed
    result = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["startup"]
    assert result["cold, toylm train"] == {"median": 31.0, "seconds": [31.0], "bar": 30.0, "within": False}
    assert main(["bench", "startup", "--rounds", "1", "--cold-rounds", "0"]) == 0
