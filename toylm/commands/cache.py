"""What toylm keeps on disk since it can be made again: prepared texts and compiled kernels.

  toylm cache             what is kept, and where
  toylm cache --empty     remove it; what another process is preparing stays

TOYLM_CACHE names another folder. Runs and checkpoints are never kept there.
"""

import contextlib
import os
import shutil
from pathlib import Path

import filelock

from ..console import size
from ..data.preparation import prepared_directory
from ..resources import cache_directory, lock_of


def build_parser(parser):
    """Add the arguments of `toylm cache`."""
    parser.add_argument("--empty", action="store_true", help="remove all of it")


def run(args):
    """Run `toylm cache`; returns the exit status."""
    kernels = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_directory())
    folders = [*sorted(prepared_directory().glob("*")), *sorted(kernels.glob("kernels-" + 16 * "[0-9a-f]"))]
    total = 0
    for folder in folders:
        held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        word = "kept"
        if args.empty:
            word = "in use"
            with contextlib.suppress(filelock.Timeout), lock_of(folder).acquire(timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
                word = "removed"
        total += held
        print(f"{word:<13}{size(held):>8}  {folder}")
    print(f"{'in all':<13}{size(total):>8}  {cache_directory()}")
    return 0
