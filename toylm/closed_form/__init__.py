"""One-shot (closed-form) fitting: a model is solved for, not trained.

    >>> from toylm.closed_form import Ridge, instant
    >>> model = Ridge(lambda_reg=1e-3).fit(X, y); model.predict(X_test); model.solver_, model.rcond_
    >>> instant(X, y, X_test, arch="elm", hidden_units=256)

Estimators follow scikit-learn's conventions without needing it. Importing this package loads no scipy and no numba.
`python -m toylm.instant` runs the identities that all of this must satisfy.
"""

from ..lazy import lazy

# Public name -> the module that defines it; resolved at first use (PEP 562).
_HOMES = {
    name: module
    for module, names in {
        "estimator": "RankWarning PathEdgeWarning ConflictingTargets",
        "linear": "LinearRegression Ridge",
        "ridge_path": "RidgePath loo_residuals",
        "kernel_functions": "kernel_matrix",
        "kernel_ridge": "KernelRidge KernelRidgePath",
        "elm": "ELM DeepELM",
        "autoencoder": "LinearAutoencoder",
        "deep_linear": "DeepLinear balanced_factors reduced_rank",
        "dictionary": "DictionaryModel",
        "barycentric": "Barycentric1D barycentric_weights chebyshev_lobatto",
        "whitening": "Whitening",
        "collapse": "Collapse CollapseReport collapse_of",
        "gram": "GramAccumulator",
        "solvers": "least_squares",
        "normal_equations": "Solution",
        "row_sources": "ArraySource StreamSource",
        "facade": "instant ipredict make_estimator ARCHITECTURES",
        "transformer": "ridge_fit_closed_form krr_fit krr_predict BlockCollapseTrainer compute_qkv_attn "
        "solve_output_projection_from_attn solve_attention_output_projection lora_from_residual_svd "
        "lora_from_activations apply_lora_update_inplace LoRATrainer",
        "feature_head": "ClosedFormHead",
        "hooks": "ActivationHooks",
        "task_models": "CopyModel BracketDepthModel ReverseModel RunningSumModel solve_task",
        "identities": "run_battery",
    }.items()
    for name in names.split()
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazy(__name__, _HOMES)
