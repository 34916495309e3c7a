"""Tables of invariance profiles, one column per model: levels, factors, robustness."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from rich.table import Table

from footage.invariance.factors import Factor
from footage.invariance.results import Profiled
from footage.invariance.robustness import Robustness
from footage.invariance.video_levels import LEVELS, Level, Profile
from footage.metrics.bootstrap import Estimate

SPACE: Final = {
    "alignment": "alignment",
    "uniformity": "uniformity",
    "rankme": "effective rank (RankMe)",
    "embedding_std": "spread",
}
ACCURACIES: Final = ("anchor", "average", "worst", "drop")


class Cell(NamedTuple):
    """A formatted number, with its interval if it has one."""

    value: str
    interval: str = ""

    def __str__(self) -> str:
        """Format for a terminal: `0.42 [0.40, 0.45]`."""
        return f"{self.value} {self.interval}".strip()


NOT_DEFINED: Final = Cell("-")


class Sheet(NamedTuple):
    """One table, independent of its output format."""

    title: str
    rows: Mapping[str, Sequence[Cell]]
    """Cells by row label, one per model."""


def tables(models: Sequence[Profiled]) -> list[Table]:
    """Return all tables for a terminal."""
    made = []
    for sheet in sheets(models):
        view = Table(title=sheet.title, title_justify="left")
        view.add_column("")
        for model in models:
            view.add_column(model.name, justify="right", overflow="fold")
        for label, cells in sheet.rows.items():
            view.add_row(label, *map(str, cells))
        made.append(view)
    return made


def sheets(models: Sequence[Profiled]) -> Iterator[Sheet]:
    """Yield one table per measurement that at least one model has."""
    profiles = [model.profile for model in models]
    if any(profiles):
        yield from _on_store(profiles)
    names = list(dict.fromkeys(name for model in models for name in model.factors))
    if names:
        yield from _on_scenes(names, [model.factors for model in models])
    for protocol in dict.fromkeys(name for model in models for name in model.robustness):
        yield _on_videos(protocol, [model.robustness.get(protocol) for model in models])


def _on_store(profiles: Sequence[Profile | None]) -> Iterator[Sheet]:
    def row(name: str, words: Callable[[Level], Cell]) -> list[Cell]:
        found = [profile.levels.get(name) if profile else None for profile in profiles]
        return [words(level) if level else NOT_DEFINED for level in found]

    yield Sheet(
        "Distance relative to another video (0 is invariant)",
        {name: row(name, lambda level: ratio(level.ratio)) for name in LEVELS},
    )
    # Chance depends on the frames alone, so it is the same for every model.
    some = next(profile for profile in profiles if profile)
    yield Sheet(
        "Nearest frame comes from the same frame, shot or video (percent)",
        {
            f"{name}, chance {100 * level.chance:.1f}": row(name, lambda level: percent(level.hit))
            for name, level in some.levels.items()
        },
    )
    between = [ratio(each.others) if each else NOT_DEFINED for each in profiles]
    yield Sheet(
        "Feature space",
        {"distance between videos": between}
        | {
            label: [_number(getattr(each, name)) if each else NOT_DEFINED for each in profiles]
            for name, label in SPACE.items()
        },
    )


def _on_scenes(names: Sequence[str], factors: Sequence[Mapping[str, Factor]]) -> Iterator[Sheet]:
    def rows(words: Callable[[Factor], Cell]) -> dict[str, list[Cell]]:
        return {
            name: [words(each[name]) if name in each else NOT_DEFINED for each in factors]
            for name in names
        }

    yield Sheet(
        "Distance relative to another object (0 is invariant)",
        rows(lambda factor: ratio(factor.ratio)),
    )
    yield Sheet(
        "Changed frame is nearer than another object (percent, chance 50)",
        rows(lambda factor: percent(factor.nearer)),
    )


def _on_videos(protocol: str, found: Sequence[Robustness | None]) -> Sheet:
    some = next(each for each in found if each)
    return Sheet(
        f"Temporal robustness ({protocol}): accuracy in percent on {some.anchors} anchors of "
        f"{some.videos} videos, ±{some.reach} frames",
        {
            name: [percent(getattr(each, name)) if each else NOT_DEFINED for each in found]
            for name in ACCURACIES
        },
    )


def ratio(found: Estimate) -> Cell:
    """Format as `0.42 [0.40, 0.45]`."""
    return _cell(found, 1, 2)


def percent(found: Estimate) -> Cell:
    """Format fractions in [0, 1] as `42.0 [40.1, 45.3]`."""
    return _cell(found, 100, 1)


def _number(value: float) -> Cell:
    return Cell(f"{value:.3g}") if math.isfinite(value) else NOT_DEFINED


def _cell(found: Estimate, factor: int, digits: int) -> Cell:
    if not math.isfinite(found.value):
        return NOT_DEFINED
    value, low, high = (
        f"{factor * each:.{digits}f}" for each in (found.value, found.low, found.high)
    )
    return Cell(value, f"[{low}, {high}]" if math.isfinite(found.low + found.high) else "")
