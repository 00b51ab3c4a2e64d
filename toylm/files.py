"""Writing files so that a reader never sees half of one: a temporary name beside the target, flushed to disk, renamed."""

import contextlib
import json
import os
import re
import secrets
import time
from pathlib import Path

_PARTIAL = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)-[0-9a-f]+\.part")


@contextlib.contextmanager
def atomic_path(path, flush=True):
    """A temporary name beside `path` to write a file to; on success it is flushed to disk (`flush`) and renamed to `path`.

    On any exception (Ctrl-C included) what was written is removed and `path` is left as it was. What a killed process left of an
    earlier attempt is removed. Raises OSError, naming the file (a full disk, a missing directory that cannot be made, no
    permission).
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, path.name)
        yield partial
        if flush:
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(partial), partial):
            error.filename = str(path)  # a full disk names no file by itself
        raise
    if flush:
        sync_directory(path.parent)


@contextlib.contextmanager
def atomic_writer(path, mode="wb", flush=True):
    """Open a temporary file beside `path` for writing, which becomes `path` on success, as `atomic_path` does.

    Text modes write UTF-8 with "\\n" line ends.
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    with atomic_path(path, flush) as partial, open(partial, mode, **text) as file:
        yield file


def is_partial(name):
    """Whether a file's name is one that `atomic_path` gives to what is not whole yet."""
    return _PARTIAL.fullmatch(name) is not None


def remove_abandoned(folder, name=None):
    """Remove what killed processes left half-written in a folder: of the file called `name`, or of any."""
    for path in Path(folder).glob(".*.part"):
        match = _PARTIAL.fullmatch(path.name)
        if match and name in (None, match["name"]) and is_abandoned(path, int(match["pid"])):
            path.unlink(missing_ok=True)


def is_abandoned(path, pid):
    """Whether the process that made a file or folder has ended (POSIX), or made it more than a day ago."""
    if os.name == "posix":
        try:
            os.kill(pid, 0)  # signal 0 only asks
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            return False
    return path.exists() and path.stat().st_mtime < time.time() - 86_400


def write_text(path, text):
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_writer(path, "w") as file:
        file.write(text)


def write_json(path, value):
    """Write `value` to `path` as indented JSON, atomically. A file name in it that is not UTF-8 is read back as it was."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with atomic_writer(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))  # of half a surrogate pair this makes JSON's own escape


def sync_directory(directory):
    """Flush a directory's entries to disk, so that a rename survives a power cut (POSIX; elsewhere nothing to do)."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems refuse to sync directories
        pass
    finally:
        os.close(descriptor)
