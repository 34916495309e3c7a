"""Profiles of several models: as JSON, and as tables that stand side by side on a terminal."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from footage import runs
from footage.clips.factors import RANGES
from footage.evaluation.bootstrap import CONFIDENCE, DRAWS, Estimate
from footage.evaluation.controlled import Factor
from footage.evaluation.invariance import LEVELS, Profile
from footage.evaluation.robustness import Robustness

SCHEMA_VERSION: Final = 1

NOT_DEFINED: Final = "-"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Profiled:
    """All that was measured of one model or baseline."""

    name: str
    """The MODEL argument, or the baseline in words."""
    described: Mapping[str, Any]
    """What `model.describe` says; empty for raw pixels."""
    profile: Profile | None
    """On a store, if one was given."""
    factors: Mapping[str, Factor]
    """On rendered scenes, by factor; empty if none were rendered."""
    robustness: Mapping[str, Robustness]
    """On labelled videos, by protocol; empty if none were given."""


def write_profiles(path: Path, measured: Mapping[str, Any], models: Sequence[Profiled]) -> Path:
    """Write profiles as JSON by rename, so that the file is whole or absent.

    Args:
        path: The file.
        measured: Settings and data: all that a number depends on beside the model.
        models: The profiles. What is not defined becomes null.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "environment": runs.environment(),
        "intervals": {"confidence": CONFIDENCE, "draws": DRAWS},
        "ranges": RANGES,
        "measured": dict(measured),
        "models": [dataclasses.asdict(model) for model in models],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")
    aside.replace(path)
    return path


def _finite(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """The value with null for every number that is not one."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- tables -------------------------------------------------------------------------------------


def tables(models: Sequence[Profiled]) -> list[Table]:
    """What was measured, one column a model: levels, factors, robustness."""
    made = []
    if any(model.profile for model in models):
        made += [_levels(models), _searches(models), _space(models)]
    if any(model.factors for model in models):
        made += _factors(models)
    for protocol in dict.fromkeys(name for model in models for name in model.robustness):
        made.append(_robustness(models, protocol))
    return made


def _table(
    title: str, models: Sequence[Profiled], rows: Mapping[str, Callable[[Profiled], str]]
) -> Table:
    view = Table(title=title, title_justify="left")
    view.add_column("")
    for model in models:
        view.add_column(model.name, justify="right", overflow="fold")
    for label, cell in rows.items():
        view.add_row(label, *(cell(model) for model in models))
    return view


def _levels(models: Sequence[Profiled]) -> Table:
    def cell(level: str) -> Callable[[Profiled], str]:
        return lambda model: (
            ratio(model.profile.levels[level].ratio)
            if model.profile and level in model.profile.levels
            else NOT_DEFINED
        )

    title = "distance over that between videos: 0 invariant, 1 as far as another video"
    return _table(title, models, {name: cell(name) for name in LEVELS})


def _searches(models: Sequence[Profiled]) -> Table:
    def cell(level: str) -> Callable[[Profiled], str]:
        return lambda model: (
            percent(model.profile.levels[level].hit)
            if model.profile and level in model.profile.levels
            else NOT_DEFINED
        )

    # Chance follows from the frames alone, so it is the same for every model.
    profile = next(model.profile for model in models if model.profile)
    rows = {
        f"{name}, chance {100 * level.chance:.1f}": cell(name)
        for name, level in profile.levels.items()
    }
    return _table("the nearest frame is a view, shot-mate, video-mate: percent", models, rows)


def _space(models: Sequence[Profiled]) -> Table:
    def cell(name: str) -> Callable[[Profiled], str]:
        return lambda model: f"{getattr(model.profile, name):.3g}" if model.profile else NOT_DEFINED

    names = ("alignment", "uniformity", "rankme", "embedding_std")
    return _table("the space of the features", models, {name: cell(name) for name in names})


def _factors(models: Sequence[Profiled]) -> list[Table]:
    def cell(name: str, words: Callable[[Factor], str]) -> Callable[[Profiled], str]:
        return lambda model: words(model.factors[name]) if name in model.factors else NOT_DEFINED

    names = dict.fromkeys(name for model in models for name in model.factors)
    return [
        _table(title, models, {name: cell(name, words) for name in names})
        for title, words in (
            (
                "distance over that of another object: 0 invariant, 1 as much as what is seen",
                lambda factor: ratio(factor.ratio),
            ),
            (
                "the moved frame stays nearer than another object: percent, chance 50",
                lambda factor: percent(factor.nearer),
            ),
        )
    ]


def _robustness(models: Sequence[Profiled], protocol: str) -> Table:
    def cell(name: str) -> Callable[[Profiled], str]:
        return lambda model: (
            percent(getattr(model.robustness[protocol], name))
            if protocol in model.robustness
            else NOT_DEFINED
        )

    some = next(model.robustness[protocol] for model in models if protocol in model.robustness)
    title = (
        f"{protocol}: percent right on {some.anchors} anchors of {some.videos} videos, "
        f"{some.reach} frames to either side"
    )
    return _table(
        title, models, {name: cell(name) for name in ("anchor", "average", "worst", "drop")}
    )


def ratio(found: Estimate) -> str:
    """`0.42 [0.40, 0.45]`."""
    if not math.isfinite(found.value):
        return NOT_DEFINED
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def percent(found: Estimate) -> str:
    """`42.0 [40.1, 45.3]`, of shares in [0, 1]."""
    if not math.isfinite(found.value):
        return NOT_DEFINED
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
