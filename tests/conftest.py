"""What all tests share: the folder with real text, and the oracles that may be missing."""

import importlib.util
import os
from pathlib import Path

import pytest
from fixtures import small_run, stories, text_file, train, trained_run  # noqa: F401 - fixtures of several folders

from toylm.kernels import jit
from toylm.kernels.jit import kernel_folder
from toylm.threads import get_threads, set_threads

# Where the CPU has no bf16 products the tests emulate them, so that every machine can check that arithmetic.
os.environ.setdefault("TOYLM_BF16", "emulate")
# Tests prepare texts in temporary folders (TOYLM_CACHE); the processes that they start find the compiled kernels all the same.
os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder().parent))

jit._clock.announced = True  # that kernels are compiled: what a command prints is the same with a cold cache

THREADS = get_threads()  # what a test finds
ORACLES = ("torch", "transformers", "sklearn")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Prepared texts go to a temporary folder, not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOYLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def all_threads():
    """Commands that a test or a fixture runs in this process set the number of threads for good: not for the tests after it."""
    if get_threads() != THREADS:
        set_threads(THREADS)


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """loss.png takes longer to draw than a small run to train: in this process it is drawn where a test is marked `pictures`."""
    if not request.node.get_closest_marker("pictures"):
        monkeypatch.setattr("toylm.train.loop.draw_loss", lambda *arguments, **named: False)


@pytest.fixture(scope="session")
def shared_data():
    """The folder named by TOYLM_DATA (real text, a real checkpoint); tests that need it are skipped without it."""
    folder = os.environ.get("TOYLM_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TOYLM_DATA does not name a folder with the real data")
    return Path(folder)


def pytest_addoption(parser):
    """How thorough the fault tests are (-m faults)."""
    parser.addoption("--kills", type=int, default=4, help="kills at file operations, of each thing that is written")
    parser.addoption("--all-kills", action="store_true", help="kills at every file operation")
    parser.addoption("--fuzz", type=int, default=20, metavar="N", help="wrong inputs of each kind")


def pytest_collection_modifyitems(items):
    """Parity tests need an oracle that toylm itself never needs. Compiling kernels that emulate bf16 takes a minute: on such a
    CPU their tests are run with the parity tests."""
    from toylm.kernels.tile import HOST_BF16

    missing = [name for name in ORACLES if importlib.util.find_spec(name) is None]
    for item in items:
        if item.get_closest_marker("bf16") and not HOST_BF16:
            item.add_marker("parity")
        if missing and item.get_closest_marker("parity"):
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)}"))
