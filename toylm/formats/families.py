"""The registry of model directories: from `model_type` in config.json to the family that reads and writes it.

A family is an object with `types`, `opens_in`, `trains`, `config(fields, where)`, `expresses(config)`, `read(directory, fields,
precision, threads)`, `write(directory, model, dtype, common)` and `open(directory, fields)`; see toylm.formats.family. To add one:
write its file, and name it in FAMILIES.
"""

from .. import __version__
from ..errors import CheckpointError
from ..schema import read_json
from .counted import Counts
from .gpt2 import GPT2
from .llama import LLAMA, Arcee
from .own import Own
from .safetensors_files import CONFIG

FAMILIES = (Counts(), LLAMA, Arcee(), GPT2(), Own())  # the first that can express a model writes it, and the last can each
BY_TYPE = {model_type: family for family in FAMILIES for model_type in family.types}


def family_of(config):
    """The family that a model of this configuration is written as: known before anything is trained."""
    return next(family for family in FAMILIES if family.expresses(config))


def stock_class(config):
    """The name of the transformers class that opens a model of this configuration, or None."""
    return family_of(config).opens_in


def why_not_stock(config):
    """The sentence that says what keeps a model from opening in transformers: what its nearest class cannot express."""
    stock = [family for family in FAMILIES if family.opens_in]
    nearest = min(stock, key=lambda family: len(family.lost(config)))
    lost = ", ".join(f"{name} {getattr(config, name)!r}" for name in nearest.lost(config))
    return f"no transformers class opens this model: {nearest.opens_in}, the nearest, has no {lost}"


def family_in(directory):
    """(family, the object in config.json) of a model directory. Raises FileNotFoundError or CheckpointError."""
    fields = read_json(directory / CONFIG)
    model_type = fields.get("model_type")
    if not isinstance(model_type, str) or model_type not in BY_TYPE:
        classes = fields.get("architectures")
        described = classes[0] if classes and isinstance(classes, list) else "an unnamed class"
        classes = ", ".join(family.opens_in for family in FAMILIES if family.opens_in)
        raise CheckpointError(
            f"{directory / CONFIG} describes {described} (model_type {model_type!r}); toylm opens {classes} and its own models "
            f"(model_type {', '.join(map(repr, BY_TYPE))})"
        )
    return BY_TYPE[model_type], fields


def read_config(directory):
    """The ModelConfig or CountsConfig of a model directory. Raises FileNotFoundError or CheckpointError."""
    family, fields = family_in(directory)
    return family.config(fields, directory / CONFIG)


def open_weights(directory):
    """(configuration, WeightFiles, names of the tensors in them that are parameters), from the files' headers alone."""
    family, fields = family_in(directory)
    config, files, entries = family.open(directory, fields)
    return config, files, {name for name, entry in entries.items() if entry is None or entry.parameter is not None}


def read_model(directory, precision="float32", threads=None, transformer=False):
    """The model in a directory; transformer: refuse one that is none. Raises FileNotFoundError or CheckpointError."""
    family, fields = family_in(directory)
    if transformer and not family.trains:
        raise CheckpointError(
            f"{directory} holds a counts model, not a transformer: toylm generate, evaluate, info and fit --add or --remove open it"
        )
    return family.read(directory, fields, precision, threads)


def write_model(directory, model, dtype=None, end_id=0, start_id=None):
    """Write config.json and the weights into a directory. dtype: of the tensors, None for the model's; end_id, start_id: what ends
    and opens a document (None: the same).
    """
    family = family_of(model.config)
    common = {"toylm_version": __version__, "bos_token_id": end_id if start_id is None else start_id, "eos_token_id": end_id}
    if family is FAMILIES[-1]:
        common["note"] = why_not_stock(model.config)
    family.write(directory, model, dtype, common)
