"""The battery, the exact task models, the commands, the benchmark."""

import io
import json
import warnings

import numpy as np
import pytest

from toylm import cli
from toylm.closed_form import bench, identities
from toylm.closed_form.task_models import PointerModel, RunningSumModel, position_wise_head, solve_task
from toylm.closed_form.timing import format_timing, gradient_descent, timing_table
from toylm.data.tasks import generate_long_copy_dataset, generate_long_reverse_dataset


def run(argv):
    return cli.main(argv)


def test_battery_holds_for_other_seeds_too():
    for seed in (0, 48):
        checks = list(identities.run_battery(seed))
        assert len(checks) > 55
        assert not [str(check) for check in checks if not check.holds]


def test_a_broken_identity_is_reported(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(identities, "run_battery", lambda seed: iter([identities.Check("broken", 1.0, 1e-9)]))
    assert run(["instant", "--out", str(tmp_path), "--no-timing"]) == 1
    assert "[✘] 1 checks failed: broken" in capsys.readouterr().out


def test_instant_command(tmp_path, capsys):
    assert run(["instant", "--out", str(tmp_path), "--n", "300", "--d", "4"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[-2] == "[✔] All checks passed" and lines[-1] == str(tmp_path.resolve() / "results.txt")
    assert (tmp_path / "results.txt").read_text(encoding="utf-8") == "\n".join(lines[:-1]) + "\n"
    assert "gradient descent, 500 steps" in out
    assert run(["instant", "--n", "1", "--out", str(tmp_path)]) == 2
    assert "at least 2 rows" in capsys.readouterr().err


def test_out_and_seed_are_checked_before_anything_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(identities, "run_battery", None)
    file = tmp_path / "small.txt"
    file.write_text("", encoding="utf-8")
    for argv, message in (
        (["instant", "--out", str(file)], "small.txt is a file; --out names a folder"),
        (["deep-elm-bench", "--out", str(file)], "small.txt is a file; --out names a folder"),
        *(([*verb, "--seed", "-1"], "--seed is -1") for verb in (["instant"], ["deep-elm-bench"], ["task", "copy"])),
    ):
        assert run(argv) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1


def test_timing_table_measures_the_gap():
    rows = timing_table(n=400, d=5, k=2, decay=0.5, repeats=1)
    names, seconds, gaps = zip(*rows)
    assert names[0] == "closed form" and gaps[0] == 0 and all(s > 0 for s in seconds)
    assert gaps[1] > gaps[2] > -1e-12 and abs(gaps[3]) < 1e-10  # 10 steps, 50, 500
    assert "relative gap" in format_timing(rows)
    X = np.eye(2)
    assert np.allclose(gradient_descent(X, np.array([[2.0], [4.0]]), 0.0, 1, 0.5), [[1.0], [2.0]])


@pytest.mark.parametrize(
    "name, options",
    [
        ("copy", {}),
        ("copy", {"shift": 63}),
        ("copy", {"vocab_size": 3, "shift": 5}),
        ("bracket", {}),
        ("bracket", {"max_depth": 2, "num_distractors": 0}),
        ("reverse", {}),
        ("running-sum", {}),
        ("running-sum", {"modulo": 7}),
        ("running-sum", {"modulo": 12}),
    ],
)
def test_every_task_is_exact_at_65536(name, options):
    result = solve_task(name, num_sequences=64, test_sequences=1, **options)
    assert result["train"]["accuracy"] == 1.0
    assert result["test"]["accuracy"] == 1.0 and result["test"]["mse"] <= 1e-18 and result["test"]["tokens"] == 65536


def test_pointer_law_is_found_not_assumed():
    X, Y = generate_long_reverse_dataset(num_sequences=16, max_len=100)
    model = PointerModel().fit(X, Y)
    assert model.slope_ == -1 and np.allclose(model.law_, [1, -1])
    assert model.describe() == "position t copies position -t + length - 1"
    X, Y = generate_long_copy_dataset(num_sequences=16, max_len=100, shift=9)
    assert PointerModel().fit(X, Y).describe() == "position t copies position t - 9"
    relabelled = np.array([0, *np.random.default_rng(0).permutation(np.arange(1, 32))])
    half = np.where(np.arange(100) % 2, Y, relabelled[Y])  # half of the answers under other names: the head follows most
    assert PointerModel().fit(X, np.where(np.arange(100) % 3 == 0, half, Y)).law_[1] == pytest.approx(-9)


def test_tasks_are_not_solved_without_attention():
    assert position_wise_head("copy", num_sequences=32)["accuracy"] == 1.0  # which is why copy alone proves nothing
    for name, options in (("copy", {"shift": 3}), ("reverse", {}), ("bracket", {})):
        assert position_wise_head(name, num_sequences=32, **options)["accuracy"] < 0.2


def test_running_sum_learns_values_not_names():
    rng = np.random.default_rng(0)
    values = np.array([0, 4, 1, 3])
    X = rng.integers(1, 4, (20, 30))
    model = RunningSumModel(modulo=5).fit(X, np.cumsum(values[X], axis=1) % 5)
    assert model.weights_.tolist() == values.tolist()


def test_task_command(capsys):
    assert run(["task", "copy", "--n", "16", "--L", "128", "--V", "64", "--test-L", "300"]) == 0
    assert "accuracy 1.000000" in capsys.readouterr().out
    assert run(["task", "all", "--n", "16", "--L", "80", "--test-L", "200", "--json", "--head", "ridge", "--modulo", "3"]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [o["task"] for o in objects] == ["copy", "bracket", "reverse", "running-sum"]
    assert all(o["test"]["accuracy"] == 1 for o in objects) and "position_wise" in objects[0]
    assert run(["task", "bracket", "--n", "16", "--L", "128", "--depth", "32", "--test-L", "300"]) == 0
    assert "1, -1, 0, 0, 0, 0, 0" in capsys.readouterr().out
    for small in (["reverse", "--L", "8"], ["reverse", "--L", "64"], ["copy", "--L", "6", "--shift", "3"]):
        assert run(["task", *small, "--n", "64", "--V", "3", "--test-L", "500"]) == 0
    assert "position t copies position t - 3\n" in capsys.readouterr().out
    for few, hint in (
        (["running-sum", "--n", "2", "--L", "10", "--V", "100"], "give more (--n)"),
        (["running-sum", "--modulo", "7", "--n", "1", "--L", "3"], "give more (--n)"),
        (["reverse", "--L", "8", "--min-L", "8"], "give --min-L below --L"),
    ):
        with warnings.catch_warnings(action="ignore"):
            assert run(["task", *few, "--test-L", "500"]) == 1
        assert hint in capsys.readouterr().out
    for argv, message in (
        (["task", "bracket", "--V", "9"], "--V 9: bracket has no use for it, only copy, reverse, running-sum"),
        (["task", "reverse", "--shift", "0"], "--shift 0: reverse has no use for it, only copy"),
        (["task", "copy", "--L", "0"], "need 1 <= min_len <= max_len"),
        (["task", "bracket", "--depth", "0"], "max_depth is 0"),
        (["task", "copy", "--V", "1"], "vocab_size is 1"),
        (["task", "running-sum", "--modulo", "1"], "modulo is 1"),
        (["task", "copy", "--n", "0"], "num_sequences is 0"),
    ):
        assert run(argv) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1


def test_deep_elm_bench_command(tmp_path, capsys):
    argv = [
        "deep-elm-bench",
        "--depths",
        "1,2",
        "--hidden",
        "8,16",
        "--lambdas",
        "1e-3,1e-1",
        "--n-train",
        "60",
        "--n-test",
        "40",
    ]
    assert run([*argv, "--out", str(tmp_path), "--no-plots"]) == 0
    out = capsys.readouterr().out
    assert "kernel ridge (by leave-one-out)" in out
    table = (tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 9 and table[0] == "depth,hidden,lambda,train_mse,loo_mse,test_mse,test_r2,seconds,solver"
    best = min((line.split(",") for line in table[1:]), key=lambda row: float(row[4]))
    assert f"best by leave-one-out: depth {best[0]}, {best[1]} units, lambda {float(best[2]):g}: test MSE" in out
    assert run([*argv, "--lambdas", "1.5e-4", "--no-plots", "--out", str(tmp_path)]) == 0
    assert " 0.00015 " in capsys.readouterr().out
    assert run([*argv, "--n-train", "0"]) == 2
    with pytest.raises(SystemExit):
        run(["deep-elm-bench", "--depths", "two"])


def test_deep_elm_bench_plots(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    argv = ["deep-elm-bench", "--depths", "1", "--hidden", "4,8", "--lambdas", "1e-3", "--n-train", "30", "--n-test", "20"]
    assert run([*argv, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "test-mse-by-width.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "test-mse-by-lambda.png").exists()


def test_benchmark_runs_small(monkeypatch, capsys):
    assert bench.main(["--n", "400", "--d", "6", "--loo-rows", "500", "--repeats", "1", "--json"]) == 0
    text = capsys.readouterr().out
    results = json.load(io.StringIO(text[text.index("{") :]))
    assert set(results) == {"loo", "ridge", "accuracy", "hilbert"}
    assert results["accuracy"]["forward error, accurate"] <= 10 * max(results["accuracy"]["forward error, LAPACK QR"], 2e-4)
    assert results["loo"]["rows"] == 500
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert bench.main(["--only", "ridge", "--n", "400", "--d", "6", "--repeats", "1"]) == 0
    assert "scikit-learn is not installed: its side is skipped" in capsys.readouterr().out
