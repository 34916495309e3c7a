"""footage: train an image backbone on raw, unlabelled video.

    footage.ingest("videos/", "store/")
    footage.train("vivi-ex4-tiny", store="store/", out="runs/first")

Every command has a function of the same name here. Heavy packages are imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    """The version of the installed package."""
    from footage.commands.api import evaluate as evaluate
    from footage.commands.api import train as train
    from footage.commands.demo import demo as demo
    from footage.commands.doctor import doctor as doctor
    from footage.commands.duplicates import duplicates as duplicates
    from footage.commands.embed import embed as embed
    from footage.commands.export import export as export
    from footage.commands.ingest import ingest as ingest
    from footage.commands.mix import mix as mix
    from footage.commands.profile import profile as profile
    from footage.commands.report import report as report
    from footage.commands.search import search as search
    from footage.embedding.model import load as load
    from footage.models.config import Preprocessing as Preprocessing
    from footage.recipes.methods import recipe as recipe
    from footage.store.reader import Store as Store

_HOMES = {
    "Preprocessing": "footage.models.config",
    "Store": "footage.store.reader",
    "demo": "footage.commands.demo",
    "doctor": "footage.commands.doctor",
    "duplicates": "footage.commands.duplicates",
    "embed": "footage.commands.embed",
    "evaluate": "footage.commands.api",
    "export": "footage.commands.export",
    "ingest": "footage.commands.ingest",
    "load": "footage.embedding.model",
    "mix": "footage.commands.mix",
    "profile": "footage.commands.profile",
    "recipe": "footage.recipes.methods",
    "report": "footage.commands.report",
    "search": "footage.commands.search",
    "train": "footage.commands.api",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 (functions and classes alike)
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'footage' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(["__version__", *__all__])


def _version() -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version("footage")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"  # a source tree that is not installed
