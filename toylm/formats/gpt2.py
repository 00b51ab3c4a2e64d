"""GPT-2 as transformers knows it: LayerNorm, learned positions, biases everywhere, weights (inputs, outputs) as here."""

from ..config import ModelConfig
from .tensors import Entry, upright, vector

# activation_function there -> feed_forward here; the first name of each is written
ACTIVATIONS = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu2": "relu2", "silu": "silu", "swish": "silu"}
TYPES = ("gpt2",)
PREFIX = "transformer."
IGNORED = (".attn.bias", ".attn.masked_bias")  # buffers that old files hold


def describes(config):
    """Whether GPT2LMHeadModel has this architecture. Biases that a model lacks are written as zeros."""
    whole = config.n_kv_heads == config.n_heads and config.d_q == config.d_model
    return config.norm == "layer" and config.positions == "learned" and config.feed_forward != "swiglu" and whole


def to_config(config):
    """The architecture's keys of config.json."""
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_ctx": config.context_length,  # some readers require it
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_ff,
        "activation_function": next(name for name, here in ACTIVATIONS.items() if here == config.feed_forward),
        "layer_norm_epsilon": config.norm_eps,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "tie_word_embeddings": config.tied,
        **({} if config.biases else {"biases": False}),  # theirs are zeros, and ours are none
    }


def from_config(fields, refuse):
    """The ModelConfig of a config.json. `refuse(key, value, supported)` raises CheckpointError."""
    activation = fields.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        refuse("activation_function", activation, tuple(ACTIVATIONS))
    wanted = dict(scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, add_cross_attention=False)
    for key, value in wanted.items():
        if fields.get(key, value) != value:
            refuse(key, fields[key], (value,))
    return ModelConfig(
        vocab_size=fields["vocab_size"],
        d_model=fields["n_embd"],
        d_ff=fields.get("n_inner") or 4 * fields["n_embd"],
        n_heads=fields["n_head"],
        n_layers=fields["n_layer"],
        context_length=fields["n_positions"],
        positions="learned",
        norm_eps=float(fields.get("layer_norm_epsilon", 1e-5)),
        norm="layer",
        feed_forward=ACTIVATIONS[activation],
        biases=bool(fields.get("biases", True)),
        tied=bool(fields.get("tie_word_embeddings", True)),
        init=fields.get("init", "normal"),
    )


def entries(config):
    """The tensors of a model.safetensors."""
    d, V, ff = config.d_model, config.vocab_size, config.d_ff
    found = [
        upright("transformer.wte.weight", "token_embed", V, d),
        upright("transformer.wpe.weight", "pos_embed", config.context_length, d),
        vector("transformer.ln_f.weight", "norm_final_gamma", d),
        vector("transformer.ln_f.bias", "norm_final_beta", d),
    ]
    if not config.tied:
        found.append(upright("lm_head.weight", "unembed", V, d))
    attention = [("attn.c_attn", "qkv", d, 3 * d), ("attn.c_proj", "o", d, d)]
    layers = [*attention, ("mlp.c_fc", "ff1", d, ff), ("mlp.c_proj", "ff2", ff, d)]
    for i in range(config.n_layers):
        there, here = f"transformer.h.{i}.", f"blocks.{i}."
        for norm in ("1", "2"):
            found += [
                vector(f"{there}ln_{norm}.weight", f"{here}norm{norm}_gamma", d),
                vector(f"{there}ln_{norm}.bias", f"{here}norm{norm}_beta", d),
            ]
        for name, role, inputs, outputs in layers:
            found.append(upright(f"{there}{name}.weight", f"{here}w_{role}", inputs, outputs))
            found.append(Entry(f"{there}{name}.bias", f"{here}b_{role}" if config.biases else None, (outputs,)))
    return found
