"""The list of plots. A plot is a function that casts and tells one story; `@plot` adds it to the list."""

from collections.abc import Callable

from toylm.data.stories.context import Story

Plot = Callable[[Story], None]

PLOTS: list[Plot] = []


def plot(function: Plot) -> Plot:
    """Registers a plot. The order of registration is part of what a seed means."""
    PLOTS.append(function)
    return function
