"""`toylm fit RUN ...`: reports, saved runs that the other verbs open, mistakes in one line."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from toylm.cli import main, parser_of, run_verb
from toylm.commands.fit_part import settings_of_all
from toylm.formats.checkpoint import load_checkpoint
from toylm.train.run_folder import OWN_FOLDERS


def fit(capsys, *arguments, status=0):
    """Run toylm fit; returns (stdout, stderr)."""
    capsys.readouterr()
    assert run_verb("fit", list(map(str, arguments))) == status
    return capsys.readouterr()


@pytest.mark.parametrize("part,name,flags", [
    ("head", "cross-entropy", ["--iterations", "3"]),
    ("attention:1", "ridge", ["--reset"]),
    ("block:1", "collapse", []),
    ("feed-forward:0", "lora-gradient", ["--rank", "2"]),
    ("blocks:0,2", "adam", ["--steps", "2"]),
])  # fmt: skip
def test_a_fitted_run_opens_everywhere(small_run, tmp_path, capsys, part, name, flags):
    out = tmp_path / "fitted"
    said = fit(capsys, small_run, "--part", part, "--with", name, *flags, "--out", out, "--json").out
    figures = json.loads(said)
    assert figures["fitter"] == name and figures["changed"]
    assert run_verb("evaluate", [str(out), "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["loss"] == pytest.approx(figures["loss_after"], rel=1e-5)
    assert run_verb("generate", [str(out), "--max-tokens", "5"]) == 0
    capsys.readouterr()
    assert run_verb("info", [str(out), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["run"]["fitted"][0]["fitter"] == name
    assert about["held_out"][-1]["held_out_loss"] == pytest.approx(figures["loss_after"])
    assert about["parameter_count"] == load_checkpoint(out).model.parameters.size == about["run"]["parameters"]


def test_without_out_nothing_is_written(small_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = load_checkpoint(small_run).model.parameters.flat.copy()
    said = fit(capsys, small_run, "--part", "head", "--with", "ridge").out
    assert "not saved" in said and "before" in said and "nats/token" in said
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(load_checkpoint(small_run).model.parameters.flat, before)


def test_a_head_beside_the_model_says_so(small_run, capsys):
    said = fit(capsys, small_run, "--part", "head", "--with", "elm", "--hidden-units", 32, "--max-rows", 500).out
    assert "the model is not changed" in said and "beside the model" in said


def test_a_head_beside_the_model_cannot_be_saved(small_run, tmp_path, capsys):
    for name in ("elm", "deep-elm", "kernel-ridge"):
        said = fit(capsys, small_run, "--part", "head", "--with", name, "--out", tmp_path / "run", status=2)
        assert f"{name} is measured beside the model, which does not change: there is nothing to save" in said.err
        assert not said.out and not (tmp_path / "run").exists()


def test_another_text_and_a_teacher(small_run, stories, tmp_path, capsys):
    said = fit(capsys, small_run, "--part", "block:0", "--with", "lora-activation", "--teacher", small_run, "--rank", 2, "--data",
               stories, "--json").out  # fmt: skip
    figures = json.loads(said)
    assert figures["loss_after"] == pytest.approx(figures["loss_before"], abs=1e-5)  # the teacher is the model itself


def test_an_adapter_beside_the_weights(small_run, tmp_path, capsys):
    merged, beside = tmp_path / "merged", tmp_path / "beside"
    for out, flags in ((merged, []), (beside, ["--keep-beside"])):
        fit(capsys, small_run, "--part", "all", "--with", "lora-gradient", "--rank", 2, "--out", out, *flags)
    base = load_checkpoint(small_run).model
    a, b = load_checkpoint(merged).model, load_checkpoint(beside)
    np.testing.assert_array_equal(a.parameters.flat, b.model.parameters.flat)
    assert sorted(path.name for path in (b.path / "adapter").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    shutil.rmtree(b.path / "adapter")
    np.testing.assert_array_equal(load_checkpoint(beside).model.parameters.flat, base.parameters.flat)


def test_the_curve_of_collapse(small_run, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    said = fit(capsys, small_run, "--with", "collapse", "--curve", 2, "--max-rows", 800, "--out", tmp_path / "curve").out
    found = json.loads((tmp_path / "curve" / "collapse.json").read_text(encoding="utf-8"))
    assert [len(row["removed"]) for row in found["rows"]] == [1, 2] and len(found["rows"][0]["ways"]) == 5
    assert found["rows"][0]["removed"][0] in found["rows"][1]["removed"]
    assert (tmp_path / "curve" / "collapse.png").read_bytes()[:4] == b"\x89PNG"
    assert {p.name for p in (tmp_path / "curve").iterdir()} == set(OWN_FOLDERS["collapse"])
    assert "without block" in said and "whole" in said and said.endswith("collapse.png\n")


def test_the_curve_without_matplotlib_is_a_table(small_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = fit(capsys, small_run, "--with", "collapse", "--curve", 1, "--max-rows", 800, "--out", tmp_path / "curve").out
    assert "without block" in said and said.endswith("collapse.json\n")
    assert [path.name for path in (tmp_path / "curve").iterdir()] == ["collapse.json"]


@pytest.mark.parametrize("flags,words", [
    (["--part", "head"], "--with names the fitter"),
    (["--with", "ridge"], "--part names what to fit; ridge fits head"),
    (["--part", "head", "--with", "rigde"], "no fitter 'rigde'; did you mean 'ridge'?"),
    (["--part", "hed", "--with", "ridge"], "no part 'hed'; did you mean 'head'?"),
    (["--part", "block:9", "--with", "collapse"], "part block:9: this model has blocks 0 to 2"),
    (["--part", "head", "--with", "ridge", "--rank", "3"], "ridge has no setting rank"),
    (["--part", "head", "--with", "ridge", "--context-length", "99"], "context_length is 99; the model takes at most 16"),
    (["--with", "collapse", "--curve", "3"], "--curve is 3; a model of 3 blocks can lose 1 to 2"),
    (["--with", "ridge", "--curve", "1"], "--curve is for --with collapse, not ridge"),
    (["--curve", "1"], "--curve is for collapse: add --with collapse"),
    (["--part", "block:0", "--with", "lora-svd"], "--teacher RUN"),
    (["--part", "block:0", "--with", "lora-svd", "--teacher", "nowhere"], "nowhere does not exist"),
    (["--add", "story.txt"], "keeps neither counts nor moments"),
    (["--part", "head", "--with", "ridge", "--context-length", "0"], "context_length is 0; it must be at least 1"),
    (["--part", "head", "--with", "ridge", "--add", "story.txt"], "--add has no effect on --with ridge: leave it out"),
    (["--part", "head", "--with", "ridge", "--held-out", "0.5"], "--held-out has no effect on --with ridge: leave it out"),
    (["--part", "head", "--with", "collapse", "--curve", "1"], "--part has no effect on --curve: leave it out"),
    (["--add", "story.txt", "--order", "9"], "--order has no effect on --add and --remove: leave it out"),
    (["--with", "counts"], "is a run: counts are fitted to a text"),
    (["--with", "counts", "--part", "head"], "--part has no effect on --with counts: leave it out"),
])  # fmt: skip
def test_mistakes_are_one_line(small_run, capsys, flags, words):
    said = fit(capsys, small_run, *flags, status=2)
    assert words in said.err and said.err.count("\n") == 1 and "Traceback" not in said.err


def test_the_curve_is_not_measured_for_a_file(small_run, tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    said = fit(capsys, small_run, "--with", "collapse", "--curve", 1, "--out", tmp_path / "file", status=2)
    assert "file is a file; --out names a folder" in said.err and not said.out


def test_an_out_folder_in_use_is_refused_before_any_work(small_run, capsys):
    said = fit(capsys, small_run, "--part", "head", "--with", "ridge", "--out", small_run, status=2)
    assert "holds a run already" in said.err


def test_a_missing_run(capsys):
    assert "nowhere does not exist" in fit(capsys, "nowhere", "--part", "head", "--with", "ridge", status=2).err


def test_help_lists_what_exists_and_loads_nothing_heavy(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "-h"])
    said = capsys.readouterr().out
    for word in ("cross-entropy", "kernel-ridge", "collapse", "lora-gradient", "feed-forward", "counts"):
        assert word in said
    assert "--add and --remove change the run itself unless --out is given" in said
    check = (
        "import sys; from toylm.cli import main\n"
        "try: main(['fit', '-h'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'numba', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], capture_output=True).returncode == 0


def test_help_says_whose_each_setting_is_and_its_defaults():
    told = {action.dest: action.help for action in parser_of("fit")[1]._actions}
    uses = settings_of_all()
    assert {"lambda_reg", "max_rows", "targets", "depth", "rank", "learning_rate"} <= uses.keys()
    for name, found in uses.items():
        for label, field in found:
            assert label in told[name], (name, label)
            default = field.metadata["default_text"] or field.default
            if field.metadata["yes_no"]:
                default = "yes" if field.default else "no"
            if not isinstance(default, bool) and default is not None:
                assert str(default) in told[name].partition("(default: ")[2], (name, label)
