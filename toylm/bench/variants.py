"""How far apart loss and gradients are between the ways that a step can be computed, all from the same weights and tokens.

  toylm bench variants
  toylm bench variants --preset small

Each way is a process of its own. The yardstick is the step in float64. The loss is held against it by its relative error, the
gradients by the length of the error over the length of the gradient, of all parameters together and of the worst parameter.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .presets import NOT_RECIPES, PRESETS
from .startup import environment

BAR = 1e-5  # of loss and of all gradients together, in float32
# name -> (precision, threads: None for all, environment, whether small weights get their gradients inside larger kernels)
VARIANTS = {
    "float64": ("float64", None, {}, True),
    "float32": ("float32", None, {}, True),
    "float32, one thread": ("float32", 1, {}, True),
    "float32, small weights like large ones": ("float32", None, {}, False),
    "float32, products by BLAS, nothing fused": ("float32", None, {"TOYLM_MATMUL": "blas"}, True),
    "bf16": ("bf16", None, {}, True),
}


def add_arguments(parser):
    """The arguments of `toylm bench variants`."""
    parser.add_argument("--preset", default="nano", choices=list(PRESETS),
                        help=f"shape of the model and the batch; {NOT_RECIPES} (default: nano)")  # fmt: skip
    parser.add_argument("--json", default=None, metavar="FILE", help="write every number there")


def one_step(shape, precision, threads, small=True):
    """(loss, flat gradients, {name: slice of them}) of a `Shape` in `precision`, at the weights that training starts from.

    threads: their number, None for all cores. small: False computes the gradients of small weights as those of large ones, in
    products of their own.
    """
    import numpy as np

    import toylm

    from ..kernels import products

    if not small:
        products.WEIGHT_BYTES = 0
    config = toylm.ModelConfig(shape.vocab_size, shape.d_model, shape.d_ff, shape.n_heads, shape.n_layers, shape.length)
    model = toylm.TransformerLM(config, seed=0, precision=precision, threads=threads)
    batch = np.random.default_rng(0).integers(0, shape.vocab_size, (shape.batch, shape.length + 1))
    loss = model.loss_and_gradients(batch[:, :-1].copy(), batch[:, 1:].copy())
    ends = np.cumsum([model.gradients[name].flat.size for name in model.gradients.names]).tolist()
    pieces = {name: slice(start, stop) for name, start, stop in zip(model.gradients.names, [0, *ends], ends)}
    return float(loss), model.gradients.flat.astype(np.float64), pieces


def errors(found, exact):
    """{"loss", "gradients", "worst", "parameter"}: relative errors of one `one_step` against another."""
    import numpy as np

    (loss, gradients, pieces), (exact_loss, exact_gradients, _) = found, exact

    def relative(part):
        return float(np.linalg.norm(gradients[part] - exact_gradients[part]) / np.linalg.norm(exact_gradients[part]))

    each = {name: relative(part) for name, part in pieces.items()}
    worst = max(each, key=each.get)
    return {
        "loss": abs(loss - exact_loss) / abs(exact_loss),
        "gradients": relative(slice(None)),
        "worst": each[worst],
        "parameter": worst,
    }


def _in_process(name, shape, folder):
    """`one_step` of a variant, None where this machine cannot compute it (the reason is printed)."""
    import numpy as np

    precision, threads, changes, small = VARIANTS[name]
    task = json.dumps({"shape": dataclasses.asdict(shape), "precision": precision, "threads": threads, "small": small})
    file = Path(folder, "step.npz")
    variables = {**environment(), **changes}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "toylm.bench.variants", task, str(file)], env=variables, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        print(f"skipped {name}: {reason.removeprefix('ValueError: ')}", flush=True)
        return None
    with np.load(file) as stored:
        ends = stored["ends"].tolist()
        pieces = {str(key): slice(start, stop) for key, start, stop in zip(stored["names"], [0, *ends], ends)}
        return float(stored["loss"]), stored["gradients"], pieces


def run(args):
    """Returns the exit status: 1 where a float32 variant is further off than BAR."""
    shape = PRESETS[args.preset]
    print(f"{args.preset}: {shape}; relative errors against float64 (bar for float32: {BAR:g})")
    print(f"{'':42}{'loss':>10}{'gradients':>11}{'worst parameter':>17}")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        exact = _in_process("float64", shape, folder)
        if exact is None:
            return 1
        for name in list(VARIANTS)[1:]:
            found = _in_process(name, shape, folder)
            if found is None:
                continue
            r = results[name] = errors(found, exact)
            r["within"] = None if name == "bf16" else max(r["loss"], r["gradients"]) <= BAR
            mark = "" if r["within"] is None else "kept" if r["within"] else "MISSED"
            print(f"{name:42}{r['loss']:10.1e}{r['gradients']:11.1e}{r['worst']:10.1e} {r['parameter']}  {mark}", flush=True)
    if args.json:
        from ..files import write_json

        write_json(args.json, {"preset": args.preset, "bar": BAR, "variants": results})
    return 1 if any(r["within"] is False for r in results.values()) else 0


def main(task, file):
    """What the process of a variant does."""
    import numpy as np

    from .presets import Shape

    task = json.loads(task)
    loss, gradients, pieces = one_step(Shape(**task["shape"]), task["precision"], task["threads"], task["small"])
    np.savez(file, loss=loss, gradients=gradients, names=list(pieces), ends=[part.stop for part in pieces.values()])


if __name__ == "__main__":
    main(*sys.argv[1:])
