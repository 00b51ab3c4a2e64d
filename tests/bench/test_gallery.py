"""toylm bench kernels: one whole run of a small part, the roofs, the timer, the picture, and mistakes."""

import json

import numpy as np
import pytest

from toylm.bench import gallery, machine, roofline, worker_gallery
from toylm.bench.cases import KERNELS, SMALL
from toylm.cli import main
from toylm.threads import get_threads


def test_one_command_measures_prints_and_draws(tmp_path, capfd):
    small = ["--only", "residual add", "--rounds", "1", "--seconds", "0.001", "--memory-mib", "0", "--sides", "python,numpy"]
    files = ["--json", str(tmp_path / "g.json"), "--picture", str(tmp_path / "g.png")]
    status = main(["bench", "kernels", *small, *files])
    printed = capfd.readouterr().out
    assert status == 0
    assert "residual add backward" in printed and "copy" in printed and "toylm over NumPy" in printed
    result = json.loads((tmp_path / "g.json").read_text(encoding="utf-8"))
    assert [row["kernel"] for row in result["kernels"]] == ["residual add", "residual add backward"]
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
        (["--sides", "cupy"], "no side 'cupy'; valid: python, njit, numpy, torch, toylm"),
        (["--only", "GELU", "--rounds", "0"], "rounds is 0"),
    ],
)
def test_mistakes_take_one_line(arguments, message, capsys):
    assert main(["bench", "kernels", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_side_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(gallery.importlib.util, "find_spec", lambda name: None)
    assert gallery.chosen_sides("torch, numpy") == (["numpy", "toylm"], ["torch"])


def test_timer_puts_back_what_a_call_overwrites():
    kernel = KERNELS["residual add backward"]
    seen = []

    def prepare(x):
        return lambda: (seen.append(x.dx[0]), np.add(x.dx, 1, out=x.dx))

    timer = worker_gallery.Timer(kernel, SMALL, prepare)
    assert timer.seconds(worker_gallery.RESTORE_EVERY + 2) >= 0
    first = kernel.make(SMALL).dx[0]
    # eight calls from the first values (one to prepare, one to warm up), then four from the saved values again
    assert seen == [*(first + i for i in range(8)), *(first + i for i in range(4))]


def test_copy_moves_every_byte_and_the_peak_counts_two_operations_a_lane():
    roofs = machine.Roofs()
    roofs.source, roofs.target = np.arange(1001, dtype=np.float32), np.zeros(1001, np.float32)
    assert roofs.copy_seconds(8 * 1001, 2) > 0
    np.testing.assert_array_equal(roofs.target, np.arange(1001))
    assert machine.flops_of(10, 3) == 2 * machine.LANES * machine.ACCUMULATORS * 10 * 3
    assert roofs.peak_flops() > 0


def test_multiply_adds_compute_what_they_say():
    out = np.zeros(get_threads(), np.float32)
    machine.multiply_adds(np.float32(0.5), np.float32(1.0), 3, out)
    # an accumulator that starts at s is (s · 0.5 + 1) three times over: s / 8 + 1.75
    starts = np.arange(machine.ACCUMULATORS)
    assert out == pytest.approx(machine.LANES * (starts / 8 + 1.75).sum())


def row(kernel, label="tiny", seconds=1e-3):
    flops, nbytes = 1e6, 4e6
    return {
        "kernel": kernel, "label": label, "kind": KERNELS[kernel].kind, "direction": KERNELS[kernel].direction,
        "bound": KERNELS[kernel].bound, "flops": flops, "bytes": nbytes, "intensity": flops / nbytes,
        "seconds": {"toylm": seconds, "torch": 2 * seconds}, "gflops": flops / seconds / 1e9, "gbytes": 4.0,
        "roof_share": 0.5, "faster_than": {"torch": 2.0},
    }  # fmt: skip


def test_roofline_labels_do_not_cover_each_other(tmp_path, monkeypatch):
    boxes = []
    overlap = roofline._overlap
    monkeypatch.setattr(roofline, "_overlap", lambda a, b: boxes.append((tuple(a), tuple(b))) or overlap(a, b))
    machine_row = {"median": 1e11, "best": 1e11}
    result = {"cpu": "a CPU", "threads": 2, "machine": dict.fromkeys(("copy in cache", "copy in memory", "peak"), machine_row)}
    rows = [row(kernel) for kernel in list(KERNELS)[:6]]  # all at one point: the hardest case
    roofline.draw_roofline(result | {"kernels": rows + [row("GELU", "memory")]}, tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG") and boxes
    assert roofline._overlap((0, 0, 2, 2), (1, 1, 3, 3)) == 1 and overlap((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert roofline.short_name(row("product A·B")) == "A·B tiny"


def test_summary_names_what_is_below_the_bar(capsys):
    gallery.print_summary([row("GELU"), row("attention")], ["torch", "toylm"])
    printed = capsys.readouterr().out
    assert "toylm over PyTorch       2.00 x (geometric mean of 2)" in printed
    assert "GELU (tiny) 50%" in printed and "attention" not in printed
    assert gallery.geometric_mean([1, 4]) == pytest.approx(2)


def test_waiting_for_a_quiet_machine(monkeypatch):
    from toylm.bench import quiet

    ticks = iter([(100, 50), (200, 60), (300, 60), (400, 155)])  # 90 % busy, then 5 %
    monkeypatch.setattr(quiet, "_ticks", lambda: next(ticks))
    monkeypatch.setattr(quiet.time, "sleep", lambda seconds: None)
    assert quiet.wait_until_quiet(60)
    assert next(ticks, None) is None
    always_busy = iter(range(0, 10**6, 10))
    monkeypatch.setattr(quiet, "_ticks", lambda: (next(always_busy), 0))
    assert not quiet.wait_until_quiet(0)
    monkeypatch.setattr(quiet, "_ticks", lambda: None)
    assert quiet.busy_share() is None and quiet.wait_until_quiet(0)


def test_a_case_is_measured_again_when_the_machine_became_busy(monkeypatch):
    shares, measured = iter([0.8, 0.0]), []
    monkeypatch.setattr(gallery, "wait_until_quiet", lambda limit: True)
    monkeypatch.setattr(gallery, "busy_share", lambda: next(shares))
    assert gallery.quietly(lambda: measured.append(1) or len(measured), limit=60) == 2
    assert gallery.quietly(lambda: measured.append(1) or len(measured), limit=0) == 3
