"""A run's folder: one process at a time, checkpoints with their `latest` and `best`, and the logs that grow beside them.

    runs/first/
      run.json  metrics.jsonl  samples.txt  loss.png  coupling.png
      step-000500/ ...         checkpoints
      residual/ ...            what analyses of the run found
      latest, best             name a checkpoint
      .lock                    held by the process that trains
"""

import contextlib
import os
import shutil
from pathlib import Path

import numpy as np

from ..errors import CheckpointError, DivergedError, MissingFileError, UsageError
from ..formats.checkpoint import (
    find_checkpoint,
    foreign_files,
    list_checkpoints,
    load_checkpoint,
    read_json,
    read_pointer,
    recover_checkpoints,
    save_checkpoint,
    write_pointer,
)
from ..invocation import command_line
from ..schema import anything, mapping, optional, text, whole
from .settings import read_settings

METRICS = "metrics.jsonl"
SAMPLES = "samples.txt"
OWN_FILES = ("run.json", METRICS, SAMPLES, "loss.png", "coupling.png", "latest", "best", ".lock")
# Folders that the analyses of a run leave in it -> the files that they write there.
OWN_FOLDERS = {
    "residual": ("residual.json", "report.html", "recovery.png", "spectra.png", "layers.png", "heads.png", "overlap.png"),
    "coupling": ("coupling.json", "report.html", "maps.png", "levels.png", "depth.png", "tokens.png", "directions.png"),
    "collapse": ("collapse.json", "collapse.png"),
}
# What is read of run.json beside the settings.
_COUNTS = {"documents": whole(0), "tokens": whole(0)}
RECORD_FORM = {
    "settings": optional(mapping(optional(anything()))),
    "data": optional({
        "name": optional(text()), "path": optional(text()), "counts": optional({"train": optional(_COUNTS)}),
        "identity": optional(mapping(text())),
    }),
    "host": optional({"memory_bytes": optional(whole(0))}, null=False), "versions": optional(mapping(text()), null=False),
    "resumed": optional([anything()], null=False), "fitted": optional([anything()], null=False), "threads": optional(whole(1)),
}  # fmt: skip
_LOCK_OFFSET = 1 << 20  # Windows locks bytes, also against reading: lock one far behind the text


class RunFolder:
    """An existing run folder, locked for this process until `close` (a context manager).

    Raises UsageError if another process holds it.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._lock = _acquire(self.path / ".lock")
        recover_checkpoints(self.path)

    @classmethod
    def create(cls, path, overwrite=False):
        """Make (or take) the folder `path` for a new run; see `check_free` for what is refused."""
        path = Path(path)
        check_free(path, overwrite)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path)
        try:
            check_free(path, overwrite, locked=True)  # again: another process may have been quicker
            run._clear()
        except BaseException:
            run.close()
            raise
        return run

    def _clear(self):
        for _, checkpoint in list_checkpoints(self.path):
            shutil.rmtree(checkpoint)
        for name in OWN_FILES:
            if name != ".lock":
                (self.path / name).unlink(missing_ok=True)
        for name, files in OWN_FOLDERS.items():
            if (self.path / name).is_dir():
                for path in list((self.path / name).iterdir()):
                    if path.name in files or _is_remnant(path.name):
                        path.unlink()
                (self.path / name).rmdir()
        self.remove_remnants()

    def remove_remnants(self):
        """Remove what a killed process left half-written."""
        for path in self.path.iterdir():
            if _is_remnant(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def save(self, step, model, tokenizer, training, best=False, keep_last=2):
        """Save a checkpoint for `step`, point `latest` (and `best`) at it, remove the ones no longer kept. Returns its path."""
        path = save_checkpoint(self.path / f"step-{step:06d}", model, tokenizer, training)
        if best:  # first: a run goes on from `latest`, and would not know of the best one
            write_pointer(self.path, "best", path)
        write_pointer(self.path, "latest", path)
        self.prune(step, keep_last)
        return path

    def prune(self, step, keep_last):
        """Remove the checkpoints up to `step` but for the best and the last few."""
        best = read_pointer(self.path, "best")
        # A run taken back to an earlier step leaves the later checkpoints alone until it reaches them.
        behind = [path for s, path in list_checkpoints(self.path) if s <= step]
        for path in behind[:-keep_last]:
            if path != best and not foreign_files(path):
                shutil.rmtree(path, ignore_errors=True)

    def check_later(self, step):
        """Raise UsageError where a checkpoint after `step`, which a run taken back to there will replace, holds other files."""
        for later, path in list_checkpoints(self.path):
            for name in foreign_files(path) if later > step else ():
                raise UsageError(f"{path} would be replaced, and {name} in it is no part of a checkpoint: move one of them away")

    def latest(self):
        """The newest whole checkpoint's path, or None."""
        steps = list_checkpoints(self.path)
        return read_pointer(self.path, "latest") or (steps[-1][1] if steps else None)

    def sync_logs(self):
        """Flush the logs to disk and return their sizes, which belong into the checkpoint."""
        sizes = {}
        for name in (METRICS, SAMPLES):
            path = self.path / name
            if path.exists():
                with open(path, "rb+") as file:
                    os.fsync(file.fileno())
                sizes[name] = path.stat().st_size
        return sizes

    def rewind(self, sizes):
        """Remove what a killed process left, and cut the logs back to `sizes`, as they were when the checkpoint was written."""
        self.remove_remnants()
        for name in (METRICS, SAMPLES):
            path = self.path / name
            if path.exists() and path.stat().st_size > sizes.get(name, 0):
                with open(path, "rb+") as file:
                    file.truncate(sizes.get(name, 0))

    def close(self):
        """Release the folder."""
        if self._lock is not None:
            self._lock.close()  # closing the descriptor releases the system's lock, as the end of the process does
            self._lock = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def check_free(path, overwrite=False, locked=False):
    """Raise UsageError unless a new run may use `path`; touches nothing.

    A folder with a run in it is refused unless that run saved nothing, or `overwrite` (its files will be removed, with what
    analyses of it left there); so is one that another process uses, and one with other things in it. `locked`: this process
    holds its lock.
    """
    path = Path(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path} is a file; --out names a folder")
    steps = list_checkpoints(path)
    found = sorted(name for name in OWN_FOLDERS if (path / name).is_dir())
    foreign = _foreign(path, {*OWN_FILES, *(p.name for _, p in steps)})
    if overwrite:  # else they stay
        foreign += [f"{checkpoint.name}/{name}" for _, checkpoint in steps for name in foreign_files(checkpoint)]
    if foreign:
        raise UsageError(f"{path} holds other things ({foreign[0]}); choose a new folder with --out")
    if (path / ".lock").exists() and not locked:
        _acquire(path / ".lock").close()
    if steps and not overwrite:
        step, checkpoint = steps[-1]
        goes_on = (checkpoint / "training.json").exists()  # not what a fit has made
        resume = f"continue it with {command_line('train', '--resume', path)}, " if goes_on else ""
        raise UsageError(f"{path} holds a run already, at step {step}: {resume}choose another --out, or give --overwrite")
    if found and not overwrite:
        raise UsageError(f"{path} holds what an analysis found ({found[0]}): choose another --out, or give --overwrite")


def _foreign(path, ours):
    """What lies in the folder `path` and is neither one of `ours`, nor an analysis's folder with its own files alone; sorted."""
    names = []
    for inside in path.iterdir():
        own = OWN_FOLDERS.get(inside.name)
        if own is not None and inside.is_dir() and not inside.is_symlink():
            others = [p.name for p in inside.iterdir() if p.is_dir() or not (p.name in own or _is_remnant(p.name))]
            names += [f"{inside.name}/{name}" for name in others]
        elif inside.name not in ours and not _is_remnant(inside.name):
            names.append(inside.name)
    return sorted(names)


def _is_remnant(name):
    return name.startswith("step-") and (".tmp-" in name or ".old-" in name) or name.endswith(".part")


def default_path(name, parent="runs"):
    """`runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3` ... that is free: a run never lands on another."""
    path = Path(parent) / name
    number = 1
    while path.exists():
        number += 1
        path = Path(parent) / f"{name}-{number}"
    return path


def read_run(path):
    """(TrainSettings, the whole record) of a run's run.json. Raises MissingFileError or CheckpointError."""
    file = Path(path) / "run.json"
    if not file.is_file():
        raise MissingFileError(f"{path} has no run.json: only a run made by toylm train can be resumed")
    record = read_json(file, RECORD_FORM)
    return read_settings(record, file), record


def open_checkpoint(path, **options):
    """`load_checkpoint` for reading only: a run that goes on meanwhile may prune a checkpoint, then its run's next one is taken.

    Raises DivergedError where the weights are not finite.
    """
    for _ in range(3):
        found = find_checkpoint(path)
        try:
            checkpoint = load_checkpoint(found, **options)
            break
        except (FileNotFoundError, CheckpointError):
            if found.is_dir() and find_checkpoint(path) == found:
                raise
    else:
        raise CheckpointError(f"{path} changes faster than it can be read: name one of its checkpoints")
    parameters = getattr(checkpoint.model, "parameters", None)  # counts have none
    for name, mat in parameters.items() if parameters is not None else ():
        if not np.isfinite(mat.flat).all():
            raise DivergedError(f"{checkpoint.path} holds weights that are not finite ({name}): take an earlier checkpoint")
    return checkpoint


def newest_run(parent="runs"):
    """The run folder under `parent` with the checkpoint saved last. Raises FileNotFoundError where there is none."""
    candidates = []
    with contextlib.suppress(FileNotFoundError):
        for path in Path(parent).iterdir():
            if (path / "latest").exists() and (path / "run.json").is_file():
                candidates.append(((path / "latest").stat().st_mtime_ns, path))
    if not candidates:
        raise MissingFileError(f"no run with a checkpoint in the folder {parent}; name it: --resume RUN")
    return max(candidates)[1]


def _acquire(path):
    """Open `path` and take the system's lock on it, which ends with the process however it ends."""
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (held open as long as the lock)
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(_LOCK_OFFSET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read(20).strip()
        file.close()
        raise UsageError(
            f"{path.parent} is in use by another process{f' ({holder})' if holder else ''}; wait for it or choose another --out"
        ) from None
    except OSError:
        return file  # a file system without locks: go on without
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file
