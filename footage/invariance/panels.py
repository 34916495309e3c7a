"""The charts of an invariance profile as data: one panel per measurement, one row per change."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from footage.invariance.results import Profiled
from footage.invariance.video_levels import LEVELS
from footage.metrics.bootstrap import Estimate

LEVEL_LABELS: Final = {
    "view": "two views\nof a frame",
    "shot": "two frames\nof a shot",
    "video": "two shots\nof a video",
}
ROBUSTNESS_LABELS: Final = {
    "anchor": "anchor frame",
    "average": "mean of\nthe window",
    "worst": "worst frame\nof the window",
    "drop": "anchor\nminus worst",
}

RATIO_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


class Panel(NamedTuple):
    """One measurement of all models."""

    title: str
    reference: str
    """Meaning of a ratio of 1; empty for fractions."""
    rows: Mapping[str, Sequence[Estimate | None]]
    """By label, one estimate per model."""


def panels(models: Sequence[Profiled]) -> list[Panel]:
    """Return one panel for each measurement that at least one model has."""
    made = []
    if any(model.profile for model in models):
        levels = [model.profile.levels if model.profile else {} for model in models]
        rows = {
            LEVEL_LABELS[name]: [each[name].ratio if name in each else None for each in levels]
            for name in LEVELS
        }
        made.append(Panel("Within videos: relative distance", "another video", rows))
    names = dict.fromkeys(name for model in models for name in model.factors)
    if names:
        rows = {
            name: [m.factors[name].ratio if name in m.factors else None for m in models]
            for name in names
        }
        made.append(Panel("Single-factor changes: relative distance", "another object", rows))
    for protocol in dict.fromkeys(name for model in models for name in model.robustness):
        found = [model.robustness.get(protocol) for model in models]
        rows = {
            label: [getattr(each, name) if each else None for each in found]
            for name, label in ROBUSTNESS_LABELS.items()
        }
        made.append(Panel(f"Temporal robustness ({protocol}): accuracy in percent", "", rows))
    return made
