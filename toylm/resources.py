"""Files that come with toylm: the embedded corpus and the training recipes.

In a source tree (and an editable install) they lie in the top-level folders `data/` and `train/`; a wheel carries them inside
the package, as `toylm/_files/data/` and `toylm/_files/train/`.
"""

import contextlib
import errno
import hashlib
import os
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path

import filelock
import platformdirs

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
    """The folder in which toylm keeps what it can make again, prepared texts and compiled kernels.

    `TOYLM_CACHE` if set, else the user's cache folder. Where that cannot be written to (no home, an unknown user, a read-only
    disk), a temporary folder, with a note on stderr.
    """
    wanted = os.environ.get("TOYLM_CACHE") or platformdirs.user_cache_dir("toylm", appauthor=False)
    return _writable(Path(wanted).expanduser() if os.environ.get("TOYLM_CACHE") else Path(wanted))


@cache
def _writable(folder):
    """`folder`, made where it is missing, or a temporary one in its place."""
    try:
        if not folder.is_absolute() and not os.environ.get("TOYLM_CACHE"):
            raise OSError(errno.ENOENT, "no home folder is known")  # or it would be made in the working folder, by the name "~"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return folder
    except OSError as error:
        instead = _temporary()
        print(
            f"toylm: the cache folder {folder} cannot be used ({error.strerror}); prepared texts and compiled kernels go to "
            f"{instead}: set TOYLM_CACHE to a folder of your own to keep them",
            file=sys.stderr,
        )
        return instead


def _temporary():
    """A folder for this user below the system's temporary one; a new one where another user has made it, or could write to it."""
    folder = Path(tempfile.gettempdir(), f"toylm-{os.getuid() if hasattr(os, 'getuid') else 'cache'}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat(follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and (os.name != "posix" or (found.st_uid == os.getuid() and not found.st_mode & 0o022)):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="toylm-"))


def lock_of(folder):
    """The lock of whoever writes into `folder`, where it has none of its own: in toylm's cache, so that `folder` need not exist."""
    name = hashlib.sha256(os.fsencode(Path(folder).resolve())).hexdigest()[:16]
    locks = cache_directory() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(locks / f"{name}.lock")


@contextlib.contextmanager
def locked(folder, verb):
    """Hold the lock of `folder`; a process that `verb`s (writes, prepares) it meanwhile is waited for, with a line that says so."""
    lock = lock_of(folder)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"waiting for another process that {verb} {folder}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
