"""metrics.jsonl: one JSON object a line, appended as a run goes on.

    {"step": 50, "loss": 5.9, "learning_rate": 0.001, "gradient_norm": 0.8, "tokens": 102400, "tokens_per_second": 31000, ...}
    {"step": 250, "held_out_loss": 3.9, "perplexity": 49.4, "bits_per_byte": 1.61, ...}
    {"step": 2500, "finished": "steps", "peak_memory_bytes": 310000000, ...}

Losses are nats per token, times seconds.
"""

import json
import math
from pathlib import Path


def append(path, record):
    """Append one record. Numbers that are not finite become null: JSON has none."""
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(clean, ensure_ascii=False) + "\n")


def read(path):
    """All whole records of a metrics.jsonl, in order; a line torn by a killed process is left out."""
    records = []
    path = Path(path)
    if not path.is_file():
        return records
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
    return records


def last_end(path):
    """The step at which the run last came to its end, or None: after a kill or an interrupt it has not."""
    records = read(path)
    ended = records and records[-1].get("finished") not in (None, "interrupted")
    return records[-1].get("step") if ended else None
