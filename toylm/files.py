"""Writing files so that a reader never sees half of one: a temporary name beside the target, flushed to disk, renamed."""

import contextlib
import json
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def atomic_writer(path, mode="wb"):
    """Open a temporary file beside `path` for writing; on success flush it to disk and rename it to `path`.

    On any exception (Ctrl-C included) the temporary file is removed and `path` is left as it was. Text modes write UTF-8
    with "\\n" line ends. The file gets the permissions that the umask gives any new file. Raises OSError (a full disk, a
    missing directory that cannot be made, no permission).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with os.fdopen(descriptor, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~current_umask())  # mkstemp makes 0600, which locks out the other users of a machine
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # a full disk names no file by itself
        raise
    sync_directory(path.parent)


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


def current_umask():
    """The process's umask. Reading it means setting it; the value is put back at once."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
