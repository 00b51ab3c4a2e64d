"""The blocks of kernels/README.md are those that kernels/update_readme.py writes, and their commands exist."""

import importlib.util
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parents[2] / "kernels"


@pytest.fixture(scope="module")
def update():
    spec = importlib.util.spec_from_file_location("update_readme", KERNELS / "update_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_block_is_replaced_and_nothing_else(update):
    text = "one\n<!-- a -->\nold\n<!-- /a -->\ntwo\n"
    assert update.replaced(text, "a", "new\n") == "one\n<!-- a -->\n```\nnew\n```\n<!-- /a -->\ntwo\n"
    with pytest.raises(ValueError, match="no block between <!-- b -->"):
        update.replaced(text, "b", "new")


def test_the_readme_has_every_block_and_every_command_exists(update):
    from toylm.commands.bench import KINDS

    readme = (KERNELS / "README.md").read_text(encoding="utf-8")
    for name, arguments in update.COMMANDS.items():
        assert update.replaced(readme, name, "x") != readme
        assert arguments[0] in KINDS
