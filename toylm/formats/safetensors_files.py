"""Reading and writing model.safetensors: one file or shards, float64, float32, float16 and bfloat16.

NumPy has no bfloat16: such a number is the upper half of a float32, and that is how it is read and written here.
"""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from ..files import current_umask

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = ("float32", "float16", "bfloat16", "float64")
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


class WeightFiles:
    """The tensors of a model directory, read one at a time: `names`, `shape(name)`, `read(name)`, `path`.

    Raises FileNotFoundError where there are none and CheckpointError for a truncated, corrupt or missing shard.
    """

    def __init__(self, directory):
        directory = Path(directory)
        self.path = directory / WEIGHTS
        if self.path.is_file():
            self._files = {self.path: SafetensorsFile(self.path)}
            self._where = {name: self._files[self.path] for name in self._files[self.path].names}
        elif (directory / INDEX).is_file():
            self.path = directory / INDEX
            self._open_shards(directory)
        else:
            refuse_pickle(directory)
            raise FileNotFoundError(f"{directory} has no {WEIGHTS}: not a whole checkpoint")
        self.names = list(self._where)

    def _open_shards(self, directory):
        try:
            weight_map = dict(json.loads(self.path.read_text(encoding="utf-8"))["weight_map"])
            names = sorted({os.fspath(shard) for shard in weight_map.values()})
        except (ValueError, KeyError, TypeError, RecursionError):
            raise CheckpointError(f"{self.path} is damaged: not an index of shards") from None
        shards = {}
        for shard in names:
            if Path(shard).name != shard:
                raise CheckpointError(f"{self.path} names the shard {shard!r}, which is not a file beside it")
            if not (directory / shard).is_file():
                raise FileNotFoundError(f"{directory} has no {shard}, which {INDEX} names: not a whole checkpoint")
            shards[shard] = SafetensorsFile(directory / shard)
        for name, shard in weight_map.items():
            if name not in shards[shard].names:
                raise CheckpointError(f"{directory / shard} lacks the tensor {name} that {INDEX} says it holds")
        self._where = {name: shards[shard] for name, shard in weight_map.items()}

    def header(self, name):
        """(shape, dtype) of one tensor as the file names them, e.g. ([512, 64], "BF16"), without reading its values."""
        return self._where[name].header(name)

    def read(self, name):
        """One tensor as an array; bfloat16 comes as float32, which holds all its values."""
        return self._where[name].read(name)


class SafetensorsFile:
    """One safetensors file. The library checks header and length; arrays are copies, so that the file can be replaced."""

    def __init__(self, path):
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            with safe_open(path, framework="numpy") as file:
                parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (the handle is no dictionary)
                self._headers = {name: (part.get_shape(), part.get_dtype()) for name, part in parts.items()}
                self.metadata = file.metadata() or {}
        except SafetensorError as error:
            raise CheckpointError(f"{path} is truncated or corrupt ({error}); use another checkpoint") from None
        self.names = list(self._headers)

    def header(self, name):
        """(shape, dtype) of one tensor."""
        return self._headers[name]

    def read(self, name):
        """One tensor as an array."""
        from safetensors import SafetensorError, safe_open

        kind = self._headers[name][1]
        try:
            if kind == "BF16":
                return self._read_bfloat16(name)
            with safe_open(self.path, framework="numpy") as file:
                return np.array(file.get_tensor(name))
        except SafetensorError as error:
            raise CheckpointError(f"{self.path} is truncated or corrupt ({error}); use another checkpoint") from None
        except (TypeError, AttributeError):  # NumPy has no such type, under no name (F8_E4M3)
            raise CheckpointError(f"{self.path}: {name} holds {kind}, not float64, float32, float16 or bfloat16") from None

    def _read_bfloat16(self, name):
        with open(self.path, "rb") as file:
            header_size = int.from_bytes(file.read(8), "little")
            entry = json.loads(file.read(header_size))[name]
            start, stop = entry["data_offsets"]
            file.seek(8 + header_size + start)
            upper = np.frombuffer(file.read(stop - start), "<u2")
        return (upper.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])


def to_bfloat16(array):
    """The upper halves (uint16) of a float32 array, rounded to nearest, ties to even; infinity and NaN stay what they are."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded)


def save_tensors(path, tensors, dtype=None, **metadata):
    """Write a dictionary of float arrays; dtype: one of DTYPES, or None to keep each as it is. metadata: text.

    The file gets the permissions that the umask gives any new file. Raises OSError for a full disk and the like.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    metadata = {"format": "pt", **metadata}
    if dtype == "bfloat16":
        return _save_bfloat16(path, tensors, metadata)
    # The library writes the buffer as it lies in memory: what is not C-ordered would come back scrambled.
    tensors = {name: np.ascontiguousarray(array, dtype) for name, array in tensors.items()}
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        # The library wraps the system's error in text; its number decides what the user is told.
        code = re.search(r"os error (\d+)", str(error))
        number = int(code.group(1)) if code else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
    os.chmod(path, 0o666 & ~current_umask())  # the library leaves 0600


def _save_bfloat16(path, tensors, metadata):
    """The format by hand: header size, JSON header, and the values one tensor behind the other."""
    header, start = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": [start, start + 2 * array.size]}
        start += 2 * array.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the values start at a multiple of 8
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in tensors.values():
            file.write(to_bfloat16(array).astype("<u2").tobytes())


def refuse_pickle(directory):
    """Raise CheckpointError where a directory holds torch's pickles in place of safetensors."""
    for pattern in PICKLES:
        for file in sorted(Path(directory).glob(pattern)):
            raise CheckpointError(
                f"{file} is a pickle, which can run any code when it is opened: toylm reads safetensors only; convert it "
                f"where you trust it, with transformers: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(DIR)"
            )
