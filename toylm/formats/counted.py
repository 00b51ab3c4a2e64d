"""Counts models (toylm.counts): as a model directory under `model_type: toylm-counts`, and beside a transformer that adds them.

No transformers class opens them. Tensors are those of toylm.counts.files, whatever dtype is asked for.
"""

from ..counts.config import CountsConfig
from ..errors import CheckpointError, MissingFileError
from ..files import write_json
from ..schema import check, optional, read_json, whole
from .safetensors_files import CONFIG, WEIGHTS, SafetensorsFile, WeightFiles, save_tensors

TENSORS, FIELDS = "counts.safetensors", "counts.json"  # beside a transformer
FORM = {
    "vocab_size": whole(1), "order": whole(1), "end_id": whole(0), "context_length": optional(whole(1)), "near": optional(whole(0)),
    "fitting": optional({}),
}  # fmt: skip


class Counts:
    """The family of CountsLM; its functions are those of TransformerFamily."""

    types = ("toylm-counts",)
    opens_in = None
    trains = False

    def config(self, fields, where):
        """The CountsConfig that config.json describes. Raises CheckpointError."""
        return _config(fields, where)

    def expresses(self, config):
        """Whether it is the configuration of a counts model."""
        return isinstance(config, CountsConfig)

    def write(self, directory, model, dtype, common):
        """Write config.json and model.safetensors."""
        named = {"model_type": self.types[0], "architectures": ["CountsLM"]}
        _write(directory / WEIGHTS, directory / CONFIG, model, {**named, **common, "torch_dtype": "float64"})

    def read(self, directory, fields, precision, threads):
        """The CountsLM of a model directory. Raises FileNotFoundError or CheckpointError."""
        return _read(WeightFiles(directory), fields, directory / CONFIG)

    def open(self, directory, fields):
        """(CountsConfig, WeightFiles, the files' names)."""
        files = WeightFiles(directory)
        return _config(fields, directory / CONFIG), files, dict.fromkeys(files.names)


def write_beside(directory, model):
    """Write the counts of a transformer into its checkpoint directory."""
    _write(directory / TENSORS, directory / FIELDS, model, {})


def read_beside(directory):
    """The CountsLM of the transformer in a checkpoint directory. Raises FileNotFoundError or CheckpointError."""
    fields = read_json(directory / FIELDS)
    if not (directory / TENSORS).is_file():
        raise MissingFileError(f"{directory} has no {TENSORS}: not a whole checkpoint")
    return _read(SafetensorsFile(directory / TENSORS), fields, directory / FIELDS)


def _config(fields, where):
    check(fields, FORM, where)
    given = {name: fields[name] for name in CountsConfig.__dataclass_fields__ if fields.get(name) is not None}
    try:
        return CountsConfig(**given)
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from None


def _write(tensors_file, fields_file, model, further):
    from ..counts.files import to_tensors

    save_tensors(tensors_file, to_tensors(model))
    write_json(fields_file, {**further, **model.config.to_dict(), "fitting": model.fitting})


def _read(files, fields, where):
    from ..counts.files import from_tensors

    config = _config(fields, where)
    return from_tensors(config, {name: files.read(name) for name in files.names}, fields.get("fitting"), files.path)
