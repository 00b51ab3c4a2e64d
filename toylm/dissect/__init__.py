"""Taking a trained model apart: residual attention and block coupling, each beside controls that can say no.

    from toylm.dissect import residual, coupling
    result = residual(model, tokens, end_id=tokenizer.end_id)     # tokens: 1-D ids of a text
    result.table(), result.verdicts(), result.to_dict()

`toylm residual RUN [TEXT]` and `toylm coupling RUN PROMPTS` do the same and draw pictures.
"""

from ..lazy import lazy

# Public name -> the module that defines it; resolved at first use (PEP 562).
_HOMES = {
    name: module
    for module, names in {
        "residual_analysis": "residual",
        "residual_result": "ResidualResult",
        "decomposition": "DEFINITIONS BASES Basis Moments split epsilon",
        "replacements": "TopK Full LowRank Predicted",
        "attention_heads": "Reading Runner",
        "measures": "attention_measures pairwise_overlap random_overlap",
        "intrinsic": "two_nn",
        "coupling_analysis": "coupling depth_coupling same_token_jacobians token_pairs VARIANTS",
        "coupling_result": "CouplingResult",
        "coupling_metric": "m_K coupling_matrix null_level Decomposed",
        "jacobian": "LinearisedBlock PARTS",
        "trajectories": "line_shape_score exponential_spacing growth",
    }.items()
    for name in names.split()
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazy(__name__, _HOMES)
