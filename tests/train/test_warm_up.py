"""Kernels are compiled by processes that must import the very toylm that asked for them."""

from toylm.train import warm_up
from toylm.train.settings import TrainSettings


def test_another_folder_named_toylm_where_a_run_starts_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / "toylm").mkdir()
    (tmp_path / "toylm" / "__init__.py").write_text("raise SystemExit('the wrong toylm')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    settings = TrainSettings()
    kinds = [*(str(getattr(settings, name)) for name in warm_up._KINDS), "0", "False"]
    assert warm_up._compile_apart(kinds)
