"""The run folder: one process at a time, what is kept, what is refused, logs cut back."""

import multiprocessing
import os

import pytest

import toylm
from toylm.errors import UsageError
from toylm.formats.checkpoint import TrainingState, read_pointer
from toylm.train import metrics
from toylm.train.run_folder import OWN_FOLDERS, RunFolder, default_path, newest_run


@pytest.fixture
def model():
    return toylm.TransformerLM(toylm.ModelConfig(vocab_size=11, d_model=8, n_heads=2, n_layers=1, context_length=8), seed=0)


def save(run, model, step, **options):
    return run.save(step, model, None, TrainingState({}, {"step": step}), **options)


def names(run):
    return sorted(p.name for p in run.path.iterdir() if p.name.startswith("step-"))


def test_keeps_the_last_and_the_best(tmp_path, model):
    with RunFolder.create(tmp_path / "run") as run:
        for step in (10, 20, 30, 40):
            save(run, model, step, best=step == 10, keep_last=2)
        assert names(run) == ["step-000010", "step-000030", "step-000040"]
        assert read_pointer(run.path, "best").name == "step-000010"
        assert run.latest().name == "step-000040"
        save(run, model, 50, best=True, keep_last=1)
        assert names(run) == ["step-000050"]
        assert (run.path / "best").read_text(encoding="utf-8") == "step-000050\n"


def test_a_run_taken_back_keeps_its_later_checkpoints_until_it_reaches_them(tmp_path, model):
    with RunFolder.create(tmp_path / "run") as run:
        for step in (10, 20, 30):
            save(run, model, step, keep_last=3)
        save(run, model, 15, keep_last=1)
        assert names(run) == ["step-000015", "step-000020", "step-000030"]
        assert run.latest().name == "step-000015"


def test_what_a_killed_process_had_put_aside_gets_its_name_back(tmp_path, model):
    path = tmp_path / "run"
    with RunFolder.create(path) as run:
        checkpoint = save(run, model, 10, best=True)
    checkpoint.rename(path / "step-000010.old-123")
    (path / "step-000010.tmp-123").mkdir()
    with pytest.raises(UsageError, match="holds a run already, at step 10"):
        RunFolder.create(path)
    with RunFolder(path) as run:
        run.remove_remnants()
        assert names(run) == ["step-000010"]
        assert run.latest() == read_pointer(path, "best") == checkpoint
        (path / "step-000010.old-124").mkdir()  # killed while it removed the old one
    with RunFolder(path) as run:
        run.remove_remnants()
        assert names(run) == ["step-000010"]


def test_a_folder_in_use_is_refused(tmp_path):
    with RunFolder.create(tmp_path / "run"):
        with pytest.raises(UsageError, match=rf"in use by another process \({os.getpid()}\)"):
            RunFolder(tmp_path / "run")
        with pytest.raises(UsageError, match="in use by another process"):
            RunFolder.create(tmp_path / "run", overwrite=True)
    RunFolder(tmp_path / "run").close()  # free again


def _hold_and_die(path):
    RunFolder.create(path)
    os._exit(9)


def test_the_lock_ends_with_its_process(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(tmp_path / "run",))
    process.start()
    process.join(30)
    assert process.exitcode == 9 and (tmp_path / "run" / ".lock").exists()
    RunFolder(tmp_path / "run").close()


def test_what_a_new_run_may_use(tmp_path, model):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file"):
        RunFolder.create(tmp_path / "file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="holds other things .thesis.tex."):
        RunFolder.create(tmp_path / "other", overwrite=True)
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.tex"]
    path = tmp_path / "run"
    with RunFolder.create(path) as run:  # an empty run may be started over
        (path / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
    with RunFolder.create(path) as run:
        assert not (path / "metrics.jsonl").exists()
        save(run, model, 5)
        (path / "step-000007.tmp-123").mkdir()
    with pytest.raises(UsageError, match="holds a run already, at step 5: continue it with .*train --resume .*run, choose"):
        RunFolder.create(path)
    model.save(path / "step-000006")  # as a fit leaves it: there is nothing to continue
    with pytest.raises(UsageError, match="holds a run already, at step 6: choose another --out, or give --overwrite"):
        RunFolder.create(path)
    with RunFolder.create(path, overwrite=True) as run:
        assert [p.name for p in path.iterdir()] == [".lock"]


def analysed_run(path, model):
    """A run with every file in it that an analysis leaves there."""
    with RunFolder.create(path) as run:
        save(run, model, 5)
    for name in ("coupling.png", *(f"{folder}/{file}" for folder, files in OWN_FOLDERS.items() for file in files)):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("x", encoding="utf-8")
    (path / "residual" / ".report.html.abc.part").write_text("x", encoding="utf-8")  # of a killed process
    return path


def test_overwriting_takes_along_what_analyses_left(tmp_path, model):
    path = analysed_run(tmp_path / "run", model)
    with pytest.raises(UsageError, match="holds a run already, at step 5"):
        RunFolder.create(path)
    with RunFolder.create(path, overwrite=True):
        assert [p.name for p in path.iterdir()] == [".lock"]
    (path / "residual").mkdir()
    with pytest.raises(UsageError, match="holds what an analysis found .residual.*--overwrite"):
        RunFolder.create(path)


@pytest.mark.parametrize("stranger", ["residual/notes.txt", "collapse/older/collapse.json", "coupling/levels.png/mine"])
def test_overwriting_refuses_to_delete_what_toylm_did_not_write(tmp_path, model, stranger):
    path = analysed_run(tmp_path / "run", model)
    (path / "coupling" / "levels.png").unlink()
    (path / stranger).parent.mkdir(exist_ok=True)
    (path / stranger).write_text("mine", encoding="utf-8")
    before = sorted(path.rglob("*"))
    named = "/".join(stranger.split("/")[:2])
    with pytest.raises(UsageError, match=f"holds other things .{named}.; choose a new folder"):
        RunFolder.create(path, overwrite=True)
    assert sorted(path.rglob("*")) == before


def test_a_checkpoint_with_a_strangers_file_is_neither_pruned_nor_replaced(tmp_path, model):
    with RunFolder.create(tmp_path / "run") as run:
        for step in (10, 20):
            save(run, model, step, keep_last=2)
        (run.path / "step-000010" / "notes.txt").write_text("mine", encoding="utf-8")
        for step in (30, 40):
            save(run, model, step, keep_last=1)
        assert names(run) == ["step-000010", "step-000040"]
        run.check_later(10)
        with pytest.raises(UsageError, match="step-000010 would be replaced, and notes.txt in it is no part of a checkpoint"):
            run.check_later(5)
    with pytest.raises(UsageError, match="holds a run already, at step 40: "):
        RunFolder.create(tmp_path / "run")
    with pytest.raises(UsageError, match="holds other things .step-000010/notes.txt.; choose a new folder"):
        RunFolder.create(tmp_path / "run", overwrite=True)
    assert names(run) == ["step-000010", "step-000040"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_overwriting_follows_no_link(tmp_path, model):
    path = analysed_run(tmp_path / "run", model)
    (path / "collapse").rename(tmp_path / "elsewhere")
    (path / "collapse").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(UsageError, match="holds other things .collapse."):
        RunFolder.create(path, overwrite=True)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 2


def test_default_names_never_collide(tmp_path):
    assert default_path("a", tmp_path) == tmp_path / "a"
    (tmp_path / "a").mkdir()
    (tmp_path / "a-2").mkdir()
    assert default_path("a", tmp_path) == tmp_path / "a-3"


def test_newest_run(tmp_path, model):
    with pytest.raises(FileNotFoundError, match="no run with a checkpoint"):
        newest_run(tmp_path / "runs")
    for i, name in enumerate(("b", "a")):
        with RunFolder.create(tmp_path / "runs" / name) as run:
            (run.path / "run.json").write_text("{}", encoding="utf-8")
            save(run, model, 1)
            os.utime(run.path / "latest", ns=(i, i))
    assert newest_run(tmp_path / "runs").name == "a"


def test_logs_are_cut_back_and_torn_lines_skipped(tmp_path):
    with RunFolder.create(tmp_path / "run") as run:
        path = run.path / "metrics.jsonl"
        metrics.append(path, {"step": 1, "loss": 2.0, "gradient_norm": float("inf")})
        sizes = run.sync_logs()
        metrics.append(path, {"step": 2, "loss": 1.0})
        with open(path, "a", encoding="utf-8") as file:
            file.write('{"step": 3, "lo')
        assert [r["step"] for r in metrics.read(path)] == [1, 2]
        run.rewind(sizes)
        assert metrics.read(path) == [{"step": 1, "loss": 2.0, "gradient_norm": None}]
        run.rewind({})
        assert path.stat().st_size == 0
