"""toylm cache shows what is kept, a killed preparation's leftovers included, and removes it."""

from toylm.cli import run_verb
from toylm.data import prepare
from toylm.resources import lock_of


def test_what_is_kept_is_shown_and_removed(tmp_path, monkeypatch, capsys):
    for name in ("TOYLM_CACHE", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("one two\n" * 50, encoding="utf-8")
    kept = prepare(str(tmp_path / "text.txt"), tokenizer="byte", progress=False).path
    left = tmp_path / "cache" / "prepared" / "other" / ".preparing-1"
    kernels, strange = (tmp_path / "cache" / name for name in ("kernels-0123456789abcdef", "mine"))
    for folder in (left, kernels, strange):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(2000))
    assert run_verb("cache", []) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["kept", "kept", "kept", "in"]
    assert "2.0 kB" in lines[0] and str(left.parent) in lines[0] and str(kept) in lines[1] and str(kernels) in lines[2]
    with lock_of(kept):
        assert run_verb("cache", ["--empty"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["removed", "in", "removed", "in"]
    assert kept.is_dir() and strange.is_dir() and not kernels.exists() and not left.exists()
