"""The house has floors: a module imports from its own floor and those below it, never upwards, never in a circle.

All imports are read, those inside functions too. Floors stand in FLOORS, from the ground up; see docs/design.md.
"""

import ast
from functools import cache
from pathlib import Path

import toylm

ROOT = Path(toylm.__file__).parent
FLOORS = (
    "mat parameters kinds config fields errors checks schema files resources lazy invocation console help",  # ground
    "reference",
    "kernels threads host",
    "optimizers",
    "model",
    "counts",
    "data",
    "formats",
    "evaluation",
    "closed_form",
    "fitters",
    "dissect",
    "train",
    "distributed",
    "compare",
    "bench",
    "serve",
    "commands",
    "cli",
)
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names.split()}
# Conveniences that reach up, each by name: (module, imported module, why).
UPWARD = {
    ("mat", "kernels"): "products of Mats run the kernel of all products",
    ("model.transformer", "formats"): "save and load of a model",
    ("counts.language_model", "formats"): "save of a model",
    ("reference", "commands"): "its __main__ prints the engine's loss beside its own",
}
# Imports inside functions: those of a verb's `run`, so that `toylm VERB -h` is quick, and these: (module, imported): why.
INSIDE = {
    ("closed_form.row_sources", "closed_form.gram_kernels"): "a small fit loads no Numba",
    ("closed_form.ridge_path", "closed_form.loo_kernels"): "a small fit loads no Numba",
    ("formats.counted", "counts.files"): "toylm info loads no Numba",
    ("formats.family", "model.transformer"): "toylm info loads no Numba",
    ("commands.evaluate", "train.setup"): "toylm evaluate -h loads no Numba",
    ("commands.compare", "compare.contest"): "toylm compare -h loads no Numba",
    ("commands.fit_documents", "commands.fitted_runs"): "toylm fit -h loads no Numba",
    ("commands.fit_documents", "counts.language_model"): "toylm fit -h loads no Numba",
    ("commands.fit_documents", "fitters.gram_head"): "toylm fit -h loads no Numba",
    ("commands.fit_documents", "fitters.output_heads"): "toylm fit -h loads no Numba",
    ("commands.fit_documents", "formats.checkpoint"): "toylm fit -h loads no Numba",
    ("bench.gallery", "bench.pictures"): "matplotlib is an extra",
    ("bench.scaling", "bench.pictures"): "matplotlib is an extra",
}


@cache
def modules():
    """Dotted name below toylm -> syntax tree; entry points (`python -m toylm.x`) are not part of the house."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__main__" or parts in (("generate",), ("evaluate",)):
            continue
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@cache
def imports_of(name):
    """(imported module below toylm, the function it stands in or None), for every import of toylm's own in a module."""
    return list(_imports(name, modules()[name]))


def _statements(node, function=None):
    """(statement, the innermost function it stands in or None) of a tree, without looking into expressions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield child, function
            inner = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
            yield from _statements(child, inner)


def _imports(name, tree):
    is_package = (ROOT / Path(*name.split(".")) / "__init__.py").is_file() if name else True
    package = name.split(".") if is_package and name else name.split(".")[:-1]
    for node, function in _statements(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name.removeprefix("toylm").lstrip(".") for alias in node.names if alias.name.split(".")[0] == "toylm"]
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "toylm"):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = (node.module or "") if node.level else node.module.removeprefix("toylm").lstrip(".")
            start = ".".join([*base, *filter(None, [module])])
            targets = []
            for alias in node.names:
                longer = f"{start}.{alias.name}".lstrip(".")
                targets.append(longer if longer in modules() else start)
        else:
            continue
        for target in targets:
            yield target, function


def height(name):
    return HEIGHT.get(name.split(".")[0])


def test_every_module_has_a_floor():
    homeless = {name for name in modules() if name and height(name) is None}
    assert homeless == set()


def test_no_import_runs_up_a_floor():
    up = set()
    for name in modules():
        for target, _ in imports_of(name):
            if not name or not target:
                continue
            allowed = (name, target.split(".")[0]) in UPWARD
            if height(target) > height(name) and not allowed:
                up.add(f"{name} -> {target}")
    assert sorted(up) == []


def test_there_is_no_circle():
    graph = {name: set() for name in modules()}
    for name in modules():
        for target, _ in imports_of(name):
            if (name, target.split(".")[0]) not in UPWARD and target in graph and target != name and target:
                graph[name].add(target)
    state, circles = {}, []

    def visit(name, path):
        state[name] = "open"
        for target in sorted(graph[name]):
            if state.get(target) == "open":
                circles.append(" -> ".join([*path[path.index(target) :], target]) if target in path else f"{name} -> {target}")
            elif target not in state:
                visit(target, [*path, target])
        state[name] = "done"

    for name in sorted(graph):
        if name not in state:
            visit(name, [name])
    assert circles == []


def test_imports_stand_at_the_top_of_their_file():
    found = {
        (name, target)
        for name in modules()
        for target, function in imports_of(name)
        if function and not (function == "run" and name.startswith("commands."))
    }
    upward = {(name, target) for name, target in found if (name, target.split(".")[0]) in UPWARD}
    assert sorted(found - INSIDE.keys() - upward) == []


def test_the_lists_hold_nothing_that_is_gone():
    found = {(name, target) for name in modules() for target, function in imports_of(name) if function}
    assert sorted(INSIDE.keys() - found) == []
    upward = {(name, target.split(".")[0]) for name in modules() for target, _ in imports_of(name)}
    assert sorted(UPWARD.keys() - upward) == []
