"""Models that no stock transformers class describes: toylm's own names and orientation under `model_type: toylm`."""

from ..config import ModelConfig, layout_of
from .tensors import upright, vector

TYPES = ("toylm",)
PREFIX = ""
IGNORED = ()


def describes(config):
    """Any model."""
    return True


def to_config(config):
    """The ModelConfig itself, and why."""
    return {
        "model_type": "toylm",
        "architectures": ["TransformerLM"],
        "note": f"No stock transformers class has {_what(config)}: toylm's own names, weights (inputs, outputs).",
        "tie_word_embeddings": config.tied,
        **config.to_dict(),
    }


def _what(config):
    if config.counts:
        return "the log-probabilities of counts on top of its logits"
    if config.output_bias:
        return "a bias on its logits"
    return f"{config.norm} norm, {config.positions} positions and a {config.feed_forward} feed-forward"


def from_config(fields, refuse):
    """The ModelConfig of a config.json."""
    return ModelConfig(**{name: fields[name] for name in ModelConfig.__dataclass_fields__ if name in fields})


def entries(config):
    """Every parameter under its own name; vectors as vectors."""
    found = []
    for name, rows, columns in layout_of(config):
        is_vector = rows == 1 and name.rpartition(".")[2].startswith(("norm", "b_", "counts_scale", "transformer_scale"))
        found.append(vector(name, name, columns) if is_vector else upright(name, name, rows, columns))
    return found
