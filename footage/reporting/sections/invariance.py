"""The section on invariance: what moves the features how far, drawn and as one table."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from footage.evaluation.fields import Environment
from footage.invariance.panels import RATIO_TICKS, Panel, panels
from footage.invariance.results import Measured, Profiled, StoreData
from footage.invariance.tables import Cell, percent, ratio, sheets
from footage.metrics.bootstrap import Estimate
from footage.reporting.charts.intervals import Mark, Rows, ratios, sample, shares
from footage.reporting.inputs import GatheredProfile, Run
from footage.reporting.markup import Markup, join, tag

COLOURS: Final = 6
"""Of models, in the style sheet."""

MODEL_SHAPES: Final = ("dot", "block")
BASELINE_SHAPES: Final = ("ring", "diamond")

NOTE: Final = (
    "How far a change moves the features: mean distance (1 - cosine), in units of the distance "
    "between frames of different videos or between different objects in the same place. "
    "0 is invariance; beyond the dashed line, where the axis goes on logarithmically, a change "
    "counts for more than what is seen. Bars are 95 % intervals over videos or scenes."
)
SPACE_NOTE: Final = (
    "Alignment is the mean squared distance of two views of a frame, lower is closer; uniformity "
    "is lower the more evenly the features lie on the sphere (Wang & Isola 2020). The effective "
    "rank counts directions in use; the spread is 1 in all directions and 0 where they collapsed."
)


class _Column(NamedTuple):
    """A model as the page shows it."""

    name: str
    colour: str
    shape: str


def section(profiles: Sequence[GatheredProfile], runs: Sequence[Run]) -> Markup:
    """Charts and table of every profile; empty without any."""
    if not profiles:
        return Markup("")
    return tag(
        "section",
        tag("h2", "Invariance profile"),
        tag("p", NOTE, class_="note"),
        *(_profile(each, runs, len(profiles) > 1) for each in profiles),
        id="invariance",
    )


def _profile(gathered: GatheredProfile, runs: Sequence[Run], named: bool) -> Markup:
    models = gathered.content.models
    columns = _columns(models, runs)
    space = tag("p", SPACE_NOTE, class_="note") if any(m.profile for m in models) else Markup("")
    facts = _facts(gathered.content.measured, gathered.content.environment)
    return join(
        tag("h3", gathered.name) if named else Markup(""),
        tag("p", facts, class_="note"),
        _legend(columns),
        tag("div", *(_chart(panel, columns) for panel in panels(models)), class_="charts broad"),
        tag("h3", "Full results"),
        tag("div", _table(models, columns), class_="wide"),
        space,
    )


def _columns(models: Sequence[Profiled], runs: Sequence[Run]) -> list[_Column]:
    """A run of the page keeps its name and colour; other models take the colours after those."""
    places = {run.path.resolve(): number for number, run in enumerate(runs)}
    columns, others, untrained = [], len(runs), 0
    for model in models:
        place = places.get(_resolved(model.name))
        if model.is_baseline and not model.described:
            columns.append(_Column(model.name, "pixels", "square"))
        elif model.is_baseline:
            shape = BASELINE_SHAPES[untrained % len(BASELINE_SHAPES)]
            columns.append(_Column(model.name, "untrained", shape))
            untrained += 1
        elif place is not None:
            columns.append(_Column(runs[place].name, *_style(place)))
        else:
            columns.append(_Column(model.name, *_style(others)))
            others += 1
    return columns


def _resolved(name: str) -> Path:
    """The place that a name in a file stands for, if it can be a path at all."""
    try:
        return Path(name).resolve()
    except (OSError, ValueError):
        return Path(name)


def _style(number: int) -> tuple[str, str]:
    return f"run{number % COLOURS}", MODEL_SHAPES[number // COLOURS % len(MODEL_SHAPES)]


def _legend(columns: Sequence[_Column]) -> Markup:
    items = [tag("li", sample(each.colour, each.shape), each.name) for each in columns]
    return tag("ul", *items, class_="legend")


def _facts(measured: Measured, environment: Environment) -> str:
    """What was measured, in a sentence."""
    looked_at = []
    if measured.store:
        store = measured.store
        looked_at.append(
            f"{store.frames:,} frames of {store.shots:,} shots of {store.videos:,} videos "
            f"in the store {Path(store.path).name} ({store.content_hash[:10]})"
        )
    if measured.scenes:
        looked_at.append(f"{measured.scenes.scenes} rendered scenes")
    if measured.videos:
        videos = measured.videos
        looked_at.append(
            f"{videos.frames:,} frames around {videos.anchors:,} anchors of labelled videos "
            f"({videos.videos}), by classifiers fitted on labelled images ({videos.labelled})"
        )
    return (
        f"Measured on {'; '.join(looked_at)}; seed {measured.settings.seed}, "
        f"commit {environment.commit}.{_unseen(measured.store) if measured.store else ''}"
    )


def _unseen(store: StoreData) -> str:
    """Whether the videos were new to the models, as far as that is known."""
    left_out = " Videos that a run among the models is known to be trained on were left out."
    if store.unchecked is None:
        return f"{left_out} Other stores of that run were not checked (earlier version)."
    return left_out + "".join(f" Not checked: {reason}." for reason in store.unchecked)


# --- charts --------------------------------------------------------------------------------------


def _chart(panel: Panel, columns: Sequence[_Column]) -> Markup:
    words = ratio if panel.yardstick else percent
    rows: Rows = [
        (
            label,
            [
                _mark(column, found, str(words(found)))
                for column, found in zip(columns, estimates, strict=True)
                if found is not None and math.isfinite(found.value)
            ],
        )
        for label, estimates in panel.rows.items()
    ]
    if panel.yardstick:
        return ratios(panel.title, rows, panel.yardstick, RATIO_TICKS)
    return shares(f"{panel.title}: percent right", rows)


def _mark(column: _Column, found: Estimate, words: str) -> Mark:
    low, high = (
        bound if math.isfinite(bound) else found.value for bound in (found.low, found.high)
    )
    return Mark(column.name, column.colour, column.shape, found.value, low, high, words)


# --- table ---------------------------------------------------------------------------------------


def _table(models: Sequence[Profiled], columns: Sequence[_Column]) -> Markup:
    heads = [tag("th", each.name, scope="col", class_="figure model") for each in columns]
    body = []
    for sheet in sheets(models):
        title = tag("th", sheet.title, scope="rowgroup", colspan=1 + len(columns))
        body.append(tag("tr", title, class_="part"))
        body += [
            tag("tr", tag("td", label), *map(_cell, cells)) for label, cells in sheet.rows.items()
        ]
    head = tag("tr", tag("th", "", scope="col"), *heads)
    return tag("table", tag("thead", head), tag("tbody", *body))


def _cell(cell: Cell) -> Markup:
    interval = tag("span", f" {cell.interval}", class_="error-of") if cell.interval else ""
    return tag("td", cell.value, interval, class_="figure")
