"""Hooks that collect what the modules of a PyTorch model put out."""

import numpy as np

from ..errors import UsageError


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
            raise UsageError(f"the model has no module {missing[0]!r}; it has {', '.join(list(modules)[1:9])} ...")
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
