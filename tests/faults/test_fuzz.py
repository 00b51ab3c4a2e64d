"""Wrong input ends in success or in one line of toylm's own, never otherwise, and leaves nothing half-written.

--fuzz N: so many inputs of each family (10,000 in all: --fuzz 1700). The same N tries the same inputs.
"""

import contextlib
import io
import os
import re
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path
from unittest import mock

import hypothesis
import pytest
from hypothesis import strategies as st
from scenarios import COUNTS, LLAMA, MODEL, RUN, inside, toylm
from small_run import make_text
from wrong_input import damaged, flags, recipes, text_files

from toylm.cli import VERBS, parser_of, run_verb
from toylm.errors import ToylmError
from toylm.kernels.jit import compile_seconds
from toylm.train.settings import ALL_FIELDS

resource = pytest.importorskip("resource", reason="limits on memory are POSIX")
pytestmark = pytest.mark.faults
SECONDS, BYTES = 30, 2e9
TRAIN = ["--data", "text.txt", *RUN, "--steps", "1", "--quiet"]
# verb -> the words before the flags: small, so that what is allowed is done at once
FIRST = {
    "train": [*TRAIN, "--out", "new"],
    "generate": ["run", "--max-tokens", "5"],
    "evaluate": ["run", "--max-tokens", "200"],
    "fit": ["run", "--max-tokens", "200", "--eval-tokens", "200"],
    "data": ["text.txt", "--out", "new"],
    "info": ["run"],
    "export": ["run", "--to", "hf", "--out", "new"],
    "import": ["llama", "--out", "new"],
    "task": ["copy", "--n", "4", "--L", "16", "--min-L", "8", "--test-L", "20"],
    "instant": ["--out", "new", "--no-timing"],
    "deep-elm-bench": ["--depths", "1", "--hidden", "4", "--lambdas", "1", "--n-train", "20", "--n-test", "20", "--out", "new",
                       "--no-plots"],
    "residual": ["run", "text.txt", "--out", "new", "--length", "8", "--blocks", "3", "--calibration", "3", "--resamples", "10"],
    "coupling": ["run", "--out", "new", "--length", "8", "--tokens", "4"],
}  # fmt: skip
# What is damaged -> commands that read it.
READERS = {
    "run": (["info", "run"], ["generate", "run", "--max-tokens", "3"], ["evaluate", "run", "--max-tokens", "50"],
            ["train", "--resume", "run", "--steps", "9", "--quiet"], ["export", "run", "--to", "hf", "--out", "new"],
            ["train", "--from", "run", *TRAIN, "--dry-run"], ["fit", "run", "--part", "head", "--with", "ridge"]),
    "fitted": (["info", "fitted"], ["generate", "fitted", "--max-tokens", "3"], ["fit", "fitted", "--add", "story.txt"],
               ["evaluate", "fitted", "--max-tokens", "50"]),
    "head": (["fit", "head", "--add", "story.txt"], ["info", "head"]),
    "prepared": (["train", *TRAIN, "--data", "prepared", "--out", "new", "--dry-run"], ["data", "prepared"]),
    "llama": (["info", "llama"], ["generate", "llama", "--max-tokens", "3"], ["import", "llama", "--out", "new"]),
    "gpt2": (["evaluate", "gpt2", "story.txt"], ["export", "gpt2", "--to", "hf", "--out", "new"]),
    "model.bin": (["import", "model.bin", "--out", "new"],),
    "model.gguf": (["import", "model.gguf", "--out", "new"],),
    "adapter": (["import", "adapter", "--base", "llama", "--out", "new"],),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with one of each thing that toylm reads, all whole."""
    folder = tmp_path_factory.mktemp("world")
    with inside(folder):
        Path("text.txt").write_text(make_text(40), encoding="utf-8")
        Path("story.txt").write_text("A fox found a lamp.", encoding="utf-8")
        toylm("train", "--data", "text.txt", "--out", "run", *RUN, "--tied", "false", "--steps", "4", "--quiet")
        toylm("train", "--data", "text.txt", "--out", "small", *RUN, *LLAMA, "--steps", "2", "--quiet")
        toylm("fit", "run", "--part", "head", "--with", "ridge", "--by-document", "--out", "head")
        toylm("fit", "small", "--part", "all", "--with", "lora-gradient", "--rank", "1", "--keep-beside", "--out", "tuned")
        toylm("data", "text.txt", "--out", "prepared", "--tokenizer", "byte")
        COUNTS()
        toylm("export", "tuned", "--to", "peft", "--out", "adapter")
        for form, out in (("hf", "llama"), ("llama2c", "model.bin"), ("gguf", "model.gguf")):
            toylm("export", "small", "--to", form, "--out", out)
        shape = ("--norm", "layer", "--biases", "true", "--positions", "learned", "--tied", "true")
        toylm("train", "--data", "text.txt", "--out", "other", *RUN, *shape, "--steps", "1", "--quiet")
        toylm("export", "other", "--to", "hf", "--out", "gpt2")
    return folder


class Tries:
    """Runs commands on wrong input and collects what should not be."""

    def __init__(self, world, folder):
        self.world, self.folder, self.count, self.wrong = world, folder, 0, {}

    def renew(self, *needed):
        """An empty folder with some of the world in it."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir()
        for name in ("text.txt", "story.txt", *needed):
            source = self.world / name
            shutil.copytree(source, self.folder / name) if source.is_dir() else shutil.copy(source, self.folder / name)

    def command(self, words, what=""):
        """Run one command in the folder."""
        self.count += 1
        before, said = (time.process_time(), compile_seconds()), io.StringIO()
        problem = None
        with inside(self.folder), warnings.catch_warnings(record=True) as caught, mock.patch("sys.stdin", io.StringIO("x")):
            warnings.simplefilter("always")
            mocks = (
                mock.patch("toylm.train.session.load_kernels", lambda settings, console: 0.0),
                mock.patch("toylm.train.loop.draw_loss"),
                contextlib.redirect_stdout(_Stream()),
                contextlib.redirect_stderr(said),
            )
            try:
                with contextlib.ExitStack() as stack:
                    for one in mocks:
                        stack.enter_context(one)
                    status = run_verb(words[0], list(words[1:]))
            except SystemExit as ended:
                status = ended.code or 0
            except BaseException as error:
                status, problem = None, "".join(traceback.format_exception(error))
        if status in (130, 143):  # somebody stops the tests
            raise KeyboardInterrupt
        spent = time.process_time() - before[0] - (compile_seconds() - before[1])
        printed = [str(w.message) for w in caught if not issubclass(w.category, UserWarning)]
        if status not in (0, 2) or "Traceback" in said.getvalue():
            problem = problem or said.getvalue()
        elif printed:
            problem = f"warning: {printed[0]}"
        elif spent > SECONDS:
            problem = f"slow: {spent:.0f} s"
        elif memory() > BYTES:
            problem = f"much: {memory():.2g} bytes"
        else:
            left = [path.name for path in self.folder.rglob("*") if re.search(r"\.part$|\.(tmp|old|preparing)-", path.name)]
            problem = f"left behind: {left}" if left else None
        if problem:
            lines = [line.strip() for line in problem.splitlines() if line.strip()]
            places = [line for line in lines if line.startswith("File ") and "toylm" in line] or lines
            ends = [line for line in lines if not line.startswith(("File", "toylm ", "|", "~", "^"))] or lines
            self.wrong.setdefault((places[-1], ends[-1][:60]), f"{words} {what}\n{problem[-1500:]}")
        return status

    def settle(self, name):
        """Fail if anything was wrong."""
        print(f"{name}: {self.count} commands, {len(self.wrong)} faults")
        if self.wrong and os.environ.get("TOYLM_FUZZ_LOG"):
            with open(os.environ["TOYLM_FUZZ_LOG"], "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write("".join(f"##### {name}\n{text}\n\n" for text in self.wrong.values()))
        assert not self.wrong, f"{len(self.wrong)} kinds in {self.count} inputs\n\n" + "\n\n".join(self.wrong.values())


class _Stream(io.TextIOWrapper):
    """Standard output as UTF-8, to nowhere."""

    def __init__(self):
        super().__init__(io.BytesIO(), "utf-8", "replace")


def memory():
    """Bytes that this process has held at most, without what it held before."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) - _held


_held = 0


@pytest.fixture(autouse=True)
def limited():
    """What asks for more memory than there should be meets an error instead of the machine's end."""
    global _held
    _held = 0
    _held = memory()
    before, sizes = resource.getrlimit(resource.RLIMIT_AS), Path("/proc/self/statm")
    now = int(sizes.read_text(encoding="ascii").split()[0]) * resource.getpagesize() if sizes.exists() else 2**40
    resource.setrlimit(resource.RLIMIT_AS, (now + 6 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def tries(world, tmp_path):
    return Tries(world, tmp_path / "tried")


def fuzz(request, strategy, attempt):
    """Call attempt(data) for as many draws of a strategy as --fuzz says."""

    @hypothesis.settings(
        max_examples=request.config.getoption("--fuzz"), database=None, deadline=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(strategy)
    def run(drawn):
        attempt(drawn)

    run()


def test_flags(tries, request):
    parsers = {verb: parser_of(verb)[1] for verb in VERBS}
    weights = [verb for verb in FIRST for _ in range({"train": 6, "fit": 5, "generate": 3, "evaluate": 3, "data": 3}.get(verb, 1))]
    strategy = st.sampled_from(weights).flatmap(lambda verb: st.tuples(st.just(verb), flags(parsers[verb])))

    def attempt(drawn):
        verb, more = drawn
        tries.renew("run", "prepared", "llama")
        tries.command([verb, *FIRST[verb], *more])

    fuzz(request, strategy, attempt)
    tries.settle("flags")


def test_recipes(tries, request):
    words = [word for word in MODEL if word.startswith("--")]
    base = ['data = ["text.txt"]', "steps = 1", "eval_tokens = 100", 'tokenizer = "byte"', "d_ff = 16"]
    base += [f"{word[2:].replace('-', '_')} = {MODEL[MODEL.index(word) + 1]}" for word in words[1:-1] if word != "--d-ff"]
    base += ["context_length = 8", "batch_size = 2", 'sample_every = "none"', "threads = 1"]

    def attempt(drawn):
        tries.renew()
        (tries.folder / "my.toml").write_bytes(drawn)
        # Without a word about the length the default is three minutes: then it is one step.
        short = ["--dry-run"] if tries.count % 2 else ["--steps", "1", "--data", "text.txt"]
        tries.command(["train", "--config", "my.toml", "--out", "new", "--quiet", *short], drawn)

    fuzz(request, recipes(sorted(ALL_FIELDS), base), attempt)
    tries.settle("recipes")


FOREIGN = ("llama", "gpt2", "model.bin", "model.gguf", "adapter")


@pytest.mark.parametrize("what", [("run",), ("fitted", "head", "prepared"), FOREIGN])
def test_files(what, tries, world, request):
    def files():
        for name in what:
            found = [world / name] if (world / name).is_file() else sorted(p for p in (world / name).rglob("*") if p.is_file())
            for path in found:
                if path.suffix not in (".png", ".lock") and path.name != ".lock":
                    yield name, path

    listed = list(files())
    strategy = st.sampled_from(listed).flatmap(
        lambda one: st.tuples(st.just(one), st.none() | damaged(one[1]), st.sampled_from(READERS[one[0]]))
    )

    def attempt(drawn):
        (name, path), content, command = drawn
        tries.renew(name, *(["llama"] if name == "adapter" else []))
        target = tries.folder / path.relative_to(world)
        if content is None:
            target.unlink()
        else:
            target.write_bytes(content)
        tries.command(command, f"{target.name}: {content[:3000] if content is not None else 'missing'}")

    fuzz(request, strategy, attempt)
    tries.settle(" ".join(what))


def test_texts(tries, request):
    kinds = st.sampled_from(("bpe", "char", "byte", "word"))
    strategy = st.tuples(text_files(), kinds, st.integers(0, 5), st.sampled_from(("", "", "\n", "\\n\\n", "<|endoftext|>", "x")))

    def attempt(drawn):
        (name, content), kind, which, separator = drawn
        tries.renew(*(["run"] if which in (1, 2) else ["fitted"] if which == 3 else []))
        (tries.folder / name).write_bytes(content)
        name = f"./{name}"
        more = ["--separator", separator] if separator else []
        commands = {
            1: ["evaluate", "run", name, *more],
            2: ["generate", "run", "--prompt-file", name, "--max-tokens", "3"],
            3: ["fit", "fitted", "--add", name],
            4: ["train", *TRAIN, "--data", name, "--tokenizer", kind, "--out", "new", *more],
        }
        preparing = ["data", name, "--out", "new", "--tokenizer", kind, "--vocab-size", "300", *more]
        tries.command(commands.get(which, preparing), content)

    fuzz(request, strategy, attempt)
    tries.settle("texts")


def test_the_library_raises_its_own_errors(tries, world, request):
    """toylm.load and toylm.data.prepare of damaged files: what they raise is toylm's own."""
    import toylm as package

    kinds = (".json", ".safetensors")
    listed = [path for name in ("run", "llama") for path in sorted((world / name).rglob("*")) if path.suffix in kinds]
    strategy = st.sampled_from(listed).flatmap(lambda path: st.tuples(st.just(path), damaged(path)))

    def attempt(drawn):
        path, content = drawn
        name = path.relative_to(world)
        tries.renew(name.parts[0])
        (tries.folder / name).write_bytes(content)
        tries.count += 1
        with warnings.catch_warnings(), contextlib.suppress(ToylmError, OSError):
            warnings.simplefilter("ignore", UserWarning)
            package.load((tries.folder / name).parent)

    fuzz(request, strategy, attempt)
