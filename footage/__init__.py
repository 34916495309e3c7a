"""footage: train an image backbone on raw, unlabelled video.

    footage.ingest("videos/", "store/")
    footage.train("vivi-ex4-tiny", store="store/", out="runs/first")

Every command has a function of the same name here. Nothing heavy is imported before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from footage.backbone import Preprocessing as Preprocessing
    from footage.model import load as load
    from footage.python_api import train as train
    from footage.recipes import recipe as recipe
    from footage.store import Store as Store
    from footage.verbs.demo import demo as demo
    from footage.verbs.embed import embed as embed
    from footage.verbs.evaluate import evaluate as evaluate
    from footage.verbs.export import export as export
    from footage.verbs.ingest import ingest as ingest
    from footage.verbs.pocket import build_pocket as build_pocket
    from footage.verbs.profile import profile as profile
    from footage.verbs.report import report as report

_HOMES = {
    "Preprocessing": "footage.backbone",
    "Store": "footage.store",
    "build_pocket": "footage.verbs.pocket",
    "demo": "footage.verbs.demo",
    "embed": "footage.verbs.embed",
    "evaluate": "footage.verbs.evaluate",
    "export": "footage.verbs.export",
    "ingest": "footage.verbs.ingest",
    "load": "footage.model",
    "profile": "footage.verbs.profile",
    "recipe": "footage.recipes",
    "report": "footage.verbs.report",
    "train": "footage.python_api",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 (functions and classes alike)
    if name not in _HOMES:
        raise AttributeError(f"module 'footage' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
