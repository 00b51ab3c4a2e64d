"""Llama and Arcee as transformers knows them: RMSNorm, rotary positions (rotate-half), SwiGLU (Llama) or one activation (Arcee).

Every linear layer is (outputs, inputs) there. A tied file holds no lm_head.
"""

from ..config import ModelConfig
from ..errors import CheckpointError
from .tensors import matrix, upright, vector

# hidden_act there -> feed_forward here; the first name of each is written
ARCEE_ACTIVATIONS = {"gelu_pytorch_tanh": "gelu", "gelu_new": "gelu", "relu2": "relu2", "silu": "silu", "swish": "silu"}
TYPES = ("llama", "arcee")
PREFIX = "model."
IGNORED = ("rotary_emb.inv_freq",)  # buffers that old files hold
OPENS_IN = {"llama": "LlamaForCausalLM", "arcee": "ArceeForCausalLM"}
_EPS = {"llama": 1e-6, "arcee": 1e-5}  # what a config.json without the key means
_ACTIVATION = {"llama": "silu", "arcee": "relu2"}


def describes(config):
    """Whether a stock class has this architecture."""
    return config.norm == "rms" and config.positions == "rope"


def model_type(config):
    """The model_type, "llama" or "arcee"."""
    return "llama" if config.feed_forward == "swiglu" else "arcee"


def to_config(config):
    """The architecture's keys of config.json."""
    kind = model_type(config)
    names = {here: there for there, here in reversed(ARCEE_ACTIVATIONS.items())} | {"swiglu": "silu"}
    return {
        "model_type": kind,
        "architectures": [OPENS_IN[kind]],
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.d_head,
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": names[config.feed_forward],
        # Both spellings: transformers 5 reads rope_parameters, 4 reads rope_theta and would fall back to 10000 silently.
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tied,
        "attention_bias": config.biases,
        "mlp_bias": config.biases,
    }


def from_config(fields, refuse):
    """The ModelConfig of a config.json. `refuse(key, value, supported)` raises CheckpointError."""
    kind = fields["model_type"]
    rope = fields.get("rope_parameters") or {}
    scaling = fields.get("rope_scaling") or {}
    for source in (rope, scaling):
        scheme = source.get("rope_type", source.get("type", "default"))
        if scheme != "default":
            refuse("rope scaling", scheme, ("none",))
    if scaling and set(scaling) - {"rope_type", "type", "rope_theta"}:
        refuse("rope_scaling", scaling, ("none",))
    partial = rope.get("partial_rotary_factor", fields.get("partial_rotary_factor", 1.0))
    if partial != 1:
        refuse("partial_rotary_factor", partial, (1.0,))
    activation = fields.get("hidden_act", _ACTIVATION[kind])
    if activation not in (("silu", "swish") if kind == "llama" else ARCEE_ACTIVATIONS):
        refuse("hidden_act", activation, ("silu",) if kind == "llama" else tuple(ARCEE_ACTIVATIONS))
    biases = bool(fields.get("attention_bias", False)), bool(fields.get("mlp_bias", False))
    if biases[0] != biases[1]:
        refuse("attention_bias and mlp_bias", biases, ("both true", "both false"))
    return ModelConfig(
        vocab_size=fields["vocab_size"],
        d_model=fields["hidden_size"],
        d_ff=fields["intermediate_size"],
        n_heads=fields["num_attention_heads"],
        n_layers=fields["num_hidden_layers"],
        context_length=fields["max_position_embeddings"],
        positions="rope",
        rope_theta=float(rope.get("rope_theta", fields.get("rope_theta", 10000.0))),
        norm_eps=float(fields.get("rms_norm_eps", _EPS[kind])),
        norm="rms",
        feed_forward="swiglu" if kind == "llama" else ARCEE_ACTIVATIONS[activation],
        biases=biases[0],
        n_kv_heads=fields.get("num_key_value_heads"),
        d_head=fields.get("head_dim"),
        tied=bool(fields.get("tie_word_embeddings", False)),
        init=fields.get("init", "normal"),
    )


def entries(config):
    """The tensors of a model.safetensors."""
    d, V = config.d_model, config.vocab_size
    found = [upright("model.embed_tokens.weight", "token_embed", V, d), vector("model.norm.weight", "norm_final_gamma", d)]
    if not config.tied:
        found.append(upright("lm_head.weight", "unembed", V, d))
    for i in range(config.n_layers):
        there, here = f"model.layers.{i}.", f"blocks.{i}."
        found += [
            vector(f"{there}input_layernorm.weight", f"{here}norm1_gamma", d),
            vector(f"{there}post_attention_layernorm.weight", f"{here}norm2_gamma", d),
        ]
        for name, role, inputs, outputs, start in _linear_layers(config):
            found.append(matrix(f"{there}{name}.weight", f"{here}w_{role}", inputs, outputs, start))
            if config.biases:
                found.append(vector(f"{there}{name}.bias", f"{here}b_{role}", outputs, start))
    return found


def _linear_layers(c):
    """(name there, role here, inputs, outputs, first column here) of a block's linear layers."""
    d, q, kv, ff = c.d_model, c.d_q, c.d_kv, c.d_ff
    gate = [("mlp.gate_proj", "ff1", d, ff, 0)] if c.feed_forward == "swiglu" else []
    return [
        ("self_attn.q_proj", "qkv", d, q, 0),
        ("self_attn.k_proj", "qkv", d, kv, q),
        ("self_attn.v_proj", "qkv", d, kv, q + kv),
        ("self_attn.o_proj", "o", q, d, 0),
        *gate,
        ("mlp.up_proj", "ff1", d, ff, ff if gate else 0),
        ("mlp.down_proj", "ff2", ff, d, 0),
    ]


def check_expressible(config, program):
    """Raise CheckpointError unless `config` is a Llama model without biases; `program`: who asks for it."""
    wanted = dict(norm="rms", positions="rope", feed_forward="swiglu", biases=False, output_bias=False, counts=False)
    for name, value in wanted.items():
        if getattr(config, name) != value:
            raise CheckpointError(
                f"this model has {name} {getattr(config, name)!r}; {program} knows Llama models only "
                f"({', '.join(f'{k} {v!r}' for k, v in wanted.items())})"
            )
