"""What toylm writes, each as a start, an act that may be killed, what a person does next, and what must have come of it."""

import contextlib
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from small_run import make_text

from toylm import resources
from toylm.cli import parser_of, run_verb
from toylm.console import Console
from toylm.fitters.gram_head import GramHead
from toylm.formats.checkpoint import find_checkpoint, list_checkpoints, load_checkpoint
from toylm.kernels import jit
from toylm.model.precision import resolve
from toylm.train.settings import ALL_FIELDS, TrainSettings, parse_values
from toylm.train.warm_up import load_kernels

MODEL = ("--tokenizer", "byte", "--d-model", "8", "--n-heads", "1", "--n-layers", "1", "--d-ff", "16", "--context-length", "8")
RUN = (
    *MODEL, "--batch-size", "2", "--learning-rate", "1", "--warmup", "0", "--threads", "1", "--held-out", "0.2", "--eval-tokens",
    "200", "--log-every", "2", "--eval-every", "2", "--save-every", "2", "--keep-last", "1", "--sample-every", "4",
    "--sample-tokens", "4", "--sample-prompt", "The",
)  # fmt: skip
LLAMA = ("--norm", "rms", "--feed-forward", "swiglu", "--positions", "rope")
TRAINING = ("--steps", "8", "--quiet")
CHANGING = ("seconds", "tokens_per_second", "peak_memory_bytes", "started", "resumed", "command", "time", "log_sizes")


def toylm(*words, status=0):
    """A command in this process, kernels taken as they come and no picture drawn; its status must be `status`."""
    said = io.StringIO()
    with (
        mock.patch("toylm.train.session.load_kernels", lambda settings, console: 0.0),
        mock.patch("toylm.train.loop.draw_loss", lambda *paths, title: Path(paths[1]).write_text("drawn", encoding="utf-8")),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        found = run_verb(words[0], [str(word) for word in words[1:]])
    assert found == status, f"toylm {' '.join(map(str, words))}: status {found}\n{said.getvalue()}"
    return said.getvalue()


@contextlib.contextmanager
def inside(folder):
    """The working folder and the cache below `folder`."""
    before = os.getcwd()
    resources._writable.cache_clear()
    with mock.patch.dict(os.environ, {"TOYLM_CACHE": str(Path(folder, "cache"))}):
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def warm():
    """Compile what a run needs in processes of its own: whoever compiles a kernel may round otherwise than who loads it."""
    args = vars(parser_of("train")[1].parse_args([str(word) for word in (*RUN, *TRAINING)]))
    flags = parse_values({name: args[name] for name in ALL_FIELDS if args.get(name) is not None}, "RUN")
    settings = TrainSettings().updated(flags)
    load_kernels(settings.updated({"precision": resolve(settings.precision)}), Console(quiet=True))


class Scenario(NamedTuple):
    """start(): makes what there is before; work(): may be killed anywhere; repair(): what is done next (default: the same)."""

    start: Any
    work: Any
    repair: Any = None

    def act(self, folder):
        """The act, in `folder`."""
        with inside(folder):
            self.work()

    def again(self, folder):
        """What a person does after the kill."""
        with inside(folder):
            (self.repair or self.work)()


def state_of(folder):
    """Relative name -> digest of the content of every file below a folder, without what a clock or a process wrote."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith("cache/locks") and path.name != ".lock":
            found[name] = _digest(path)
        elif path.is_dir() and not name.startswith("cache/locks"):
            found[name] = "folder"
    return found


def _digest(path):
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl") and content:
        try:
            lines = content.splitlines() if path.suffix == ".jsonl" else [content]
            content = json.dumps([_steady(json.loads(line)) for line in lines], sort_keys=True).encode()
        except ValueError:
            pass
    return "a kernel" if path.suffix == ".kernel" else hashlib.sha256(content).hexdigest()[:16]


def _steady(value):
    if isinstance(value, dict):
        return {k: _steady(v) for k, v in value.items() if not any(word in k for word in CHANGING)}
    return [_steady(v) for v in value] if isinstance(value, list) else value


# -- training --------------------------------------------------------------------------------------------------------------


def text():
    """text.txt: the text of all scenarios."""
    Path("text.txt").write_text(make_text(40), encoding="utf-8")


def train(*more):
    """A run of eight steps: four evaluations and checkpoints, of which the best and the last stay."""
    toylm("train", "--data", "text.txt", "--out", "run", *RUN, *TRAINING, *more)


def go_on():
    """Resume where something was saved, else begin again, as the messages say."""
    try:
        find_checkpoint("run")
    except (ValueError, FileNotFoundError):
        train()
        return
    usable("run")
    toylm("train", "--resume", "run", "--quiet")


def usable(run):
    """The latest and the best checkpoint of a run can be opened."""
    for prefer in ("latest", "best"):
        load_checkpoint(run, prefer=prefer, training=True)


def interrupted():
    """A run that ended at step 4 of 8: its settings say four steps."""
    text()
    toylm("train", "--data", "text.txt", "--out", "run", *RUN, "--steps", "4", "--quiet")


def lengthen():
    """Go on to step 8."""
    usable("run")
    toylm("train", "--resume", "run", "--steps", "8", "--quiet")


def trained(*more):
    """A finished run."""
    text()
    train(*more)


# -- fits ------------------------------------------------------------------------------------------------------------------


def fit(*words, out):
    """A command with --out; where it is refused since the folder holds a result, that result is whole."""

    def work():
        if Path(out).exists() and list_checkpoints(out):
            load_checkpoint(out)
            toylm("fit", *words, "--out", out, "--overwrite")
        else:
            toylm("fit", *words, "--out", out)

    return work


COUNTS = fit(
    *("text.txt", "--with", "counts", "--order", "3", "--no-words", "--tokenizer", "byte", "--context-length", "8"), out="fitted"
)
RIDGE = ("run", "--part", "head", "--with", "ridge", "--threads", "1")


def fitted(work):
    """A fitted run that learns documents, and two stories to add."""

    def start():
        text()
        if work is not COUNTS:
            train("--tied", "false")
        work()
        for i, story in enumerate(("A fox found a lamp and gave it away.", "An owl sang.")):
            Path(f"story-{i}.txt").write_text(story, encoding="utf-8")

    return start


def learned():
    """How many tokens the fitted run has learned."""
    checkpoint = load_checkpoint("fitted")
    return checkpoint.model.n_tokens if hasattr(checkpoint.model, "n_tokens") else GramHead.open(checkpoint).gram.count


def add(number=0):
    """Learn a story, in place."""
    toylm("fit", "fitted", "--add", f"story-{number}.txt")


def add_both():
    """Learn the first story where the killed process had not, then the second."""
    before = int(Path("learned").read_text(encoding="utf-8"))
    if learned() == before:
        add()
    assert learned() == before + 37
    add(1)


def note_learned(start):
    """`start`, and how many tokens are learned before the act."""

    def work():
        start()
        Path("learned").write_text(str(learned()), encoding="utf-8")

    return work


# -- other -----------------------------------------------------------------------------------------------------------------


def export(form, out):
    """Export the run."""
    return lambda: toylm("export", "run", "--to", form, "--out", out)


def corrected():
    """A run with an adapter beside the model."""
    trained(*LLAMA)
    adapter = ("--with", "lora-gradient", "--rank", "1", "--keep-beside")
    toylm("fit", "run", "--part", "all", *adapter, "--out", "tuned")


def compile_one():
    """Compile a function, or load it from the cache."""
    with mock.patch.dict(os.environ, {"NUMBA_CACHE_DIR": str(Path("kernels").absolute())}):
        jit.kernel_folder.cache_clear()
        try:
            assert jit.jit(_increment)(1) == 2
        finally:
            jit.kernel_folder.cache_clear()


def _increment(x):
    return x + 1


def prepare(*more):
    """Prepare the text."""
    toylm("data", "text.txt", "--out", "prepared", "--tokenizer", "bpe", "--vocab-size", "280", *more)


ANOTHER = ("--overwrite", "--seed", "1")
SCENARIOS = {
    "train": Scenario(text, train, go_on),
    "resume": Scenario(interrupted, lengthen),
    "overwrite": Scenario(trained, lambda: train(*ANOTHER)),
    "prepare": Scenario(text, prepare),
    "fit": Scenario(trained, fit(*RIDGE, out="fitted")),
    "counts": Scenario(text, COUNTS),
    "add to counts": Scenario(note_learned(fitted(COUNTS)), add, add_both),
    "add to a head": Scenario(note_learned(fitted(fit(*RIDGE, "--by-document", out="fitted"))), add, add_both),
    "export hf": Scenario(trained, export("hf", "hf")),
    "export gguf": Scenario(lambda: trained(*LLAMA), export("gguf", "model.gguf")),
    "export llama2c": Scenario(lambda: trained(*LLAMA), export("llama2c", "model.bin")),
    "export peft": Scenario(corrected, lambda: toylm("export", "tuned", "--to", "peft", "--out", "adapter")),
    "import": Scenario(trained, lambda: toylm("import", "run/step-000008", "--out", "imported")),
    "cache": Scenario(lambda: None, compile_one),
}
