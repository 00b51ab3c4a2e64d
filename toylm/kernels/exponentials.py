"""Exponentials of a row and their sum, which softmax and cross-entropy share.

By address and in place: where input and output differ, LLVM would have to prove that they do not overlap.
"""

from .fastmath import exp
from .jit import jit
from .simd import load, store


@jit
def exponentials(zero, x, n, peak):
    """x[:n] = exp(x[:n] - peak), returns their sum; x is an address."""
    sum_of_all = zero
    for j in range(n):
        store(exp(load(zero, x, j) - peak), x, j)
    for j in range(n):  # a loop of its own: together they take longer
        sum_of_all += load(zero, x, j)
    return sum_of_all


@jit
def sum_of_exponentials(zero, x, n, peak):
    """The sum of exp(x[:n] - peak); x is an address."""
    sum_of_all = zero
    for j in range(n):
        sum_of_all += exp(load(zero, x, j) - peak)
    return sum_of_all


@jit
def scale_row(zero, x, n, factor):
    """x[:n] *= factor; x is an address."""
    for j in range(n):
        store(load(zero, x, j) * factor, x, j)
