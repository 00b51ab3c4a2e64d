"""Models of another shape with the same weights: an output matrix of its own, fewer blocks; and a model that takes one on."""

import contextlib

from ..errors import UsageError
from ..model.transformer import TransformerLM


@contextlib.contextmanager
def unchanged_on_error(model):
    """What is raised inside leaves `model` with the shape and the weights that it came with, and gradients of zero."""
    before, weights = dict(model.__dict__), model.parameters.flat.copy()
    try:
        yield
    except BaseException:
        model.__dict__.clear()
        model.__dict__.update(before)
        model.parameters.flat[:] = weights
        model.gradients.zero_()
        raise


def become(model, other):
    """`model` takes on the shape, the weights and everything else of `other`; views of its old parameters stay as they were."""
    if model is not other:
        model.__dict__.clear()
        model.__dict__.update(other.__dict__)
    return model


def rebuilt(model, names=None, **changes):
    """A new model of the configuration with `changes`; its parameters are those of `model` that have the same shape.

    names: a callable from a name there to the name here of the parameter it takes the values of (None: the same name). What
    has no counterpart keeps its initial values.
    """
    new = TransformerLM(model.config.replace(**changes), seed=0, precision=model.precision)
    for name, mat in new.parameters.items():
        source = name if names is None else names(name)
        if source in model.parameters and model.parameters[source].shape == mat.shape:
            mat.array[:] = model.parameters[source].array
    new.counts = model.counts
    return new


def untie(model):
    """Give `model` an output matrix of its own, at first equal to the embedding, unless it has one; returns model."""
    if not model.config.tied:
        return model
    new = rebuilt(model, tied=False)
    new.parameters["unembed"].array[:] = model.parameters["token_embed"].array
    return become(model, new)


def drop_blocks(model, numbers):
    """Take the blocks `numbers` out of `model`; the others move up. Raises UsageError where none would be left."""
    kept = [i for i in range(model.config.n_layers) if i not in numbers]
    if not kept:
        raise UsageError(f"these are all {model.config.n_layers} blocks of the model: one must stay")

    def source(name):
        if not name.startswith("blocks."):
            return name
        _, index, role = name.split(".", 2)
        return f"blocks.{kept[int(index)]}.{role}"

    return become(model, rebuilt(model, source, n_layers=len(kept)))


def copy_of(model):
    """A model with the same weights in memory of its own."""
    return rebuilt(model)
