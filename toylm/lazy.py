"""Public names that are imported when they are first used (PEP 562), so that importing a package loads nothing heavy."""

import importlib
import sys


def lazy(package, homes):
    """The `__getattr__` and `__dir__` of a package whose public names live in its modules.

    package: the package's __name__; homes: public name -> module, relative to the package. A name once used stays in the
    package. An unknown name raises AttributeError, as it should.
    """

    def getattr_(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def dir_():
        return sorted({*homes, *(name for name in vars(sys.modules[package]) if name.startswith("__"))})

    return getattr_, dir_
