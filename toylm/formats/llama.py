"""Llama and Arcee as transformers knows them: RMSNorm, rotary positions (rotate-half), SwiGLU (Llama) or one activation (Arcee).

Every linear layer is (outputs, inputs) there. A tied file holds no lm_head.
"""

from ..errors import CheckpointError
from ..kinds import FEED_FORWARDS
from ..schema import flag, number, optional, text, whole
from .family import TransformerFamily, name_of, refuse, ungated
from .tensors import matrix, upright, vector

_SCHEME = {"rope_type": optional(text()), "type": optional(text()), "rope_theta": optional(number(above=0)),
           "factor": optional(number()), "partial_rotary_factor": optional(number())}  # fmt: skip
_NO_SCALING = {*_SCHEME, "original_max_position_embeddings"}  # keys that say nothing more where the scheme is "default"


class Llama(TransformerFamily):
    """LlamaForCausalLM."""

    types = ("llama",)
    opens_in = "LlamaForCausalLM"
    prefix = "model."
    ignored = ("rotary_emb.inv_freq",)
    form = {
        **{name: whole(1) for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                                       "num_attention_heads", "max_position_embeddings")},
        **{name: optional(whole(1)) for name in ("num_key_value_heads", "head_dim")},
        **{name: optional(flag()) for name in ("tie_word_embeddings", "attention_bias", "mlp_bias")},
        **{name: optional(number(above=0)) for name in ("rms_norm_eps", "rope_theta", "partial_rotary_factor")},
        **{name: optional(_SCHEME) for name in ("rope_parameters", "rope_scaling")},
        **{name: optional(text()) for name in ("hidden_act", "init")},
    }  # fmt: skip
    # What a config.json without the key means.
    eps = 1e-6
    activation = "silu"

    def activations(self):
        """hidden_act there -> feed_forward here."""
        return dict.fromkeys(FEED_FORWARDS["swiglu"].hugging_face, "swiglu")

    def to_fields(self, config):
        """See TransformerFamily."""
        return {
            "model_type": self.types[0],
            "architectures": [self.opens_in],
            "vocab_size": config.vocab_size,
            "hidden_size": config.d_model,
            "intermediate_size": config.d_ff,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_kv_heads,
            "head_dim": config.d_head,
            "max_position_embeddings": config.context_length,
            "rms_norm_eps": config.norm_eps,
            "hidden_act": name_of(config.feed_forward, self.activations()),
            # Both spellings: transformers 5 reads rope_parameters, 4 reads rope_theta and would fall back to 10000 silently.
            "rope_theta": config.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
            "tie_word_embeddings": config.tied,
            "attention_bias": config.biases,
            "mlp_bias": config.biases,
        }

    def settings(self, fields, where):
        """See TransformerFamily."""
        activation, activations = fields.get("hidden_act", self.activation), self.activations()
        if activation not in activations:
            refuse(where, "hidden_act", activation, tuple(activations))
        biases = fields.get("attention_bias", False), fields.get("mlp_bias", False)
        if biases[0] != biases[1]:
            refuse(where, "attention_bias and mlp_bias", biases, ("both true", "both false"))
        return dict(
            vocab_size=fields["vocab_size"],
            d_model=fields["hidden_size"],
            d_ff=fields["intermediate_size"],
            n_heads=fields["num_attention_heads"],
            n_layers=fields["num_hidden_layers"],
            context_length=fields["max_position_embeddings"],
            positions="rope",
            rope_theta=_rope_theta(fields, where),
            norm_eps=float(fields.get("rms_norm_eps", self.eps)),
            norm="rms",
            feed_forward=activations[activation],
            biases=biases[0],
            n_kv_heads=fields.get("num_key_value_heads"),
            d_head=fields.get("head_dim"),
            tied=fields.get("tie_word_embeddings", False),
        )

    def entries(self, config):
        """See TransformerFamily."""
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


class Arcee(Llama):
    """ArceeForCausalLM: Llama with one activation in place of the gated pair."""

    types = ("arcee",)
    opens_in = "ArceeForCausalLM"
    eps = 1e-5
    activation = "relu2"

    def activations(self):
        """hidden_act there -> feed_forward here."""
        return {"gelu_pytorch_tanh": "gelu", **ungated()}  # that name is written


def _rope_theta(fields, where):
    """The base of the rotary frequencies. Raises CheckpointError where positions are scaled, or only part of a head turns."""
    rope, scaling = ({k: v for k, v in fields.get(key, {}).items() if v is not None} for key in ("rope_parameters", "rope_scaling"))
    for source in (rope, scaling):
        scheme = source.get("rope_type", source.get("type", "default"))
        if scheme not in ("default", "linear") or source.get("factor", 1) != 1:  # linear by a factor of 1 is none
            refuse(where, "rope scaling", scheme, ("none",))
    if scaling.keys() - _NO_SCALING:
        refuse(where, "rope_scaling", scaling, ("none",))
    for source in (rope, scaling, fields):
        if source.get("partial_rotary_factor", 1) != 1:
            refuse(where, "partial_rotary_factor", source["partial_rotary_factor"], (1.0,))
    return float(rope.get("rope_theta", scaling.get("rope_theta", fields.get("rope_theta", 10000.0))))


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


LLAMA = Llama()


def check_expressible(config, program):
    """Raise CheckpointError unless `config` is a Llama model without biases, which `program` knows alone."""
    for name in (*LLAMA.lost(config), *(["biases"] if config.biases else [])):
        raise CheckpointError(
            f"this model has {name} {getattr(config, name)!r}; {program} knows Llama models only (rms norm, rope positions, "
            f"swiglu, no biases): toylm train --config llama makes one"
        )
