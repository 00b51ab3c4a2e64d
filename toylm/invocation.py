"""Commands that toylm prints for the next step, with the program as it was called: what stands there can be typed as it is."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path


def command_line(verb, *arguments):
    """`toylm VERB ARGUMENTS` for a shell: as `.venv/bin/toylm ...` or `python3 -m toylm VERB ...` where it was called so.

    A Path that begins with "-" gets "./" before it.
    """
    shown = [os.path.join(".", x) if isinstance(x, os.PathLike) and str(x).startswith("-") else str(x) for x in arguments]
    words = [*_program(verb), *shown]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _program(verb):
    called = sys.argv[0]
    if Path(called).stem == "toylm":
        on_path = shutil.which("toylm")
        return ["toylm" if on_path and _plain(on_path) == _plain(called) else called, verb]
    # Whoever runs a module typed an interpreter that has toylm; elsewhere (a script, a notebook) there is none to repeat.
    as_module = Path(called).absolute().is_relative_to(Path(__file__).absolute().parent)
    return [sys.orig_argv[0] if as_module else "python", "-m", "toylm", verb]


def _plain(path):
    return os.path.normcase(Path(path).absolute().with_suffix(""))
