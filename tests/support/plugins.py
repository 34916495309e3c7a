"""Load plugins in a test, and forget them after it."""

from footage import registry
from footage.models.export.base import EXPORTERS
from footage.models.options import BACKBONES
from footage.objectives.levels.base import LEVELS
from footage.objectives.losses.base import LOSSES
from footage.processes.executors import EXECUTORS
from footage.training.loggers.base import LOGGERS
from footage.video.detectors.base import DETECTORS

REGISTRIES = (BACKBONES, LEVELS, LOSSES, EXECUTORS, EXPORTERS, LOGGERS, DETECTORS)


def forget_at_end(monkeypatch):
    """Start without plugins; take back what the test loads."""
    monkeypatch.setenv(registry.VARIABLE, "")
    monkeypatch.setattr(registry, "_loaded", set(registry._loaded))
    for one in REGISTRIES:
        len(one)  # complete, so that only the plugin's entry is taken back
        monkeypatch.setattr(one, "_entries", dict(one._entries))
