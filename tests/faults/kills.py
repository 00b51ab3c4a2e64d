"""A process that is killed at its k-th change of a file, and its imitation inside this process.

    with FileOperations(root) as operations:            counts them: operations.count, operations.names
        work()
    with FileOperations(root, kill_at=k):               raises Killed in place of the k-th, and refuses all later ones
        work()

An audit hook sees opens for writing, renames, removals and new folders; fsync and the writes of Python's files are replaced. A
write that is killed leaves its first half, as a torn page does. Later operations are refused, so that no `except` or `finally` can
tidy up what a killed process could not. `kills.py SCENARIO FOLDER K` does the same with a real SIGKILL.
"""

import builtins
import io
import os
import signal
import sys

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.utime", "os.link", "os.symlink")
_active = None  # the FileOperations at work
_hooked = False
_open = io.open


class Killed(BaseException):
    """Stands for the end of the process."""


class FileOperations:
    """Counts the changes of files below `root` inside its body; see the module.

    kill_at: the operation, counted from 0, that does not take place any more; really: the process ends there. full_at: from this
    operation on every write fails, as on a full disk. pid: what os.getpid says meanwhile, since a killed process is not this one.
    """

    def __init__(self, root, kill_at=None, really=False, full_at=None, pid=None):
        self.root, self.kill_at, self.really, self.full_at, self.pid = os.path.realpath(root), kill_at, really, full_at, pid
        self.count, self.dead, self.names = 0, False, []

    def __enter__(self):
        global _active, _hooked
        if not _hooked:
            sys.addaudithook(_audit)  # for good: it does nothing where nothing is active
            _hooked = True
        self._kept = os.fsync, os.getpid
        builtins.open = io.open = _open_counted
        os.fsync = self._fsync
        if self.pid is not None:
            os.getpid = lambda: self.pid
        _active = self
        return self

    def __exit__(self, *exception):
        global _active
        _active = None
        builtins.open = io.open = _open
        os.fsync, os.getpid = self._kept

    def _fsync(self, descriptor):
        self.meet("fsync", writes=True)
        return self._kept[0](descriptor)

    def meet(self, name, writes=False):
        """One operation is about to take place."""
        if self.dead:
            raise Killed
        at = self.count
        self.count += 1
        self.names.append(name)
        if at == self.kill_at:
            if self.really and hasattr(signal, "SIGKILL"):
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.really:
                os._exit(9)
            self.dead = True
            raise Killed
        if writes and self.full_at is not None and at >= self.full_at:
            raise OSError(28, "No space left on device")  # without the file's name, as the system says it

    def concerns(self, path, at_folder=-1):
        """Whether a path lies below the root. What is named from an open folder (by shutil.rmtree) does. Locks are the system's."""
        if isinstance(path, int):
            return False
        path = os.path.abspath(os.fsdecode(path))
        inside = at_folder != -1 or path == self.root or path.startswith(self.root + os.sep)
        return inside and not path.endswith(".lock")


class _CountedFile(io.FileIO):
    """A file whose writes are counted; after the kill nothing reaches the disk any more, not even what was buffered."""

    def write(self, data):
        operations = _active
        if operations is None:
            return super().write(data)
        view = memoryview(data).cast("B")
        if operations.dead:
            return len(view)
        if operations.count == operations.kill_at:
            super().write(view[: len(view) // 2])
        operations.meet("write", writes=True)
        return super().write(data)

    def truncate(self, size=None):
        if _active is not None:
            _active.meet("truncate")
        return super().truncate(size)

    def fileno(self):
        if _active is not None and _active.dead:
            raise Killed
        return super().fileno()


def _open_counted(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    operations = _active
    known = file if isinstance(file, int) else os.fspath(file)
    counted = operations is not None and (isinstance(known, int) or operations.concerns(known))
    if not counted or not set(mode) & set("wax+") or buffering == 0:
        return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = _CountedFile(known, mode.replace("b", "").replace("t", ""), closefd, opener)
    buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    if "b" in mode:
        return buffered
    text = io.TextIOWrapper(buffered, encoding, errors, newline)
    text.mode = mode
    return text


def _audit(event, arguments):
    operations = _active
    if operations is None:
        return
    if event == "open":
        path, mode, flags = arguments
        writing = set(mode) & set("wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if writing and operations.concerns(path):
            operations.meet(f"open {os.fsdecode(path)}")
    elif event in CHANGES and operations.concerns(arguments[0], arguments[1] if event in ("os.remove", "os.rmdir") else -1):
        operations.meet(f"{event.removeprefix('os.')} {os.fsdecode(arguments[0])}")


if __name__ == "__main__":
    from scenarios import SCENARIOS, warm

    warm()
    name, folder, at = sys.argv[1:]
    with FileOperations(folder, kill_at=int(at), really=True):
        SCENARIOS[name].act(folder)
