"""A TransformerLM as a Hugging Face model directory: the config.json and the tensors that transformers expects.

Each family is a module with the same five names: TYPES, `describes(config)`, `to_config(config)`, `from_config(fields, refuse)`
and `entries(config)`. The first that describes a model writes it.
"""

from .. import __version__
from ..errors import CheckpointError
from . import counted, gpt2, llama, own

FAMILIES = (counted, llama, gpt2, own)


def family_of(config):
    """The module that describes `config`. What toylm can add to the logits, no stock class has."""
    if not counted.describes(config) and (config.counts or config.output_bias):
        return own
    return next(family for family in FAMILIES if family.describes(config))


def stock_class(config):
    """The name of the transformers class that opens a model of this configuration, or None."""
    family = family_of(config)
    return None if family in (own, counted) else family.to_config(config)["architectures"][0]


def to_hf_config(config, end_id=0, dtype="float32", start_id=None):
    """The config.json of `config` as a dictionary. `end_id`, `start_id`: what ends and opens a document (None: the same);
    `dtype`: the tensors'.
    """
    return {
        **family_of(config).to_config(config),
        "toylm_version": __version__,
        "bos_token_id": end_id if start_id is None else start_id,
        "eos_token_id": end_id,
        "torch_dtype": dtype,
        **({"init": config.init} if hasattr(config, "init") else {}),
    }


def from_hf_config(fields, where):
    """The ModelConfig that a config.json describes. Raises CheckpointError naming what toylm does not support.

    `fields` is the parsed file, `where` its path, for the message.
    """
    kind = fields.get("model_type")
    family = next((family for family in FAMILIES if kind in family.TYPES), None)
    if family is None:
        classes = fields.get("architectures")
        described = classes[0] if classes and isinstance(classes, list) else "an unnamed class"
        raise CheckpointError(
            f"{where} describes {described} (model_type {kind!r}); toylm opens GPT2LMHeadModel, LlamaForCausalLM, "
            f"ArceeForCausalLM (model_type 'gpt2', 'llama', 'arcee') and its own models (model_type 'toylm')"
        )

    def refuse(key, value, supported):
        raise CheckpointError(f"{where} has {key} {value}; toylm supports {' or '.join(map(str, supported))}")

    try:
        return family.from_config(fields, refuse)
    except KeyError as error:
        raise CheckpointError(f"{where} lacks the key {error.args[0]!r}") from None
    except CheckpointError:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{where}: {error}") from None


def entries_of(config):
    """The tensors of a model's file, see toylm.formats.tensors."""
    return family_of(config).entries(config)


def canonical_names(config, names):
    """Name in the file -> name in `entries`, leaving out what is no weight.

    Files of a model without its head have no prefix; a tied lm_head is a copy; old files hold buffers.
    """
    family = family_of(config)
    bare = family.PREFIX and not any(name.startswith(family.PREFIX) for name in names)
    found = {}
    for name in names:
        if name.endswith(tuple(family.IGNORED)) and family.IGNORED or (name == "lm_head.weight" and config.tied):
            continue
        found[name] = family.PREFIX + name if bare and name != "lm_head.weight" else name
    return found
