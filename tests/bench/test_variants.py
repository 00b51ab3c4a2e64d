"""The ways to compute a step agree to rounding: float32 within 1e-5 of float64 in loss and gradients."""

import dataclasses
import json

import numpy as np
import pytest

from toylm.bench import variants
from toylm.bench.presets import Shape
from toylm.kernels import products
from toylm.kernels.matmul import matmul_mode

SHAPE = Shape(vocab_size=97, d_model=24, n_layers=2, n_heads=3, d_ff=70, length=29, batch=3)


@pytest.fixture(scope="module")
def exact():
    return variants.one_step(SHAPE, "float64", None)


@pytest.mark.parametrize("mode", ["numba", "blas"])
@pytest.mark.parametrize("threads", [None, 1])
def test_float32_is_within_rounding_of_float64(exact, monkeypatch, mode, threads):
    monkeypatch.setenv("TOYLM_MATMUL", mode)
    matmul_mode.cache_clear()
    try:
        found = variants.errors(variants.one_step(SHAPE, "float32", threads), exact)
    finally:
        monkeypatch.undo()
        matmul_mode.cache_clear()
    assert found["loss"] < variants.BAR and found["gradients"] < variants.BAR
    assert found["worst"] < 1e-4


def test_small_weights_get_the_same_gradients_inside_larger_kernels(exact, monkeypatch):
    monkeypatch.setattr(products, "WEIGHT_BYTES", products.WEIGHT_BYTES)
    inside = variants.one_step(dataclasses.replace(SHAPE, batch=4), "float64", None)
    apart = variants.one_step(dataclasses.replace(SHAPE, batch=4), "float64", None, small=False)
    assert products.WEIGHT_BYTES == 0
    found = variants.errors(apart, inside)
    assert found["loss"] < 1e-14 and found["gradients"] < 1e-13 and found["worst"] < 1e-12


def test_errors_are_relative_to_the_exact_step():
    exact = 2.0, np.array([3.0, 4.0, 1.0]), {"a": slice(0, 2), "b": slice(2, 3)}
    found = 2.5, np.array([3.0, 4.0, 3.0]), exact[2]
    assert variants.errors(found, exact) == {"loss": 0.25, "gradients": 2 / np.sqrt(26), "worst": 2.0, "parameter": "b"}


def test_the_command_compares_prints_and_writes(monkeypatch, tmp_path, capsys):
    from toylm.cli import main

    monkeypatch.setitem(variants.PRESETS, "nano", SHAPE)
    monkeypatch.setattr(variants, "VARIANTS", {name: variants.VARIANTS[name] for name in ("float64", "float32", "bf16")})
    monkeypatch.setenv("TOYLM_BF16", "")
    assert main(["bench", "variants", "--json", str(tmp_path / "v.json")]) == 0
    printed = capsys.readouterr().out
    assert "kept" in printed
    result = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))["variants"]
    assert result["float32"]["within"] is True and result["float32"]["gradients"] < 1e-5
    assert "bf16" in result or "skipped bf16: precision bf16 needs a CPU with AVX512_BF16" in printed
    monkeypatch.setattr(variants, "BAR", 1e-12)
    assert main(["bench", "variants"]) == 1
    assert "MISSED" in capsys.readouterr().out
