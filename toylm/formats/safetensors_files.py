"""Reading and writing model.safetensors: one file or shards, float64, float32, float16 and bfloat16.

NumPy has no bfloat16: such a number is the upper half of a float32, and that is how it is read and written here.
"""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError, MissingFileError
from ..files import atomic_writer
from ..schema import mapping, read_json, text

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"  # of a model directory
_KINDS = {"f": "F", "i": "I", "u": "U"}  # NumPy's kinds of numbers -> their names in a header
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
            raise MissingFileError(f"{directory} has no {WEIGHTS}: not a whole checkpoint")
        self.names = list(self._where)

    def _open_shards(self, directory):
        weight_map = read_json(self.path, {"weight_map": mapping(text())})["weight_map"]
        shards = {}
        for shard in sorted(set(weight_map.values())):
            if Path(shard).name != shard:
                raise CheckpointError(f"{self.path} names the shard {shard!r}, which is not a file beside it")
            if not (directory / shard).is_file():
                raise MissingFileError(f"{directory} has no {shard}, which {INDEX} names: not a whole checkpoint")
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
        """One tensor as an array. Raises CheckpointError where there is none of that name, or it is no number of ours."""
        if name not in self._headers:
            raise CheckpointError(f"{self.path} lacks {name}")
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
    """Write a dictionary of arrays as safetensors, atomically. The same tensors make the same bytes.

    dtype: "float32", "float16", "bfloat16", "float64", or None to keep each as it is; metadata: text.
    """
    # By hand: the library has no bfloat16 for NumPy, scrambles what is not C-ordered, and orders its metadata by chance.
    convert = to_bfloat16 if dtype == "bfloat16" else lambda array: np.ascontiguousarray(array, dtype)
    stored = {name: convert(array) for name, array in tensors.items()}
    header, start = {"__metadata__": {"format": "pt", **metadata}}, 0
    # Wide numbers first: each then lies at a multiple of its size.
    names = sorted(stored, key=lambda name: (-stored[name].itemsize, name))
    for name in names:
        array = stored[name]
        kind = "BF16" if dtype == "bfloat16" else _KINDS[array.dtype.kind] + str(8 * array.itemsize)
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [start, start + array.nbytes]}
        start += array.nbytes
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with atomic_writer(path) as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for name in names:
            file.write(stored[name].astype(stored[name].dtype.newbyteorder("<"), copy=False).tobytes())


def refuse_pickle(directory):
    """Raise CheckpointError where a directory holds torch's pickles in place of safetensors."""
    for pattern in PICKLES:
        for file in sorted(Path(directory).glob(pattern)):
            raise CheckpointError(
                f"{file} is a pickle, which can run any code when it is opened: toylm reads safetensors only; convert it "
                f"where you trust it, with transformers: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(DIR)"
            )
