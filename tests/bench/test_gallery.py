"""toylm bench kernels: one whole run of a small part, the roofs, the timer, the picture, and mistakes."""

import json

import numpy as np
import pytest

from toylm.bench import gallery, machine, worker_gallery
from toylm.bench.cases import KERNELS, SMALL
from toylm.cli import main
from toylm.threads import get_threads


def test_one_command_measures_prints_and_draws(tmp_path, capfd):
    small = ["--only", "embedding", "--rounds", "1", "--seconds", "0.001", "--memory-mib", "0", "--sides", "python,numpy"]
    files = ["--json", str(tmp_path / "g.json"), "--picture", str(tmp_path / "g.png")]
    status = main(["bench", "kernels", *small, *files])
    printed = capfd.readouterr().out
    assert status == 0
    assert "embedding backward" in printed and "copy" in printed and "toylm over NumPy" in printed
    result = json.loads((tmp_path / "g.json").read_text(encoding="utf-8"))
    assert [row["kernel"] for row in result["kernels"]] == ["embedding", "embedding backward"]
    for row in result["kernels"]:
        assert set(row["seconds"]) == {"python", "numpy", "toylm"}
        assert row["gflops"] == pytest.approx(row["flops"] / row["seconds"]["toylm"] / 1e9)
        assert row["roof_share"] == pytest.approx(row["roof_seconds"] / row["seconds"]["toylm"])  # one turn
    assert set(result["machine"]) == {"copy in cache", "copy in memory", "peak", "large product"}
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--only", "nothing"], "no kernel has 'nothing' in its name"),
        (["--sides", "cupy"], "no side 'cupy'; did you mean 'numpy'"),
        (["--only", "GELU", "--rounds", "0"], "--rounds is 0; it must be at least 1"),
    ],
)
def test_mistakes_take_one_line(arguments, message, capsys):
    assert main(["bench", "kernels", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_side_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(gallery.importlib.util, "find_spec", lambda name: None)
    assert gallery.chosen_sides("torch, numpy") == (["numpy", "toylm"], ["torch"])


def test_timer_puts_back_what_a_call_overwrites():
    kernel = KERNELS["embedding backward"]
    seen = []

    def prepare(name, x):
        return lambda: (seen.append(x.dtable[0, 0]), np.add(x.dtable, 1, out=x.dtable))

    timer = worker_gallery.Timer(kernel, SMALL, prepare)
    assert timer.seconds(worker_gallery.RESTORE_EVERY + 2) >= 0
    # eight calls from the first values (one to prepare, one to warm up), then four from the saved values again
    assert seen == [*range(8), *range(4)]


def test_copy_moves_every_byte():
    roofs = machine.Roofs()
    roofs.source, roofs.target = np.arange(1001, dtype=np.float32), np.zeros(1001, np.float32)
    assert roofs.copy_seconds(8 * 1001, 2) > 0
    np.testing.assert_array_equal(roofs.target, np.arange(1001))


def test_the_peak_computes_polynomials():
    roofs = machine.Roofs()
    roofs.values[:] = np.linspace(-0.9, 0.9, machine.VALUES, dtype=np.float32)
    assert roofs.peak_flops() > 0 and len(roofs.sums) == get_threads()
    x = roofs.values[0].astype(np.float64)
    for sums in roofs.sums:
        np.testing.assert_allclose(sums, (1 - x ** (machine.DEGREE + 1)) / (1 - x), rtol=1e-5)


def row(kernel, label="tiny", seconds=1e-3):
    flops, nbytes = 1e6, 4e6
    return {
        "kernel": kernel, "label": label, "kind": KERNELS[kernel].kind, "direction": KERNELS[kernel].direction,
        "bound": KERNELS[kernel].bound, "flops": flops, "bytes": nbytes, "intensity": flops / nbytes,
        "seconds": {"toylm": seconds, "torch": 2 * seconds}, "gflops": flops / seconds / 1e9, "gbytes": 4.0,
        "roof_share": 0.5, "faster_than": {"torch": 2.0},
    }  # fmt: skip


def test_summary_names_what_is_below_the_bar(capsys):
    gallery.print_summary([row("GELU"), row("attention")], ["torch", "toylm"])
    printed = capsys.readouterr().out
    assert "toylm over PyTorch       2.00 x (geometric mean of 2)" in printed
    assert "GELU (tiny) 50%" in printed and "attention" not in printed
    assert gallery.geometric_mean([1, 4]) == pytest.approx(2)
