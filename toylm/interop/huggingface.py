"""A TransformerLM as a Hugging Face model directory: the config.json and the tensor names that transformers expects.

RMSNorm, rotary positions (rotate-half), an ungated GELU feed-forward, no biases and tied embeddings are what transformers calls
`ArceeForCausalLM` with `hidden_act: gelu_pytorch_tanh`; such a checkpoint opens there with the same logits. Learned positions
have no stock class: those files keep toylm's own names and orientation under `model_type: toylm`.

Orientation: a linear layer's weight is (outputs, inputs) in transformers and (inputs, outputs) here, hence the transposes.
"""

import numpy as np

from .. import __version__
from ..config import ModelConfig
from ..errors import CheckpointError

GELU_NAMES = ("gelu_pytorch_tanh", "gelu_new")  # two names of the tanh form
OWN_TYPE = "toylm"
_DTYPES = {"float32": "float32", "float64": "float64"}

# parameter here -> tensor there, inside block N; w_qkv, which is three tensors there, apart
_BLOCK_NAMES = {
    "norm1_gamma": "input_layernorm.weight",
    "w_o": "self_attn.o_proj.weight",
    "norm2_gamma": "post_attention_layernorm.weight",
    "w_ff1": "mlp.up_proj.weight",
    "w_ff2": "mlp.down_proj.weight",
}
_TOP_NAMES = {"token_embed": "model.embed_tokens.weight", "norm_final_gamma": "model.norm.weight"}
_QKV = ("q_proj", "k_proj", "v_proj")


def to_hf_config(config, end_id=0, dtype="float32"):
    """The config.json of `config` as a dictionary. `end_id` is the id of <|endoftext|>; `dtype` the tensors' dtype."""
    if config.positions != "rope":
        return {
            "model_type": OWN_TYPE,
            "architectures": ["TransformerLM"],
            "toylm_version": __version__,
            "note": "Learned positions have no stock transformers class: toylm's own names, weights (inputs, outputs).",
            "bos_token_id": end_id,
            "eos_token_id": end_id,
            "torch_dtype": _DTYPES[dtype],
            "tie_word_embeddings": True,
            **config.to_dict(),
        }
    return {
        "model_type": "arcee",
        "architectures": ["ArceeForCausalLM"],
        "toylm_version": __version__,
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_heads,
        "head_dim": config.d_head,
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": GELU_NAMES[0],
        # Both spellings: transformers 5 reads rope_parameters, 4 reads rope_theta and would fall back to 10000 silently.
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": end_id,
        "eos_token_id": end_id,
        "torch_dtype": _DTYPES[dtype],
        "init": config.init,
    }


def from_hf_config(fields, where):
    """The ModelConfig that a config.json describes. Raises CheckpointError naming what toylm does not support.

    `fields` is the parsed file, `where` its path, for the message.
    """
    kind = fields.get("model_type")
    if kind == OWN_TYPE:
        names = ModelConfig.__dataclass_fields__
        return _checked(lambda: ModelConfig(**{k: fields[k] for k in names if k in fields}), where)
    if kind != "arcee":
        classes = fields.get("architectures") or ["an unnamed class"]
        raise CheckpointError(
            f"{where} describes {classes[0]} (model_type {kind!r}); toylm opens ArceeForCausalLM with hidden_act "
            f"{GELU_NAMES[0]} (model_type 'arcee') and its own models with learned positions (model_type 'toylm')"
        )
    _refuse_unsupported(fields, where)
    rope = fields.get("rope_parameters") or {}
    return _checked(
        lambda: ModelConfig(
            vocab_size=fields["vocab_size"],
            d_model=fields["hidden_size"],
            d_ff=fields["intermediate_size"],
            n_heads=fields["num_attention_heads"],
            n_layers=fields["num_hidden_layers"],
            context_length=fields["max_position_embeddings"],
            positions="rope",
            rope_theta=float(rope.get("rope_theta", fields.get("rope_theta", 10000.0))),
            norm_eps=float(fields.get("rms_norm_eps", 1e-5)),
            init=fields.get("init", "normal"),
        ),
        where,
    )


def _checked(make, where):
    try:
        return make()
    except KeyError as error:
        raise CheckpointError(f"{where} lacks the key {error.args[0]!r}") from None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from None


def _refuse_unsupported(fields, where):
    heads = fields.get("num_attention_heads")
    rope = fields.get("rope_parameters") or {}
    head_dim = fields.get("head_dim")
    wanted = [
        ("hidden_act", fields.get("hidden_act", "relu2"), GELU_NAMES),
        ("tie_word_embeddings", fields.get("tie_word_embeddings", False), (True,)),
        ("attention_bias", fields.get("attention_bias", False), (False,)),
        ("mlp_bias", fields.get("mlp_bias", False), (False,)),
        ("num_key_value_heads", fields.get("num_key_value_heads") or heads, (heads,)),
        ("rope_scaling", fields.get("rope_scaling"), (None,)),
        ("rope_type", rope.get("rope_type", "default"), ("default",)),
        ("partial_rotary_factor", rope.get("partial_rotary_factor", fields.get("partial_rotary_factor", 1.0)), (1.0,)),
    ]
    if head_dim is not None and heads:
        wanted.append(("head_dim", head_dim, (fields.get("hidden_size", 0) // heads,)))
    for key, value, supported in wanted:
        if value not in supported:
            raise CheckpointError(f"{where} has {key} {value!r}; toylm supports {' or '.join(map(repr, supported))}")


def expected_tensors(config, parameters):
    """Tensor name -> shape of the model.safetensors that `to_tensors` writes, from a Parameters of `config`."""
    if config.positions != "rope":
        return {name: _own_shape(name, parameters[name]) for name in parameters.names}
    shapes = {}
    for name in parameters.names:
        mat = parameters[name]
        if name.endswith(".w_qkv"):
            for part in _QKV:
                shapes[f"{_layer(name)}.self_attn.{part}.weight"] = (config.d_model, mat.nrows)
        elif name.endswith("_gamma"):
            shapes[_hf_name(name)] = (mat.flat.size,)
        elif name == "token_embed":
            shapes[_hf_name(name)] = (mat.nrows, mat.ncols)
        else:
            shapes[_hf_name(name)] = (mat.ncols, mat.nrows)
    return shapes


def to_tensors(config, parameters):
    """The model's parameters as a dictionary of C-ordered arrays under their names on disk."""
    if config.positions != "rope":
        return {name: _own_array(name, parameters[name]).copy() for name in parameters.names}
    d = config.d_model
    tensors = {}
    for name in parameters.names:
        mat = parameters[name]
        if name.endswith(".w_qkv"):
            for i, part in enumerate(_QKV):
                tensors[f"{_layer(name)}.self_attn.{part}.weight"] = mat.array[:, i * d : (i + 1) * d].T
        elif name.endswith("_gamma"):
            tensors[_hf_name(name)] = mat.flat
        elif name == "token_embed":
            tensors[_hf_name(name)] = mat.array
        else:
            tensors[_hf_name(name)] = mat.array.T
    # safetensors writes the buffer as it lies in memory: a transposed view would come back scrambled.
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def from_tensors(config, parameters, tensors):
    """Copy `tensors` (checked beforehand against `expected_tensors`) into `parameters`, in place."""
    d = config.d_model
    for name in parameters.names:
        mat = parameters[name]
        if config.positions != "rope":
            mat.flat[:] = tensors[name].reshape(-1)
        elif name.endswith(".w_qkv"):
            for i, part in enumerate(_QKV):
                mat.array[:, i * d : (i + 1) * d] = tensors[f"{_layer(name)}.self_attn.{part}.weight"].T
        elif name.endswith("_gamma") or name == "token_embed":
            mat.flat[:] = tensors[_hf_name(name)].reshape(-1)
        else:
            mat.array[:] = tensors[_hf_name(name)].T


def _layer(name):
    return f"model.layers.{name.split('.')[1]}"


def _hf_name(name):
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    return f"{_layer(name)}.{_BLOCK_NAMES[name.split('.', 2)[2]]}"


def _own_array(name, mat):
    return mat.flat if name.endswith("_gamma") else mat.array


def _own_shape(name, mat):
    return (mat.flat.size,) if name.endswith("_gamma") else (mat.nrows, mat.ncols)
