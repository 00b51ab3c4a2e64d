"""Adapters: low-rank corrections W + A B beside a model's weights, in PEFT's file format.

A checkpoint keeps them in its folder adapter/, which peft opens: PeftModel.from_pretrained(model, "step-000500/adapter"). There a
linear layer's correction is lora_B · lora_A · (lora_alpha / r), (outputs, inputs), and q, k, v, or gate and up, are layers apart.
"""

import math
import re

import numpy as np

from ..errors import CheckpointError, MissingFileError
from ..files import write_json
from ..schema import Rule, number, optional, read_json, text, whole
from .families import family_of
from .safetensors_files import SafetensorsFile, save_tensors

FOLDER, FILES = "adapter", ("adapter_config.json", "adapter_model.safetensors")
EARLIER = "adapter.safetensors"  # of earlier versions, in the checkpoint's own folder: NAME.lora_a and NAME.lora_b
_NONE = optional(Rule(lambda value: not value, "empty: toylm reads plain LoRA"))
FORM = {
    "peft_type": text("LORA"), "r": whole(1), "lora_alpha": number(above=0), "bias": optional(text("none")),
    **dict.fromkeys(("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication"), _NONE),
}  # fmt: skip
_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>A|B)\.weight")


class Adapter:
    """Factors of low-rank corrections: `factors`, parameter name -> (A (d, r), B (r, k)), float32."""

    def __init__(self, factors):
        self.factors = {name: tuple(np.asarray(f, np.float32) for f in pair) for name, pair in factors.items()}

    @property
    def size(self):
        """Number of values."""
        return sum(A.size + B.size for A, B in self.factors.values())

    def merge(self, model, sign=1.0):
        """W += sign · A B for every matrix; returns model. Raises CheckpointError where a matrix is missing or of another shape."""
        for name, (A, B) in self.factors.items():
            if name not in model.parameters:
                raise CheckpointError(f"the adapter corrects {name}, which this model does not have")
            W = model.parameters[name].array
            if W.shape != (len(A), B.shape[1]):
                raise CheckpointError(f"the adapter corrects {name} by {len(A)} x {B.shape[1]} values, and it has {W.shape}")
            W += (sign * A.astype(np.float64) @ B.astype(np.float64)).astype(W.dtype, copy=False)
        return model

    def save(self, folder, config):
        """Write the adapter of a model of this ModelConfig as a folder that peft opens, where transformers opens the model.

        Raises CheckpointError for what PEFT's format has no place for: matrices outside of the blocks, unequal ranks.
        """
        ranks = {A.shape[1] for A, _ in self.factors.values()}
        outside = [name for name in self.factors if not re.match(r"blocks\.\d+\.w_", name)]
        if outside or len(ranks) != 1:
            what = f"{outside[0]} is no matrix of a block" if outside else f"its matrices have the ranks {sorted(ranks)}"
            raise CheckpointError(f"this adapter cannot be written in PEFT's format: {what}")
        family, tensors, modules = family_of(config), {}, []
        for module, entry in _modules(family, config).items():
            if entry.parameter in self.factors:
                A, B = self.factors[entry.parameter]
                modules.append(module)
                tensors[f"base_model.model.{module}.lora_A.weight"] = A.T
                tensors[f"base_model.model.{module}.lora_B.weight"] = B[:, entry.start : entry.start + entry.outputs].T
        rank = ranks.pop()
        fields = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": None, "r": rank, "lora_alpha": rank,
            "target_modules": modules, "lora_dropout": 0.0, "bias": "none", "inference_mode": True,
            "fan_in_fan_out": any(not entry.transposed for entry in _modules(family, config).values()),  # GPT-2's Conv1D
        }  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(folder / FILES[1], tensors)
        write_json(folder / FILES[0], fields)  # last: it is what makes the folder an adapter

    @classmethod
    def load(cls, folder, config):
        """The adapter in a folder, for a model of this ModelConfig. Raises FileNotFoundError or CheckpointError."""
        fields = read_json(folder / FILES[0], FORM)
        if not (folder / FILES[1]).is_file():
            raise MissingFileError(f"{folder} has no {FILES[1]}: not a whole adapter")
        file, modules, found = SafetensorsFile(folder / FILES[1]), _modules(family_of(config), config), {}
        for name in file.names:
            match = _TENSOR.fullmatch(name)
            if match is None or match["module"] not in modules:
                raise CheckpointError(f"{file.path} corrects {name}, which is no linear layer of a block of this model")
            found.setdefault(match["module"], {})[match["factor"]] = np.asarray(file.read(name), np.float32)
        scale = fields["lora_alpha"] / (math.sqrt(fields["r"]) if fields.get("use_rslora") else fields["r"])
        corrections = {}
        for module, pair in found.items():
            entry = modules[module]
            shapes = {factor: array.shape for factor, array in pair.items()}
            if shapes != {"A": (fields["r"], entry.inputs), "B": (entry.outputs, fields["r"])}:
                raise CheckpointError(f"{file.path}: the factors of {module} have the shapes {shapes}; they do not fit this model")
            corrections.setdefault(entry.parameter, []).append((entry, pair["A"].T, scale * pair["B"].T))
        columns = {name: sum(e.outputs for e in modules.values() if e.parameter == name) for name in corrections}
        return cls({name: _joined(parts, columns[name]) for name, parts in corrections.items()})


def _modules(family, config):
    """Name of a linear layer in the family's names -> Entry of its weight, for the matrices of the blocks."""
    entries = (entry for entry in family.entries(config) if re.match(r"blocks\.\d+\.w_", entry.parameter or ""))
    return {entry.name.removesuffix(".weight"): entry for entry in entries}


def _joined(parts, columns):
    """(A, B) of one of our matrices from those of the layers whose columns it holds, (Entry, A, B) each."""
    shared = all(np.array_equal(A, parts[0][1]) for _, A, _ in parts)
    B = np.zeros((sum(A.shape[1] for _, A, _ in parts[: 1 if shared else None]), columns), np.float32)
    row = 0
    for entry, A, part in parts:
        B[row : row + A.shape[1], entry.start : entry.start + entry.outputs] = part
        row += 0 if shared else A.shape[1]
    return (parts[0][1] if shared else np.hstack([A for _, A, _ in parts])), B


def read_kept(directory, config):
    """The Adapter that a checkpoint directory keeps beside its weights, or None. Raises CheckpointError where it is damaged."""
    if (directory / FOLDER).is_dir():
        return Adapter.load(directory / FOLDER, config)
    return _read_earlier(directory / EARLIER) if (directory / EARLIER).is_file() else None


def _read_earlier(path):
    file = SafetensorsFile(path)
    names = [name.removesuffix(".lora_a") for name in file.names if name.endswith(".lora_a")]
    if not names or any(f"{name}.lora_b" not in file.names for name in names):
        raise CheckpointError(f"{path} holds no whole pairs of low-rank factors")
    return Adapter({name: (file.read(f"{name}.lora_a"), file.read(f"{name}.lora_b")) for name in names})
