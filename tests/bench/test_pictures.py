"""The pictures: labels of the roofline touch neither each other nor anything else, and both files are PNGs."""

import itertools

import pytest

matplotlib = pytest.importorskip("matplotlib")

from toylm.bench import pictures  # noqa: E402
from toylm.bench.cases import KERNELS, cases_of  # noqa: E402
from toylm.bench.presets import PRESETS  # noqa: E402

MACHINE = {name: {"median": rate} for name, rate in (("copy in cache", 39e9), ("copy in memory", 31e9), ("peak", 183e9))}


def rows(share, memory_bytes=2**27):
    """All kernels of the gallery at preset tiny, each at `share` of its roof; PyTorch takes twice the time."""
    for case in cases_of("tiny", PRESETS, memory_bytes):
        kernel = KERNELS[case.kernel]
        rate = share * min(MACHINE["peak"]["median"], MACHINE["copy in cache"]["median"] * case.intensity)
        yield {"kernel": case.kernel, "label": case.label, "direction": kernel.direction, "flops": case.flops,
               "intensity": case.intensity, "gflops": rate / 1e9, "seconds": {"torch": 2 * case.flops / rate}}  # fmt: skip


def draw(tmp_path, monkeypatch, rows):
    """The boxes of each panel's labels, with its rows."""
    found, label = [], pictures._label

    def spy(axes, rows):
        boxes = label(axes, rows)
        found.append((axes, rows, boxes))
        return boxes

    monkeypatch.setattr(pictures, "_label", spy)
    result = {"cpu": "a CPU", "threads": 2, "preset": "tiny", "machine": MACHINE, "kernels": rows}
    pictures.draw_roofline(result, tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    return found


@pytest.mark.parametrize("share", [0.3, 0.7, 1.2])
def test_labels_touch_nothing(tmp_path, monkeypatch, share):
    panels = draw(tmp_path, monkeypatch, list(rows(share)))
    assert len(panels) == 2
    for axes, drawn, boxes in panels:
        assert len(boxes) == len(drawn)
        boxes = [matplotlib.transforms.Bbox.from_extents(*box) for box in boxes]
        others = [axes.get_legend().get_window_extent()]
        for r in drawn:
            x, y = axes.transData.transform((r["intensity"], r["gflops"]))
            others.append(matplotlib.transforms.Bbox.from_extents(x - 4, y - 4, x + 4, y + 4))
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        assert not any(box.overlaps(other) for box in boxes for other in others)
        frame = axes.get_window_extent()
        assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


def test_one_panel_where_nothing_was_measured_in_memory(tmp_path, monkeypatch):
    assert len(draw(tmp_path, monkeypatch, list(rows(0.5, 0)))) == 1
