"""toylm train, end to end on a very small model: what it leaves, how it stops, how it goes on."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from small_run import SMALL

from toylm.console import size
from toylm.formats.checkpoint import list_checkpoints, load_checkpoint
from toylm.kernels.memory import scratch
from toylm.train import loop as loop_module
from toylm.train import metrics
from toylm.train.run_folder import RunFolder

posix = pytest.mark.skipif(os.name != "posix", reason="os.kill delivers signals on POSIX only")


def parameters(run, which="latest"):
    return load_checkpoint(run, prefer=which, training=True)


def assert_same_bits(run_a, run_b):
    """Parameters, moments and everything that is to come are equal."""
    a, b = parameters(run_a), parameters(run_b)
    assert np.array_equal(a.model.parameters.flat, b.model.parameters.flat)
    assert set(a.training.arrays) == set(b.training.arrays)
    for name, array in a.training.arrays.items():
        assert np.array_equal(array, b.training.arrays[name]), name
    state_a, state_b = a.training.state, b.training.state
    assert state_a["batches"] == state_b["batches"] and state_a["optimizer"] == state_b["optimizer"]
    assert {**state_a["loop"], "seconds": 0} == {**state_b["loop"], "seconds": 0}


def log(run):
    """metrics.jsonl without what depends on the clock."""
    timed = {"seconds", "tokens_per_second", "evaluation_seconds", "compile_seconds", "peak_memory_bytes"}
    return [{k: v for k, v in record.items() if k not in timed} for record in metrics.read(run / "metrics.jsonl")]


def stop_at(monkeypatch, step, action):
    """Call `action()` in the middle of the given step."""
    step_once = loop_module.Trainer._step

    def wrapped(self):
        if self.state.step + 1 == step:
            action()
        step_once(self)

    monkeypatch.setattr(loop_module.Trainer, "_step", wrapped)


# -- what a run leaves -----------------------------------------------------------------------------------------------------


def test_what_a_run_leaves(trained_run):
    names = {p.name for p in trained_run.iterdir()}
    assert {"run.json", "metrics.jsonl", "samples.txt", "loss.png", "latest", "best", "step-000010", "step-000020"} <= names
    record = json.loads((trained_run / "run.json").read_text(encoding="utf-8"))
    assert record["seed"] == 0 and record["settings"]["d_model"] == 16 and record["settings"]["steps"] == 20
    assert record["versions"]["numpy"] == np.__version__ and record["host"]["cpu"] and record["command"]
    records = metrics.read(trained_run / "metrics.jsonl")
    training = [r for r in records if "loss" in r]
    assert [r["step"] for r in training] == [4, 8, 12, 16, 20]
    assert training[-1]["tokens"] == 20 * 4 * 16
    held_out = [r for r in records if "held_out_loss" in r]
    assert [r["step"] for r in held_out] == [10, 20]
    for r in held_out:
        assert r["perplexity"] == pytest.approx(np.exp(r["held_out_loss"]))
        assert 0 < r["bits_per_byte"] < 8
    assert held_out[1]["held_out_loss"] < held_out[0]["held_out_loss"] < np.log(300)
    assert records[-1]["finished"] == "steps" and records[-1]["peak_memory_bytes"] > 50e6
    samples = (trained_run / "samples.txt").read_text(encoding="utf-8")
    assert samples.startswith("=== step 10 ===\n") and "=== step 20 ===\n" in samples
    assert (trained_run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_before_and_after(train, capsys, monkeypatch, tmp_path):
    assert train("--steps", "14", "--log-every", "7") == 0
    printed = capsys.readouterr().out
    for words in ("machine ", "text         animals: ", "held out", "parameters 3", "gradients", "moments", "activations",
                  "a step       64 tokens (4 sequences x 16)", "an epoch", "expected: ", "tokens/s", "nats/token", "bits/byte",
                  "done after 14 steps", "at the peak",
                  "opens as     ArceeForCausalLM.from_pretrained('runs/animals/step-000014') in transformers",
                  "python -m toylm generate runs/animals"):  # fmt: skip
        assert words in printed, words
    assert "step 00007/00014 (50.00%) | loss " in printed and "| eta: " in printed
    # A second run gets a folder of its own.
    assert train("--steps", "1", "--quiet") == 0
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"animals", "animals-2"}
    assert capsys.readouterr().out == ""


def test_precision_auto_is_decided_and_told_at_the_start(train, capsys, monkeypatch):
    from toylm.kernels import arithmetic

    monkeypatch.delenv("TOYLM_BF16", raising=False)
    flags = ("--steps", "5", "--dry-run", "--precision")
    monkeypatch.setattr(arithmetic, "HOST_AMX", False)
    monkeypatch.setattr(arithmetic.llvm, "get_host_cpu_name", lambda: "znver4")
    for native, told in [(False, "float32"), (True, "bf16")]:  # as on a CPU of either kind, whatever this one is
        monkeypatch.setattr(arithmetic, "HOST_BF16", native)
        assert train(*flags, "auto") == 0
        assert f"positions rope, {told}" in capsys.readouterr().out
    monkeypatch.setattr(arithmetic, "HOST_BF16", False)
    assert train(*flags, "bf16") == 2
    assert "precision bf16 needs a CPU with AVX512_BF16" in capsys.readouterr().err
    monkeypatch.setenv("TOYLM_BF16", "emulate")  # allows bf16, and is no reason to choose it: float32 is faster
    assert train(*flags, "auto") == 0
    assert "positions rope, float32" in capsys.readouterr().out


def test_the_first_lines_tell_what_multiplies_bf16(train, capsys, monkeypatch):
    from toylm.kernels import arithmetic

    monkeypatch.setenv("TOYLM_BF16", "emulate")
    monkeypatch.setattr(arithmetic, "HOST_AMX", False)
    for native, told in [(False, "bf16 (emulated)"), (True, "bf16 (AVX512_BF16)")]:
        monkeypatch.setattr(arithmetic, "HOST_BF16", native)
        assert train("--steps", "5", "--dry-run", "--precision", "bf16") == 0
        assert told in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--dropout", "0.1"], ["--d-model", "256", "--biases", "true"], ["--batch-size", "3"]])
def test_the_memory_that_is_printed_is_what_training_takes(train, capsys, monkeypatch, flags):
    trainers, step_once = [], loop_module.Trainer._step

    def watched(self):
        trainers.append(self)
        step_once(self)

    monkeypatch.setattr(loop_module.Trainer, "_step", watched)
    monkeypatch.setattr(scratch, "buffers", threading.local())
    scratch.buffers.named = {}
    assert train("--steps", "2", *flags, "--out", "run") == 0
    printed = dict(re.findall(r"(parameters|gradients|moments|activations|kernels) ([\d.]+ [kM]?B)", capsys.readouterr().out))
    trainer = trainers[-1]
    taken = {
        "parameters": trainer.model.parameters.flat.nbytes,
        "gradients": trainer.model.gradients.flat.nbytes,
        "moments": sum(array.nbytes for array in trainer.optimizer.state().values()),
        "activations": trainer.model.workspace.nbytes,
        "kernels": sum(scratch.sizes().values()),
    }
    assert printed == {kind: size(held) for kind, held in taken.items()}


def test_dry_run_leaves_nothing(train, tmp_path, capsys):
    assert train("--steps", "5", "--dry-run", "--out", "runs/x") == 0
    assert "memory" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_minutes_tokens_and_the_other_optimizers(train, tmp_path):
    assert train("--minutes", "0.01", "--optimizer", "sgd", "--out", "m", "--quiet") == 0
    assert metrics.read(tmp_path / "m" / "metrics.jsonl")[-1]["finished"] == "minutes"
    assert set(parameters(tmp_path / "m").training.arrays) == {"velocity"}
    assert train("--tokens", "130", "--optimizer", "adam", "--positions", "learned", "--out", "t", "--quiet") == 0
    last = metrics.read(tmp_path / "t" / "metrics.jsonl")[-1]
    assert last["finished"] == "tokens" and last["step"] == 3  # 64 tokens a step
    assert parameters(tmp_path / "t").model.config.positions == "learned"


@pytest.mark.parametrize("data", [None, "task:bracket", "task:running-sum"])
def test_accumulated_batches_equal_one_large_batch(train, tmp_path, text_file, data):
    """Also where the batches have unequal numbers of counted targets: a mean of means weighs them wrongly."""
    flags = ["--steps", "3", "--precision", "float64", "--optimizer", "sgd", "--learning-rate", "0.1", "--log-every", "1"]
    flags += ["--context-length", "128" if data else "16", "--quiet"]
    for out, batches in (("a", ["--batch-size", "2", "--grad-accum", "4"]), ("b", ["--batch-size", "8"])):
        assert train(*flags, *batches, "--out", out, data=data or text_file) == 0
    a, b = (parameters(tmp_path / name) for name in "ab")
    np.testing.assert_allclose(a.model.parameters.flat, b.model.parameters.flat, rtol=0, atol=1e-9)
    losses = [[r["loss"] for r in log(tmp_path / name) if "loss" in r] for name in "ab"]
    np.testing.assert_allclose(*losses, rtol=1e-9)


def test_patience(train, tmp_path, capsys):
    # Without a learning rate to speak of nothing gets better after the first evaluation.
    flags = ["--steps", "40", "--eval-every", "2", "--patience", "3", "--learning-rate", "1e-30", "--weight-decay", "0"]
    assert train(*flags, "--out", "p") == 0
    last = metrics.read(tmp_path / "p" / "metrics.jsonl")[-1]
    assert last["finished"] == "patience" and last["step"] == 8
    assert "stopped early (patience)" in capsys.readouterr().out
    assert (tmp_path / "p" / "best").read_text(encoding="utf-8") == "step-000002\n"


# -- stopping and resuming -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_run(text_file, tmp_path_factory):
    """20 steps in one go, with an evaluation, samples and logs on the way."""
    from toylm.cli import run_verb

    path = tmp_path_factory.mktemp("whole") / "run"
    assert run_verb("train", ["--data", str(text_file), *SMALL, *RESUMABLE, "--out", str(path), "--quiet"]) == 0
    return path


RESUMABLE = ["--steps", "20", "--eval-every", "6", "--sample-every", "5", "--sample-tokens", "8", "--grad-accum", "2",
             "--dropout", "0.1"]  # fmt: skip

_KILLED = """
import os, signal, sys
from toylm.train import loop
once = loop.Trainer._step
def step(self):
    if self.state.step == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    once(self)
loop.Trainer._step = step
from toylm.cli import run_verb
run_verb("train", sys.argv[1:])
"""


@posix
def test_ten_steps_kill_9_and_ten_more_are_twenty(text_file, tmp_path):
    """On two threads; a run that is interrupted, below, goes on with one."""

    def python(*arguments):
        environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}  # also where there is one core
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr

    # Processes of their own throughout: one that compiled kernels itself (as this one may have) rounds differently.
    arguments = ["--data", str(text_file), *SMALL, *RESUMABLE, "--threads", "2", "--quiet"]
    assert python("-m", "toylm.train", *arguments, "--out", "whole") == (0, "")
    assert python("-c", _KILLED, *arguments, "--out", "killed") == (-signal.SIGKILL, "")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert [step for step, _ in list_checkpoints(killed)] == [10, 12]
    assert python("-m", "toylm.train", "--resume", "killed/step-000010", "--quiet") == (0, "")
    assert_same_bits(killed, whole)
    assert log(killed) == log(whole)
    assert (killed / "samples.txt").read_bytes() == (whole / "samples.txt").read_bytes()
    assert json.loads((killed / "run.json").read_text(encoding="utf-8"))["resumed"][0]["step"] == 10


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_says_how_to_resume(train, whole_run, tmp_path, capsys, monkeypatch, number):
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        stop_at(patch, 13, lambda: os.kill(os.getpid(), number))
        assert train(*RESUMABLE, "--out", "run") == 128 + number  # so that `toylm train && next` stops as well
    captured = capsys.readouterr()
    assert "go on with: python -m toylm train --resume run\n" in captured.out
    assert "interrupted after 13 steps" in captured.out
    assert (tmp_path / "run" / "latest").read_text(encoding="utf-8") == "step-000013\n"
    assert signal.getsignal(number) is before
    assert train("--resume", "run", "--quiet") == 0
    assert_same_bits(tmp_path / "run", whole_run)
    assert log(tmp_path / "run") == log(whole_run)


@posix
def test_a_second_interrupt_stops_at_once(train, tmp_path, capsys, monkeypatch):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    stop_at(monkeypatch, 13, twice)
    assert train("--steps", "20", "--out", "run", "--quiet") == 130
    assert "stopped at once; go on from run/step-000010 with: python -m toylm train --resume run" in capsys.readouterr().err


def test_longer(train, tmp_path, capsys):
    assert train("--steps", "10", "--out", "runs/r", "--quiet") == 0
    assert train("--resume") == 0  # the newest run
    said = "runs/r is complete (10 steps); to train longer: python -m toylm train --resume runs/r --steps 20\n"
    assert said in capsys.readouterr().out
    assert train("--resume", "runs/r", "--steps", "12", "--quiet") == 0
    assert [r["step"] for r in log(tmp_path / "runs/r") if "finished" in r] == [12]
    assert train("--resume", "runs/r", "--tokens", "1000", "--log-every", "1", "--quiet") == 0
    assert [r["step"] for r in log(tmp_path / "runs/r") if "finished" in r] == [16]


def test_resuming_where_the_text_is_gone(train, tmp_path, text_file, capsys):
    copy = tmp_path / "copy.txt"
    copy.write_bytes(text_file.read_bytes())
    assert train("--steps", "2", "--out", "run", "--quiet", data=copy) == 0
    copy.unlink()
    assert train("--resume", "run", "--steps", "4", "--quiet") == 0  # from the prepared tokens
    copy.write_bytes(text_file.read_bytes().replace(b"cat", b"cow"))
    assert train("--resume", "run", "--steps", "6", "--quiet") == 2
    assert "has changed" in capsys.readouterr().err


# -- what goes wrong -------------------------------------------------------------------------------------------------------


def one_line(capsys, *words):
    """stderr is one line with these words."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("toylm train: "), error
    for word in words:
        assert word in error, error
    return error


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--config", "nanno"], ["no recipe 'nanno'; did you mean 'nano'"]),
        (["--config", "nowhere.toml"], ["nowhere.toml does not exist"]),
        (["--d-model", "30", "--n-heads", "4"], ["d_model 30 is not divisible by n_heads 4", "would do"]),
        (["--d-model", "6", "--n-heads", "2"], ["head size", "is 3, which is odd", "even"]),
        (["--context-length", "100000"], ["one context of 100000", "at most"]),
        (["--steps", "5", "--tokens", "5"], ["exactly one of steps, minutes and tokens, not steps and tokens"]),
        (["--batch-size", "0"], ["batch_size is 0; it must be at least 1"]),
        (["--learning-rate", "fast"], ["learning_rate is 'fast'; it must be a number"]),
        (["--threads", "100000"], ["threads is 100000"]),
        (["--vocab-size", "10"], ["vocab_size is 10", "at least 257"]),
        (["--tokenizer", "bpee"], ["bpee", "did you mean 'bpe'"]),
        (["--separator", ""], ["separator is empty"]),
        (["--resume", "nowhere"], ["nowhere does not exist"]),
        (["--resume", "nowhere", "--out", "x"], ["--resume keeps its run's folder and settings"]),
        (["--d-model", str(2**63)], ["d_model is too large"]),
    ],
)
def test_mistakes_leave_nothing(train, tmp_path, capsys, flags, words):
    assert train(*flags, "--out", "run") == 2 if "--resume" not in flags else train(*flags) == 2
    one_line(capsys, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", ["is empty"]),
        (b"caf\xe9 " * 500, ["UTF-8"]),
        (b"just a few words", ["tokens"]),
        (None, ["stoories", "did you mean 'stories'"]),
    ],
)
def test_texts_that_cannot_be_used(train, tmp_path, capsys, content, words):
    name = "stoories"
    if content is not None:
        name = "input.txt"
        (tmp_path / name).write_bytes(content)
    assert train("--out", "run", data=name) == 2
    one_line(capsys, *words)
    assert [p.name for p in tmp_path.iterdir()] == ([name] if content is not None else [])


def test_a_run_that_exists_or_is_in_use(train, tmp_path, capsys):
    assert train("--steps", "2", "--out", "run", "--quiet") == 0
    assert train("--steps", "2", "--out", "run", "--quiet") == 2
    one_line(capsys, "run holds a run already, at step 2: continue it with python -m toylm train --resume run, choose")
    with RunFolder(tmp_path / "run"):
        for flags in (["--out", "run", "--overwrite"], ["--resume", "run", "--steps", "5"]):
            assert train(*flags, "--quiet") == 2
            one_line(capsys, "run is in use by another process")
    assert train("--steps", "1", "--out", "run", "--overwrite", "--quiet") == 0
    assert [step for step, _ in list_checkpoints(tmp_path / "run")] == [1]


@pytest.mark.parametrize("named", ["run", "run/step-000002"])
def test_a_run_killed_while_it_replaced_its_only_checkpoint_goes_on(train, tmp_path, named):
    assert train("--steps", "2", "--out", "run", "--quiet") == 0
    run = tmp_path / "run"
    (run / "step-000002").rename(run / "step-000002.old-123")
    (run / "step-000002.tmp-123").mkdir()
    assert train("--resume", named, "--steps", "3", "--quiet") == 0
    assert sorted(p.name for p in run.iterdir() if p.is_dir()) == ["step-000002", "step-000003"]


def test_what_a_resumed_run_cannot_change(train, capsys):
    assert train("--steps", "2", "--out", "run", "--quiet") == 0
    assert train("--resume", "run", "--d-model", "32") == 2
    one_line(capsys, "d_model cannot change in a resumed run (it is 16, 32 was asked for)")
    assert train("--resume", "run", "--d-model", "16", "--steps", "3", "--learning-rate", "0.002", "--quiet") == 0


@pytest.mark.parametrize("rate", ["1e9", "30"])
def test_a_learning_rate_that_diverges(train, tmp_path, capsys, rate):
    assert train("--steps", "10", "--out", "run", "--quiet") == 0
    flags = ["--resume", "run", "--steps", "200", "--learning-rate", rate, "--warmup", "0", "--clip", "none", "--quiet"]
    assert train(*flags) == 2
    error = one_line(capsys, "diverged at step ", "the last good checkpoint is run/step-0000", "lower --learning-rate")
    step = int(error.split("diverged at step ")[1].split(":")[0])
    kept = parameters(tmp_path / "run")
    assert kept.training.state["loop"]["step"] < step < 60
    assert np.isfinite(kept.model.parameters.flat).all()
    # With the learning rate that it had before it goes on.
    assert train("--resume", "run/step-000010", "--steps", "12", "--learning-rate", "0.001", "--quiet") == 0


def test_diverging_before_anything_was_saved(train, tmp_path, capsys):
    assert train("--steps", "300", "--learning-rate", "1e20", "--warmup", "0", "--out", "run", "--quiet") == 2
    one_line(capsys, "diverged at step ", "no checkpoint had been saved")
    assert train("--steps", "1", "--out", "run", "--quiet") == 0  # the folder may be used again


def test_diverging_in_the_last_steps_saves_nothing(train, tmp_path, capsys):
    flags = ["--steps", "4", "--learning-rate", "10", "--warmup", "0", "--out", "run", "--quiet"]
    assert train(*flags) == 2
    one_line(capsys, "diverged at step 4: the loss is ", "no checkpoint had been saved")
    assert list_checkpoints(tmp_path / "run") == []


def test_a_task_of_bare_ids(train, tmp_path, capsys):
    assert train("--steps", "4", "--context-length", "128", "--out", "run", data="task:copy") == 0
    assert "next         python -m toylm evaluate run" in capsys.readouterr().out
    assert parameters(tmp_path / "run").tokenizer is None
    assert train("--resume", "run", "--steps", "6", "--quiet") == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_memory_stays_flat(train, tmp_path, monkeypatch):
    """Resident memory after 700 steps, with evaluations and samples among them, is what it was after 200."""
    seen = {}
    step_once = loop_module.Trainer._step

    def watched(self):
        step_once(self)
        if self.state.step in (200, 700):
            with open("/proc/self/statm", encoding="ascii") as file:
                seen[self.state.step] = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    monkeypatch.setattr(loop_module.Trainer, "_step", watched)
    flags = ["--steps", "700", "--eval-every", "100", "--save-every", "2000", "--sample-every", "150", "--sample-tokens", "5"]
    assert train(*flags, "--log-every", "100", "--out", "run", "--quiet") == 0
    assert seen[700] - seen[200] < 4e6


def test_a_full_disk(train, tmp_path, capsys, monkeypatch):
    from toylm.formats import checkpoint

    write_json = checkpoint.write_json

    def full(path, value):
        if "step-000020" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_json(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_json", full)
        assert train("--steps", "30", "--out", "run", "--quiet") == 2
    one_line(capsys, "cannot write run/step-000020 at step 20: No space left on device",
             "the last good checkpoint is run/step-000010; go on with: python -m toylm train --resume run")  # fmt: skip
    assert not [p for p in (tmp_path / "run").iterdir() if ".tmp-" in p.name]
    assert train("--resume", "run", "--quiet") == 0
    assert parameters(tmp_path / "run").training.state["loop"]["step"] == 30


# -- from a model that there is already ------------------------------------------------------------------------------------


def test_fine_tuning_takes_shape_tokenizer_and_weights(train, trained_run, tmp_path, capsys):
    start = load_checkpoint(trained_run)
    flags = ["--from", trained_run, "--steps", "6", "--learning-rate", "1e-3", "--eval-every", "3", "--save-every", "3"]
    assert train(*flags, "--out", "tuned", small=False) == 0
    tuned = load_checkpoint(tmp_path / "tuned", training=True, prefer="latest")
    assert tuned.model.config == start.model.config and tuned.tokenizer.digest == start.tokenizer.digest
    record = json.loads((tmp_path / "tuned" / "run.json").read_text(encoding="utf-8"))
    assert record["settings"]["d_model"] == 16 and record["settings"]["start_from"] == str(start.path.absolute())
    moved = np.abs(tuned.model.parameters.flat - start.model.parameters.flat)
    assert 0 < moved.max() < 6 * 2e-3  # Adam's steps are about as long as the learning rate
    first = next(r for r in metrics.read(tmp_path / "tuned" / "metrics.jsonl") if r.get("held_out_loss") is not None)
    assert first["held_out_loss"] < 4.5  # a new model would start at ln 300 = 5.7

    capsys.readouterr()
    assert train("--resume", "tuned", "--steps", "8") == 0
    assert load_checkpoint(tmp_path / "tuned", training=True, prefer="latest").training.state["loop"]["step"] == 8

    for more, sentence in [
        (["--d-model", "32"], "d_model is 32, but the model in .* has 16: leave it out"),
        (["--vocab-size", "500"], "vocab_size cannot be chosen with --from"),
        (["--context-length", "99"], "context_length is 99; the model in .* takes at most 16 tokens"),
    ]:
        capsys.readouterr()
        assert train(*flags, *more, "--out", "refused", small=False) == 2
        error = capsys.readouterr().err
        assert re.search(sentence, error) and error.count("\n") == 1
    (load_checkpoint(trained_run).model.save(tmp_path / "bare") / "tokenizer.json").unlink()
    assert train("--from", tmp_path / "bare", "--steps", "1", "--out", "refused", small=False) == 2
    assert "has no tokenizer.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, name",
    [
        (["--feed-forward", "swiglu", "--n-kv-heads", "1"], "LlamaForCausalLM"),
        (["--norm", "layer", "--positions", "learned", "--biases", "true"], "GPT2LMHeadModel"),
        (["--feed-forward", "relu2", "--tied", "false", "--d-head", "4"], "ArceeForCausalLM"),
    ],
)
def test_every_architecture_trains_and_its_checkpoint_is_a_stock_folder(train, tmp_path, flags, name):
    assert train(*flags, "--steps", "4", "--out", "run") == 0
    config = json.loads((tmp_path / "run" / "step-000004" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == [name]
    assert train("--resume", "run", "--steps", "6") == 0


# -- the end of a run, and what must not end it ------------------------------------------------------------------------------


@pytest.mark.pictures
def test_a_run_killed_after_its_last_checkpoint_is_finished(train, whole_run, tmp_path, capsys, monkeypatch):
    """All that was left to do is done: the picture, the last line, what was half-written, the checkpoint too many."""
    run = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:

        def killed(*arguments, **options):
            raise SystemExit(9)

        patch.setattr(RunFolder, "prune", killed)
        with pytest.raises(SystemExit):
            train(*RESUMABLE, "--save-every", "20", "--eval-every", "20", "--out", "run", "--quiet")
    (run / ".loss.png.abc.part").write_text("x", encoding="utf-8")
    assert train("--resume", "run") == 0
    assert "done after 20 steps" in capsys.readouterr().out
    assert (run / "loss.png").exists() and not list(run.glob("*.part")) and not list(run.glob(".*.part"))
    assert metrics.read(run / "metrics.jsonl")[-1]["finished"] == "steps"
    assert train("--resume", "run") == 0
    assert "is complete (20 steps)" in capsys.readouterr().out


def test_a_sample_that_fails_does_not_end_a_run(train, tmp_path, capsys, monkeypatch):
    from toylm.model.transformer import TransformerLM

    def fails(self, *arguments, **options):
        raise IndexError("an id without a token")

    monkeypatch.setattr(TransformerLM, "generate", fails)
    monkeypatch.setattr(loop_module, "draw_loss", fails)
    assert train("--steps", "4", "--sample-every", "2", "--out", "run") == 0
    printed = capsys.readouterr().out
    assert "step 00002 | no sample: IndexError: an id without a token" in printed and "no picture" in printed
    assert metrics.read(tmp_path / "run" / "metrics.jsonl")[-1]["finished"] == "steps"


def test_another_number_of_threads_is_told(train, tmp_path, capsys):
    assert train("--steps", "2", "--out", "run", "--quiet") == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"threads": 7}), encoding="utf-8")
    assert train("--resume", "run", "--steps", "3") == 0
    assert "1 threads instead of 7: from here on sums are rounded differently" in capsys.readouterr().out


def test_a_damaged_record_or_training_state_is_one_line(train, tmp_path, capsys):
    assert train("--steps", "2", "--out", "run", "--quiet") == 0
    record, state = (tmp_path / "run" / name for name in ("run.json", "step-000002/training.json"))
    good, whole = (json.loads(file.read_text(encoding="utf-8")) for file in (record, state))
    for damage in ({"settings": None}, {"settings": {"d_model": "x"}}, {"settings": [1]}):
        record.write_text(json.dumps(good | damage), encoding="utf-8")
        assert train("--resume", "run", "--steps", "3") == 2
        one_line(capsys, "run.json")
    record.write_text(json.dumps(good), encoding="utf-8")
    for key in ("loop", "optimizer", "batches", "log_sizes"):
        state.write_text(json.dumps({name: value for name, value in whole.items() if name != key}), encoding="utf-8")
        assert train("--resume", "run", "--steps", "3") == 2
        one_line(capsys, "training.json", key)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_before_the_first_step(train, tmp_path, capsys, monkeypatch, number):
    from toylm.train import session

    def stopped(*arguments):
        os.kill(os.getpid(), number)
        time.sleep(10)  # the signal may reach another thread first

    monkeypatch.setattr(session, "prepare_text", stopped)
    if number == signal.SIGINT:  # a shell's background job is started with SIGINT ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(number)
    assert train("--steps", "2", "--out", "run") == 128 + number
    assert "before the first step" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


def test_a_folder_whose_name_looks_like_an_option(train, tmp_path, capsys):
    assert train("--steps", "2", "--out", "-y-dash") == 0
    assert f"generate {os.path.join('.', '-y-dash')}\n" in capsys.readouterr().out
    assert train("--resume", "-y-dash", "--lr", "0.002", "--weight_decay", "0.2", "--steps", "3", "--quiet") == 0


@pytest.mark.pictures
def test_a_picture_of_a_run_with_any_name(train, tmp_path):
    for name in ("🙂 run", "a$b_c^d"):
        assert train("--steps", "20", "--log-every", "5", "--out", name, "--quiet") == 0
        assert (tmp_path / name / "loss.png").exists()
