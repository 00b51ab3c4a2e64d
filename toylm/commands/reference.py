"""`python -m toylm.reference`: the plain model and the engine train side by side."""

import argparse

import toylm

from ..data import prepare
from ..reference import adamw_step, clip, loss_and_gradients


def main(argv=None):
    """Train a small model on the embedded stories with toylm/reference.py and the engine, from one start on the same batches."""
    parser = argparse.ArgumentParser(prog="python -m toylm.reference", description=main.__doc__)
    parser.add_argument("--steps", type=int, default=40, help="training steps (default: %(default)s)")
    parser.add_argument("--float64", action="store_true", help="compute in float64, where both agree to some 13 digits")
    args = parser.parse_args(argv)

    data = prepare("stories", tokenizer="byte", limit=300_000, progress=False)
    config = toylm.ModelConfig(data.vocab_size, d_model=64, n_heads=4, n_layers=2, context_length=64)
    model = toylm.TransformerLM(config, seed=0, precision="float64" if args.float64 else "float32")
    optimizer = toylm.AdamW(model.parameters, learning_rate=3e-3)
    parameters, gradients, m, v = (model.parameters.like() for _ in range(4))
    parameters.copy_from(model.parameters)

    print(f"{model!r}\n step   reference      engine  difference")
    batches, largest = data.batches(8, config.context_length), 0.0
    for step in range(1, args.steps + 1):
        tokens, targets = batches.next()
        loss = loss_and_gradients(parameters, gradients.zero_(), config, tokens, targets)
        clip(gradients.flat, 1.0)
        adamw_step(parameters.flat, gradients.flat, m.flat, v.flat, parameters.n_decayed, step, learning_rate=3e-3)

        model.gradients.zero_()
        engine_loss = model.loss_and_gradients(tokens, targets)
        optimizer.step(model.gradients, max_norm=1.0)
        largest = max(largest, abs(loss - engine_loss))
        print(f"{step:5d}  {loss:10.6f}  {engine_loss:10.6f}  {loss - engine_loss:10.1e}")
    print(f"largest difference of the losses: {largest:.1e} nats")
