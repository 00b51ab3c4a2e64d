"""The numbers that PyTorch gave for small models: tests/model/golden/*.npz, made by make_golden.py there."""

import json
from pathlib import Path

import numpy as np

import toylm

FOLDER = Path(__file__).resolve().parents[1] / "model" / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


def open_golden(name):
    """(ModelConfig, name -> array) of a file."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as opened:
        numbers = dict(opened)
    return toylm.ModelConfig.from_dict(json.loads(numbers.pop("config").tobytes())), numbers
