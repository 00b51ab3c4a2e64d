"""Files that come with toylm: the embedded corpus and the training recipes.

In a source tree (and an editable install) they lie in the top-level folders `data/` and `train/`; a wheel carries them inside
the package, as `toylm/_files/data/` and `toylm/_files/train/`.
"""

import os
import sys
from pathlib import Path

from .errors import MissingFileError

_PACKAGE = Path(__file__).resolve().parent


def resource_path(*parts):
    """Path of a file or folder that comes with toylm, such as `resource_path("data", "stories.txt")`.

    Raises FileNotFoundError if this installation does not carry it.
    """
    # The package's own folder first: beside an installed wheel, `data` would be some other project's.
    for root in (_PACKAGE / "_files", _PACKAGE.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise MissingFileError(f"{'/'.join(parts)} does not come with this installation of toylm; install it again")


def cache_directory():
    """Where toylm keeps what it can make again, prepared texts and compiled kernels: `TOYLM_CACHE` if set, else the user's
    cache folder.
    """
    if os.environ.get("TOYLM_CACHE"):
        return Path(os.environ["TOYLM_CACHE"])
    if os.environ.get("XDG_CACHE_HOME"):
        base = os.environ["XDG_CACHE_HOME"]
    elif sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return Path(base) / "toylm"
