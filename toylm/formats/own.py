"""Models that no stock transformers class describes: toylm's own names and orientation under `model_type: toylm`.

A transformer that adds the log-probabilities of counts to its logits keeps these beside its weights, in counts.safetensors.
"""

import dataclasses

from ..config import ModelConfig, layout_of
from ..schema import flag, number, optional, text, whole
from . import counted
from .family import TransformerFamily
from .tensors import upright, vector


def _form():
    """Of every field of ModelConfig, by the kind of its default; only vocab_size has none."""
    kinds = {bool: flag(), float: number(above=0), str: text()}
    return {
        f.name: whole(1) if f.default is dataclasses.MISSING else optional(kinds.get(type(f.default), whole(1)))
        for f in dataclasses.fields(ModelConfig)
    }


class Own(TransformerFamily):
    """Any TransformerLM."""

    types = ("toylm",)
    form = _form()

    def to_fields(self, config):
        """See TransformerFamily."""
        named = {"model_type": "toylm", "architectures": ["TransformerLM"], "tie_word_embeddings": config.tied}
        return {**named, **config.to_dict()}

    def settings(self, fields, where):
        """See TransformerFamily."""
        return {name: fields[name] for name in self.form if name in fields}

    def entries(self, config):
        """Every parameter under its own name; vectors as vectors."""
        found = []
        for name, rows, columns in layout_of(config):
            is_vector = rows == 1 and name.rpartition(".")[2].startswith(("norm", "b_", "counts_scale", "transformer_scale"))
            found.append(vector(name, name, columns) if is_vector else upright(name, name, rows, columns))
        return found

    def write(self, directory, model, dtype, common):
        """See TransformerFamily; the counts are written as well."""
        super().write(directory, model, dtype, common)
        if model.counts is not None:
            counted.write_beside(directory, model.counts)

    def read(self, directory, fields, precision, threads):
        """See TransformerFamily; the counts are read as well."""
        model = super().read(directory, fields, precision, threads)
        if model.config.counts:
            model.counts = counted.read_beside(directory)
        return model
