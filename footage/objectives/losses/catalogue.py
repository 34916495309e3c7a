"""All loss functions of this package, for documentation, benchmarks and contract tests."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

from footage.objectives import losses


def functions() -> dict[str, Callable[..., Any]]:
    """Return the loss functions by name: those whose docstring states a formula.

    All options have defaults, so each function can be called with its tensors alone.
    """
    found: dict[str, Callable[..., Any]] = {}
    for entry in pkgutil.iter_modules(losses.__path__):
        module = importlib.import_module(f"{losses.__name__}.{entry.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and "Formula:" in (function.__doc__ or ""):
                found[name] = function
    return found
