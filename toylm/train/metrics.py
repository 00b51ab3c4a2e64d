"""metrics.jsonl: one JSON object a line, appended as a run goes on.

    {"step": 50, "loss": 5.9, "learning_rate": 0.001, "gradient_norm": 0.8, "tokens": 102400, "tokens_per_second": 31000, ...}
    {"step": 250, "held_out_loss": 3.9, "perplexity": 49.4, "bits_per_byte": 1.61, ...}
    {"step": 2500, "finished": "steps", "peak_memory_bytes": 310000000, ...}

Losses are nats per token, times seconds.
"""

import json
import math
from pathlib import Path

from ..errors import CheckpointError
from ..schema import check, number, optional, text, whole

_NUMBERS = ("loss", "held_out_loss", "perplexity", "bits_per_byte", "learning_rate", "seconds")
_FORM = {"step": whole(0), "finished": optional(text()), "peak_memory_bytes": optional(whole(0)),
         **dict.fromkeys(_NUMBERS, optional(number()))}  # fmt: skip


def append(path, record):
    """Append one record. Numbers that are not finite become null: JSON has none."""
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(clean, ensure_ascii=False) + "\n")


def read(path):
    """All whole records of a metrics.jsonl, in order; a line torn by a killed process, or damaged, is left out."""
    records = []
    path = Path(path)
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            records.append(check(json.loads(line), _FORM, path))
        except (ValueError, RecursionError, CheckpointError):
            continue
    return records


def last_end(path):
    """The step at which the run last came to its end, or None: after a kill or an interrupt it has not."""
    records = read(path)
    ended = records and records[-1].get("finished") not in (None, "interrupted")
    return records[-1].get("step") if ended else None
