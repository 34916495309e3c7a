"""Invariance profiles: charts of how far each change moves the features, and all numbers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from footage.invariance.panels import RATIO_TICKS, Panel, panels
from footage.invariance.results import Profiled
from footage.invariance.tables import percent, ratio, sheets
from footage.metrics.bootstrap import Estimate
from footage.reporting.charts.intervals import (
    IntervalChart,
    LegendItem,
    Point,
    Rows,
    fractions,
    ratios,
)
from footage.reporting.inputs import GatheredProfile, Run
from footage.reporting.tables import FIGURE, NUM_COLOURS, Cell, Column, Section, Table, run_colour

MODEL_SHAPES: Final = ("dot", "block")
BASELINE_SHAPES: Final = ("ring", "diamond")


class ProfileView(NamedTuple):
    """One profile."""

    name: str
    """Its folder; empty if there is only one profile."""
    facts: str
    legend: Sequence[LegendItem]
    charts: Sequence[IntervalChart]
    table: Table
    has_space: bool
    """Whether the table contains measures of the feature space."""


def section(profiles: Sequence[GatheredProfile], runs: Sequence[Run]) -> Section | None:
    """Charts and table of every profile; None without any."""
    if not profiles:
        return None
    views = [_profile(each, runs, is_named=len(profiles) > 1) for each in profiles]
    return Section("invariance", "Invariance profile", "invariance.html.j2", views)


def _profile(gathered: GatheredProfile, runs: Sequence[Run], *, is_named: bool) -> ProfileView:
    models = gathered.content.models
    shown = legend(models, runs)
    return ProfileView(
        gathered.name if is_named else "",
        _facts(gathered),
        shown,
        charts(models, shown),
        _table(models, shown),
        any(model.profile for model in models),
    )


def legend(models: Sequence[Profiled], runs: Sequence[Run] = ()) -> list[LegendItem]:
    """Name, colour and shape of each model.

    A run of the page keeps its name and colour; other models get the next colours.
    """
    places = {run.path.resolve(): number for number, run in enumerate(runs)}
    items, others, untrained = [], len(runs), 0
    for model in models:
        place = places.get(_resolved(model.name))
        if model.is_baseline and not model.described:
            items.append(LegendItem("pixels", "square", model.name))
        elif model.is_baseline:
            shape = BASELINE_SHAPES[untrained % len(BASELINE_SHAPES)]
            items.append(LegendItem("untrained", shape, model.name))
            untrained += 1
        elif place is not None:
            items.append(LegendItem(*_style(place), runs[place].name))
        else:
            items.append(LegendItem(*_style(others), model.name))
            others += 1
    return items


def _resolved(name: str) -> Path:
    """Resolve a name in a file as a path, if it can be one."""
    try:
        return Path(name).resolve()
    except (OSError, ValueError):
        return Path(name)


def _style(number: int) -> tuple[str, str]:
    return run_colour(number), MODEL_SHAPES[number // NUM_COLOURS % len(MODEL_SHAPES)]


def _facts(gathered: GatheredProfile) -> str:
    """Describe the measured data in a sentence."""
    measured = gathered.content.measured
    parts = []
    if measured.store:
        store = measured.store
        parts.append(
            f"{store.frames:,} frames of {store.shots:,} shots of {store.videos:,} videos "
            f"in the store {Path(store.path).name} ({store.content_hash[:10]})"
        )
    if measured.scenes:
        parts.append(f"{measured.scenes.scenes} rendered scenes")
    if measured.videos:
        videos = measured.videos
        parts.append(
            f"{videos.frames:,} frames around {videos.anchors:,} anchors of labelled videos "
            f"({videos.videos}), by classifiers fitted on labelled images ({videos.labelled})"
        )
    facts = (
        f"Measured on {'; '.join(parts)}; seed {measured.settings.seed}, "
        f"commit {gathered.content.environment.commit}."
    )
    return facts + (_excluded(measured.store.unchecked) if measured.store else "")


def _excluded(unchecked: Sequence[str] | None) -> str:
    """State whether the videos were new to the models, as far as this is known."""
    excluded = " Videos that are known to be training data of one of the models were excluded."
    if unchecked is None:
        return (
            f"{excluded} Other stores of that run were not checked (profile of an earlier version)."
        )
    return excluded + "".join(f" Not checked: {reason}." for reason in unchecked)


# --- charts --------------------------------------------------------------------------------------


def charts(models: Sequence[Profiled], shown: Sequence[LegendItem]) -> list[IntervalChart]:
    """One chart per measurement."""
    return [_chart(panel, shown) for panel in panels(models)]


def _chart(panel: Panel, shown: Sequence[LegendItem]) -> IntervalChart:
    words = ratio if panel.reference else percent
    rows: Rows = [
        (
            label,
            [
                _point(item, found, str(words(found)))
                for item, found in zip(shown, estimates, strict=True)
                if found is not None and math.isfinite(found.value)
            ],
        )
        for label, estimates in panel.rows.items()
    ]
    if panel.reference:
        return ratios(panel.title, rows, panel.reference, RATIO_TICKS)
    return fractions(panel.title, rows)


def _point(item: LegendItem, found: Estimate, words: str) -> Point:
    low, high = (
        bound if math.isfinite(bound) else found.value for bound in (found.low, found.high)
    )
    return Point(item.text, item.colour, item.shape, found.value, low, high, words)


# --- table ---------------------------------------------------------------------------------------


def _table(models: Sequence[Profiled], shown: Sequence[LegendItem]) -> Table:
    rows: list[list[Cell] | str] = []
    for sheet in sheets(models):
        rows.append(sheet.title)
        for label, cells in sheet.rows.items():
            rows.append([Cell(label), *(Cell(each.value, each.interval) for each in cells)])
    columns = [Column(""), *(Column(item.text, f"{FIGURE} model") for item in shown)]
    return Table("Invariance profile, all numbers", columns, rows)
