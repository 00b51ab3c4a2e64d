"""Heads on frozen features in closed form, and hooks that collect the features."""

import numpy as np

from .elm import ELM
from .estimator import as_matrix, check_choice, not_fitted
from .kernel_ridge import KernelRidge
from .linear import Ridge


class ClosedFormHead:
    """A head on frozen features: ridge, kernel ridge or ELM, for numbers or for classes.

    Integer targets (n,) are classes: one-hot targets are fitted and predict returns the class of the largest score. This is
    least squares, not cross-entropy: the scores are no probabilities (`predict_proba` clips and renormalises them, which
    costs 0.3 to 0.4 nats a token against a cross-entropy head on the same features).

    kind: "ridge", "kernel_ridge" or "elm"; keywords: those of Ridge, KernelRidge or ELM.
    """

    KINDS = {"ridge": Ridge, "kernel_ridge": KernelRidge, "elm": ELM}

    def __init__(self, kind="ridge", **keywords):
        check_choice(kind, "kind", tuple(self.KINDS))
        self.kind = kind
        self.estimator = self.KINDS[kind](**keywords)

    def fit(self, features, targets):
        """features (n, d); targets: classes (n,) int, or numbers (n,) or (n, k)."""
        features, targets = as_matrix(features, "features"), np.asarray(targets)
        classes = None
        if targets.dtype.kind in "iu" and targets.ndim == 1:
            classes, index = np.unique(targets, return_inverse=True)
            targets = np.eye(len(classes))[index]
        self.estimator.fit(features, targets)
        self.classes_ = classes
        return self

    def scores(self, features):
        """What the estimator predicts: (n, classes) for classes."""
        if not hasattr(self, "classes_"):
            raise not_fitted(self)
        return self.estimator.predict(as_matrix(features, "features"))

    def predict(self, features):
        """Classes (n,), or numbers like the targets of fit."""
        scores = self.scores(features)
        return scores if self.classes_ is None else self.classes_[scores.argmax(axis=1)]

    def predict_proba(self, features, floor=1e-4):
        """Scores clipped to at least `floor` and divided by their sum, (n, classes)."""
        if hasattr(self, "classes_") and self.classes_ is None:
            raise ValueError("predict_proba needs a head that was fitted to classes (integer targets)")
        clipped = np.maximum(self.scores(features), floor)
        return clipped / clipped.sum(axis=1, keepdims=True)


class ActivationHooks:
    """Collects what modules of a PyTorch model put out, as NumPy arrays, while the `with` block runs.

        with ActivationHooks(model, ["transformer.h.0.mlp"]) as hooks:
            model(tokens)
        hooks["transformer.h.0.mlp"]        # list of arrays, one a call

    Nothing of PyTorch is imported: any object with named_modules() and register_forward_hook() will do. toylm's own models
    need no hooks: read `model.activations`.
    """

    def __init__(self, model, names):
        modules = dict(model.named_modules())
        missing = [name for name in names if name not in modules]
        if missing:
            raise ValueError(f"the model has no module {missing[0]!r}; it has {', '.join(list(modules)[1:9])} ...")
        self._modules = {name: modules[name] for name in names}
        self._collected = {name: [] for name in names}
        self._handles = []

    def __enter__(self):
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._collect(name)))
        return self

    def __exit__(self, *error):
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __getitem__(self, name):
        return self._collected[name]

    def _collect(self, name):
        def hook(module, inputs, output):
            first = output[0] if isinstance(output, (tuple, list)) else output
            if hasattr(first, "detach"):
                first = first.detach().cpu()
                # NumPy has no bfloat16.
                first = (first.float() if str(first.dtype) == "torch.bfloat16" else first).numpy()
            self._collected[name].append(np.array(first))  # a copy: the module may reuse its buffer

        return hook
