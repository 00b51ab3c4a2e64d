"""What families of transformers share: a config.json and a model.safetensors, and how a model travels through both.

A family says how its config.json is written and read (`to_fields`, `settings`) and where its tensors lie (`entries`). Whether it
can express a model follows: what comes back from config.json must be what went in.
"""

import dataclasses
import warnings

import numpy as np

from ..config import ModelConfig
from ..errors import CheckpointError
from ..files import write_json
from ..kinds import FEED_FORWARDS
from ..schema import check
from .safetensors_files import CONFIG, WEIGHTS, WeightFiles, save_tensors
from .tensors import expected, fill, to_tensors

HEAD = "lm_head.weight"  # the output matrix in Hugging Face's names; a copy of the embedding where the two are tied


class TransformerFamily:
    """A family of models; its subclasses fill in the first five names and give the three functions below them."""

    types = ()  # the values of model_type in config.json
    opens_in = None  # the transformers class
    form = {}  # of config.json
    prefix = ""  # of the tensors' names; files of a model without its head lack it
    ignored = ()  # ends of the names of buffers that old files hold
    trains = True

    def to_fields(self, config):
        """The architecture's keys of config.json; None for what the family has no name for."""
        raise NotImplementedError

    def settings(self, fields, where):
        """Keyword arguments of ModelConfig, the inverse of `to_fields`. Raises CheckpointError for what toylm does not support.

        fields: config.json in the family's form, without nulls; where: its path, for messages.
        """
        raise NotImplementedError

    def entries(self, config):
        """The tensors of a model.safetensors, see toylm.formats.tensors."""
        raise NotImplementedError

    # -- the configuration -----------------------------------------------------------------------------------------------------

    def config(self, fields, where):
        """The ModelConfig that the object `fields`, read from `where`, describes. Raises CheckpointError."""
        check(fields, self.form, where)
        try:
            return ModelConfig(**self._settings(fields, where))
        except CheckpointError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{where}: {error}") from None

    def _settings(self, fields, where):
        given = {name: value for name, value in fields.items() if value is not None}
        return {"init": given.get("init", "normal"), **self.settings(given, where)}

    def lost(self, config):
        """Names of the fields of a ModelConfig that would come back as others: none where the family can express it."""
        there = self._settings({**self.to_fields(config), "init": config.init}, "config.json")
        fields = dataclasses.fields(ModelConfig)
        return [f.name for f in fields if getattr(config, f.name) != there.get(f.name, f.default)]

    def expresses(self, config):
        """Whether the family can hold a model of this configuration."""
        return isinstance(config, ModelConfig) and not self.lost(config)

    # -- reading and writing ---------------------------------------------------------------------------------------------------

    def write(self, directory, model, dtype, common):
        """Write config.json (with the keys `common` as well) and model.safetensors; dtype: of the tensors, None for the model's."""
        dtype = dtype or model.dtype.name
        fields = {**self.to_fields(model.config), "init": model.config.init, **common, "torch_dtype": dtype}
        write_json(directory / CONFIG, fields)
        save_tensors(directory / WEIGHTS, to_tensors(self.entries(model.config), model.parameters), dtype)

    def read(self, directory, fields, precision, threads):
        """The TransformerLM of a model directory whose config.json holds `fields`. Raises FileNotFoundError or CheckpointError."""
        config, files, entries = self.open(directory, fields)
        model = new_model(config, precision, threads)
        for name, entry in entries.items():
            fill(entry, model.parameters, files.read(name), files.path)
        return model

    def open(self, directory, fields):
        """(ModelConfig, WeightFiles, name in the file -> Entry). Raises where the files' headers do not hold what config.json asks
        for, before a model is made. What a file holds beside (buffers, a copy of a tied matrix) is left out.
        """
        config, files = self.config(fields, directory / CONFIG), WeightFiles(directory)
        entries = self._entries_in(config, files)
        embedding = next(name for name, entry in entries.items() if entry.parameter == "token_embed")
        if config.tied and HEAD in files.names and not _same(files, HEAD, embedding):
            warnings.warn(
                f"{directory / CONFIG} says that the output matrix is the embedding (tie_word_embeddings true), and {HEAD} in the "
                f"file is another matrix: that one is used",
                stacklevel=4,
            )
            config = config.replace(tied=False)
            entries = self._entries_in(config, files)
        return config, files, entries

    def _entries_in(self, config, files):
        bare = self.prefix and not any(name.startswith(self.prefix) for name in files.names)
        canonical = {}
        for name in files.names:
            if not (self.ignored and name.endswith(self.ignored)) and not (name == HEAD and config.tied):
                canonical[name] = self.prefix + name if bare and name != HEAD else name
        shapes = {there: files.header(name)[0] for name, there in canonical.items()}
        entries = expected(self.entries, config, shapes, files.path)
        return {name: entries[there] for name, there in canonical.items()}


def _same(files, name, other):
    return files.header(name)[0] == files.header(other)[0] and np.array_equal(files.read(name), files.read(other), equal_nan=True)


def new_model(config, precision="float32", threads=None):
    """A TransformerLM to be filled from a file."""
    from ..model.transformer import TransformerLM  # here, because a file's description can be read without the kernels

    return TransformerLM(config, seed=0, precision=precision, threads=threads)


def refuse(where, key, value, supported):
    """Raise CheckpointError for a key of config.json with a value that toylm does not support."""
    raise CheckpointError(f"{where} has {key} {value}; toylm supports {' or '.join(map(str, supported))}")


def ungated():
    """Name of an activation in config.json -> feed_forward here, of those without a gate; what is written stands first."""
    return {there: here for here, kind in FEED_FORWARDS.items() if not kind.gated for there in kind.hugging_face}


def name_of(feed_forward, names):
    """The first of the `names` (there -> here) of a feed_forward, or None."""
    return next((there for there, here in names.items() if here == feed_forward), None)
