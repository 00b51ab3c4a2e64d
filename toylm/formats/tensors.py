"""Where a file's tensors lie in the model: a list of entries, and the three things done with it: checking, reading, writing.

A format is described once, as entries; which way the values travel is decided here.
"""

from typing import NamedTuple

import numpy as np

from ..errors import CheckpointError


class Entry(NamedTuple):
    """One tensor of a file: columns `start` to `stop` of the parameter `parameter`."""

    name: str  # in the file
    parameter: str | None  # here; None: the file wants a tensor that this model has not, zeros of `shape`
    shape: tuple  # in the file
    start: int = 0
    transposed: bool = False  # (outputs, inputs) in the file, (inputs, outputs) here
    interleaved: int = 0  # number of heads whose rows go (x0, y0, x1, y1, ...) in the file and (x0, x1, ..., y0, y1, ...) here

    @property
    def outputs(self):
        """Columns of the parameter that this tensor fills."""
        return self.shape[0] if self.transposed else self.shape[-1]

    @property
    def inputs(self):
        """Rows of a matrix."""
        return self.shape[1] if self.transposed else self.shape[0]

    def array(self, parameters):
        """The view of the parameter that this tensor fills, in the file's orientation."""
        view = parameters[self.parameter].array[:, self.start : self.start + self.outputs]
        return view[0] if len(self.shape) == 1 else view.T if self.transposed else view


def matrix(name, parameter, inputs, outputs, start=0, interleaved=0):
    """A linear layer's weight, (outputs, inputs) in the file."""
    return Entry(name, parameter, (outputs, inputs), start, True, interleaved)


def upright(name, parameter, rows, columns):
    """A matrix that has the same orientation in the file: an embedding, or GPT-2's Conv1D."""
    return Entry(name, parameter, (rows, columns))


def vector(name, parameter, size, start=0):
    """A gain, a shift or a bias."""
    return Entry(name, parameter, (size,), start)


def interleave(rows, n_heads):
    """Rows (H·h, ...) of half-split rotary pairs, (m, m + h/2), put side by side, (2m, 2m + 1)."""
    return rows.reshape(n_heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def deinterleave(rows, n_heads):
    """The inverse of `interleave`."""
    return rows.reshape(n_heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def to_tensors(entries, parameters):
    """File name -> C-ordered array of every entry."""
    return {entry.name: tensor(entry, parameters) for entry in entries}


def tensor(entry, parameters):
    """One entry's array, C-ordered (safetensors writes the buffer as it lies in memory: a view would come back scrambled)."""
    if entry.parameter is None:
        return np.zeros(entry.shape, parameters.dtype)
    array = entry.array(parameters)
    return np.ascontiguousarray(interleave(array, entry.interleaved) if entry.interleaved else array)


def expected(entries_of, config, shapes, where, header="config.json"):
    """Name -> Entry of the tensors that `config` asks for, where the file holds exactly these; else CheckpointError names one.

    To be called before a model is made: what a header says is not believed before the file is seen to hold as much. entries_of:
    config -> entries; shapes: name -> shape of the file's tensors; where: the file, header: what `config` was read from, for
    the message.
    """
    if config.n_layers > len(shapes):  # so that no list is made of layers that cannot be there
        raise CheckpointError(f"{where} holds {len(shapes)} tensors, too few for the {config.n_layers} layers of {header}")
    entries = {entry.name: entry for entry in entries_of(config)}
    missing = [name for name in entries if name not in shapes]
    extra = [name for name in shapes if name not in entries]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(f"{where} lacks the tensor {missing[0]}{others} that {header} asks for")
    if extra:
        others = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
        raise CheckpointError(f"{where} holds the tensor {extra[0]}{others}, which {header} knows no place for")
    for name, shape in shapes.items():
        if tuple(shape) != entries[name].shape:
            raise CheckpointError(
                f"{where}: {name} has shape {tuple(shape)}, {header} asks for {entries[name].shape}; they do not belong together"
            )
    return entries


def fill(entry, parameters, array, where):
    """Copy one tensor of the expected shape into the parameters. Raises CheckpointError for a wrong kind of number."""
    if array.dtype.kind != "f":
        raise CheckpointError(f"{where}: {entry.name} holds {array.dtype.name}, not floating-point numbers")
    if entry.parameter is None:
        if array.any():
            raise CheckpointError(f"{where}: {entry.name} should be all zeros, because config.json says biases false")
        return
    entry.array(parameters)[:] = deinterleave(array, entry.interleaved) if entry.interleaved else array
