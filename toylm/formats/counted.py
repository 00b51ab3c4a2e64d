"""Counts models (toylm.counts) under `model_type: toylm-counts`: no transformer, and nothing transformers opens."""

from ..counts.config import CountsConfig
from ..counts.files import config_of

TYPES = ("toylm-counts",)
PREFIX = ""
IGNORED = ()


def describes(config):
    """Whether it is the configuration of a counts model."""
    return isinstance(config, CountsConfig)


def to_config(config):
    """The CountsConfig itself."""
    return {"model_type": "toylm-counts", "architectures": ["CountsLM"], **config.to_dict()}


def from_config(fields, refuse):
    """The CountsConfig of a config.json."""
    return config_of(fields)
