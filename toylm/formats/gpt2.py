"""GPT-2 as transformers knows it: LayerNorm, learned positions, biases everywhere, weights (inputs, outputs) as here."""

from ..schema import flag, number, optional, text, whole
from .family import TransformerFamily, name_of, refuse, ungated
from .tensors import Entry, upright, vector


class GPT2(TransformerFamily):
    """GPT2LMHeadModel. Biases that a model lacks are written as zeros."""

    types = ("gpt2",)
    opens_in = "GPT2LMHeadModel"
    prefix = "transformer."
    ignored = (".attn.bias", ".attn.masked_bias")
    form = {
        **{name: whole(1) for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")},
        "n_inner": optional(whole(1)),
        "activation_function": optional(text()),
        "layer_norm_epsilon": optional(number(above=0)),
        "tie_word_embeddings": optional(flag()),
        "biases": optional(flag()),
        "init": optional(text()),
    }

    def to_fields(self, config):
        """See TransformerFamily."""
        return {
            "model_type": "gpt2",
            "architectures": [self.opens_in],
            "vocab_size": config.vocab_size,
            "n_positions": config.context_length,
            "n_ctx": config.context_length,  # some readers require it
            "n_embd": config.d_model,
            "n_layer": config.n_layers,
            "n_head": config.n_heads,
            "n_inner": config.d_ff,
            "activation_function": name_of(config.feed_forward, ungated()),
            "layer_norm_epsilon": config.norm_eps,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "tie_word_embeddings": config.tied,
            **({} if config.biases else {"biases": False}),  # theirs are zeros, and ours are none
        }

    def settings(self, fields, where):
        """See TransformerFamily."""
        activation = fields.get("activation_function", "gelu_new")
        if activation not in ungated():
            refuse(where, "activation_function", activation, tuple(ungated()))
        wanted = dict(scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, add_cross_attention=False)
        for key, value in wanted.items():
            if fields.get(key, value) != value:
                refuse(where, key, fields[key], (value,))
        d, heads = fields["n_embd"], fields["n_head"]
        return dict(
            vocab_size=fields["vocab_size"],
            d_model=d,
            d_ff=fields.get("n_inner", 4 * d),
            n_heads=heads,
            n_kv_heads=heads,
            d_head=None if d % heads else d // heads,
            n_layers=fields["n_layer"],
            context_length=fields["n_positions"],
            positions="learned",
            norm_eps=float(fields.get("layer_norm_epsilon", 1e-5)),
            norm="layer",
            feed_forward=ungated()[activation],
            biases=fields.get("biases", True),
            tied=fields.get("tie_word_embeddings", True),
        )

    def entries(self, config):
        """See TransformerFamily."""
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
