"""footage: from a folder of raw videos to an image backbone, without labels.

    footage.ingest(["videos/"], "store/")
    footage.train(footage.recipe("tiny"), store="store/", out="runs/first")

Every verb of the command line has a twin here. Nothing heavy is imported before it is used.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from footage.demo import demo as demo
    from footage.embed import embed as embed
    from footage.evaluate.verb import evaluate as evaluate
    from footage.export import export as export
    from footage.ingest import ingest as ingest
    from footage.model import load as load
    from footage.recipes import recipe as recipe
    from footage.report import report as report
    from footage.store import Store as Store
    from footage.train import train as train

_HOMES = {
    "Store": "footage.store",
    "demo": "footage.demo",
    "embed": "footage.embed",
    "evaluate": "footage.evaluate.verb",
    "export": "footage.export",
    "ingest": "footage.ingest",
    "load": "footage.model",
    "recipe": "footage.recipes",
    "report": "footage.report",
    "train": "footage.train",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 (functions and classes alike)
    if name not in _HOMES:
        raise AttributeError(f"module 'footage' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


class _Package(ModuleType):
    """Keeps `footage.ingest` the verb: importing a module would bind the module in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted(__all__)
