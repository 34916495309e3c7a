"""Charts of values with intervals: one row per task or change, one point per model.

Fractions are drawn from 0 to the first round value above them. Ratios are drawn linearly up to 1,
the dashed reference, and logarithmically above.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from footage.metrics.intervals import percent
from footage.reporting.charts.axes import BOTTOM, RIGHT, WIDTH, Axis, Tick, ticks

TOP: Final = 8
TOP_WITH_REFERENCE: Final = 22

LETTER: Final = 7
"""Approximate width of a letter of a row's name."""

LINE: Final = 14
"""Height of a line of a row's name."""

LETTERS_PER_LINE: Final = 24

LEAST_TICK_DISTANCE: Final = 22


class Point(NamedTuple):
    """One value with its interval."""

    label: str
    colour: str
    """A class of the style sheet."""
    shape: str
    """Filled: dot | block. Hollow: ring | square | diamond. Or a tick."""
    value: float
    low: float
    high: float
    words: str
    """The value as text for screen readers."""


Rows = Sequence[tuple[str, Sequence[Point]]]
"""Names of one or more lines, and the points of each."""


class LegendItem(NamedTuple):
    """One entry of a legend."""

    colour: str
    shape: str
    """The shape of a point, or `line`."""
    text: str


class Reference(NamedTuple):
    """The dashed line at a ratio of 1."""

    x: float
    label_x: float
    label: str


class Name(NamedTuple):
    """One line of a row's name."""

    x: float
    y: float
    text: str


class PlacedPoint(NamedTuple):
    """A point in pixels."""

    point: Point
    low: float
    x: float
    high: float
    y: float


class IntervalChart(NamedTuple):
    """Data of `interval_chart.html.j2`."""

    title: str
    spoken: str
    """The numbers as text for screen readers."""
    height: float
    top: float
    bottom: float
    ticks: Sequence[Tick]
    reference: Reference | None
    names: Sequence[Name]
    points: Sequence[PlacedPoint]
    width: int = WIDTH


def accuracy(
    label: str,
    colour: str,
    shape: str,
    value: float,
    interval: tuple[float, float] | None = None,
) -> Point:
    """Make the point of an accuracy in [0, 1], with or without its interval."""
    low, high = interval or (value, value)
    words = percent(value, interval) if interval else f"{100 * value:.1f}"
    return Point(label, colour, shape, value, low, high, f"{words} %")


def fractions(title: str, rows: Rows) -> IntervalChart:
    """Lay out values in [0, 1], in percent."""
    highest = max((point.high for _, points in rows for point in points), default=0.0)
    end = min(1.0, max(0.2, math.ceil(highest * 10) / 10))
    labels = [(tick, f"{100 * tick:.0f}") for tick in ticks(0, end, 5)]
    return _chart(title, rows, _Scale(float, end, labels))


def ratios(title: str, rows: Rows, reference: str, at: Sequence[float]) -> IntervalChart:
    """Lay out values from 0 upwards, with a reference line at 1.

    Args:
        title: The quantity.
        rows: The points.
        reference: Meaning of a ratio of 1.
        at: Values at which ticks may be drawn.
    """
    highest = max((point.high for _, points in rows for point in points), default=0.0)
    end = max(1.05, 1.05 * highest)
    labels = [(tick, f"{tick:g}") for tick in at if tick <= end]
    return _chart(title, rows, _Scale(_linear_then_logarithmic, end, labels, reference))


# --- pieces ------------------------------------------------------------------------------------


class _Scale(NamedTuple):
    """The axis of values."""

    place: Callable[[float], float]
    end: float
    labels: Sequence[tuple[float, str]]
    reference: str = ""
    """The name of the line at 1; empty for no line."""


def _linear_then_logarithmic(value: float) -> float:
    return value if value <= 1 else 1 + math.log10(value) / 2


def _chart(title: str, rows: Rows, scale: _Scale) -> IntervalChart:
    names = [_lines(name) for name, _ in rows]
    longest = max((len(line) for lines in names for line in lines), default=0)
    left = max(58, 14 + LETTER * longest)
    axis = Axis(0, scale.place(scale.end), left, WIDTH - RIGHT - 8)
    most_points = max((len(points) for _, points in rows), default=0)
    top: float = TOP_WITH_REFERENCE if scale.reference else TOP
    placed_names, placed_points = [], []
    bottom = top
    for lines, (_, points) in zip(names, rows, strict=True):
        height = max(44, 14 + 9 * most_points, 10 + LINE * len(lines))
        middle = bottom + height / 2
        bottom += height
        first = middle + 4 - LINE * (len(lines) - 1) / 2
        placed_names += [
            Name(left - 10, first + LINE * place, line) for place, line in enumerate(lines)
        ]
        spread = min(8.0, (height - 14) / max(len(points) - 1, 1))
        for place, point in enumerate(points):
            y = middle + (place - (len(points) - 1) / 2) * spread
            low, x, high = (
                axis(scale.place(min(each, scale.end)))
                for each in (point.low, point.value, point.high)
            )
            placed_points.append(PlacedPoint(point, low, x, high, y))
    return IntervalChart(
        title,
        _spoken(rows),
        bottom + BOTTOM,
        top,
        bottom + 4,
        _ticks(scale, axis),
        _reference(scale, axis),
        placed_names,
        placed_points,
    )


def _lines(name: str) -> list[str]:
    return [
        part for line in name.split("\n") for part in textwrap.wrap(line, LETTERS_PER_LINE) or [""]
    ]


def _ticks(scale: _Scale, axis: Axis) -> list[Tick]:
    """Ticks that are far enough apart to be legible."""
    placed: list[Tick] = []
    for value, label in scale.labels:
        x = axis(scale.place(value))
        if not placed or x - placed[-1].place >= LEAST_TICK_DISTANCE:
            placed.append(Tick(x, label))
    return placed


def _reference(scale: _Scale, axis: Axis) -> Reference | None:
    if not scale.reference:
        return None
    x = axis(scale.place(1.0))
    return Reference(x, min(x, WIDTH - LETTER * len(scale.reference) / 2), scale.reference)


def _spoken(rows: Rows) -> str:
    return "; ".join(
        f"{' '.join(name.split())}: "
        + ", ".join(f"{point.label} {point.words}" for point in points)
        for name, points in rows
    )
