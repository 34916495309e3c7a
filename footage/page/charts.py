"""Charts as SVG: curves over steps, and accuracies with their standard errors.

Colours are classes (`run0` ...) of the style sheet, so that light and dark pages differ only there.
Every chart carries its numbers as text for those who cannot see it.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from footage.page.markup import Markup, join, tag

Number = int | float

WIDTH: Final = 360
HEIGHT: Final = 224
LEFT: Final = 44
RIGHT: Final = 12
TOP: Final = 14
BOTTOM: Final = 30

LARGEST_NUMBER_OF_POINTS: Final = 300
SMOOTHED_SHARE: Final = 0.05
"""Width of the moving average as a share of the curve."""


LETTER: Final = 7
"""Width of a letter of a row's name, about."""


class Curve(NamedTuple):
    """Values over steps."""

    label: str
    colour: str
    """A class of the style sheet."""
    steps: Sequence[Number]
    values: Sequence[Number]


class Level(NamedTuple):
    """A horizontal line to compare with, such as chance."""

    label: str
    value: float


class Mark(NamedTuple):
    """One accuracy in [0, 1] with its standard error."""

    label: str
    colour: str
    shape: str
    """dot | ring | square | tick"""
    value: float
    standard_error: float


def curves(
    title: str, lines: Sequence[Curve], *, levels: Sequence[Level] = (), smooth: bool = False
) -> Markup:
    """A chart of one quantity, one line a run.

    Args:
        title: What is drawn, with its unit.
        lines: The runs' values.
        levels: Dashed lines with their names.
        smooth: Draw the values faintly, and over them a moving average of a twentieth of the run.
    """
    lines = [_finite(line) for line in lines]
    lines = [line for line in lines if len(line.steps)]
    if not lines:
        return tag("figure", tag("figcaption", title), tag("p", "nothing was recorded"))
    thinned = [_thinned(line) for line in lines]
    values = [value for line in thinned for value in line.values]
    values += [level.value for level in levels]
    x_axis = _Axis(0, max(max(line.steps) for line in lines), LEFT, WIDTH - RIGHT)
    y_axis = _value_axis(values)
    drawn = [_grid(x_axis, y_axis)]
    drawn += [_level(level, y_axis) for level in levels]
    for line in thinned:
        if smooth and len(line.values) > 10:
            drawn.append(_polyline(line, x_axis, y_axis, "raw"))
            line = line._replace(values=_moving_average(np.asarray(line.values)).tolist())
        drawn.append(_polyline(line, x_axis, y_axis, "line"))
        if len(line.values) == 1:
            drawn.append(_dot(x_axis(line.steps[0]), y_axis(line.values[0]), line.colour))
    spoken = "; ".join(f"{line.label}: {_range(line)}" for line in lines)
    return tag("figure", tag("figcaption", title), _svg(f"{title}. {spoken}", HEIGHT, *drawn))


def accuracies(title: str, groups: Sequence[tuple[str, Sequence[Mark]]]) -> Markup:
    """Accuracies: a named row a protocol or task, a mark a model; bars are two standard errors."""
    top = 8
    row_height = max(44, 14 + 9 * max(len(marks) for _, marks in groups))
    height = top + row_height * len(groups) + BOTTOM
    left = max(58, 14 + LETTER * max(len(name) for name, _ in groups))
    highest = max(mark.value + 2 * mark.standard_error for _, marks in groups for mark in marks)
    axis = _Axis(0, min(1.0, max(0.2, math.ceil(highest * 10) / 10)), left, WIDTH - RIGHT - 8)
    drawn = []
    for tick in _ticks(0, axis.high, 5):
        x = axis(tick)
        bottom = height - BOTTOM + 4
        drawn.append(tag("line", class_="grid", x1=x, x2=x, y1=top, y2=bottom))
        label = f"{100 * tick:.0f}"
        drawn.append(tag("text", label, class_="tick", x=x, y=bottom + 14, text_anchor="middle"))
    for number, (protocol, marks) in enumerate(groups):
        middle = top + row_height * (number + 0.5)
        drawn.append(
            tag("text", protocol, class_="name", x=left - 10, y=middle + 4, text_anchor="end")
        )
        spread = min(8.0, (row_height - 14) / max(len(marks) - 1, 1))
        for place, mark in enumerate(marks):
            y = middle + (place - (len(marks) - 1) / 2) * spread
            drawn.append(_mark(mark, axis, y))
    spoken = "; ".join(
        f"{protocol}: " + ", ".join(f"{mark.label} {100 * mark.value:.1f} %" for mark in marks)
        for protocol, marks in groups
    )
    return tag("figure", tag("figcaption", title), _svg(f"{title}. {spoken}", height, *drawn))


def sample(colour: str, shape: str) -> Markup:
    """The mark that stands in a legend."""
    drawn = _shape(shape, 7, 7, colour) if shape != "line" else _line_sample(colour)
    return tag("svg", drawn, class_="sample", viewBox="0 0 14 14", aria_hidden="true")


# --- pieces ------------------------------------------------------------------------------------


class _Axis(NamedTuple):
    """Linear map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: Number) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)


def _value_axis(values: Sequence[Number]) -> _Axis:
    low, high = min(values), max(values)
    if low >= 0 and low < 0.6 * high:
        low = 0.0
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    bottom = low if low == 0 else low - margin
    return _Axis(bottom, high + margin, HEIGHT - BOTTOM, TOP)


def _grid(x_axis: _Axis, y_axis: _Axis) -> Markup:
    drawn = []
    for tick in _ticks(y_axis.low, y_axis.high, 4):
        y = y_axis(tick)
        drawn.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        drawn.append(
            tag("text", number(tick), class_="tick", x=LEFT - 6, y=y + 3.5, text_anchor="end")
        )
    for tick in _ticks(x_axis.low, x_axis.high, 4):
        at = {"x": x_axis(tick), "y": HEIGHT - BOTTOM + 16}
        drawn.append(tag("text", number(tick), class_="tick", text_anchor="middle", **at))
    base = HEIGHT - BOTTOM
    drawn.append(tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base))
    return join(*drawn)


def _level(level: Level, y_axis: _Axis) -> Markup:
    y = y_axis(level.value)
    label = tag(
        "text", level.label, class_="level-name", x=WIDTH - RIGHT, y=y - 4, text_anchor="end"
    )
    return join(tag("line", class_="level", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y), label)


def _polyline(line: Curve, x_axis: _Axis, y_axis: _Axis, kind: str) -> Markup:
    points = " ".join(
        f"{x_axis(step):.1f},{y_axis(value):.1f}"
        for step, value in zip(line.steps, line.values, strict=True)
    )
    return tag("polyline", class_=f"{kind} {line.colour}", points=points)


def _dot(x: Number, y: Number, colour: str) -> Markup:
    return tag("circle", class_=f"dot {colour}", cx=x, cy=y, r=3.2)


def _mark(mark: Mark, axis: _Axis, y: Number) -> Markup:
    words = f"{mark.label}: {100 * mark.value:.1f} ± {100 * mark.standard_error:.1f} %"
    low = axis(max(0.0, mark.value - 2 * mark.standard_error))
    high = axis(min(axis.high, mark.value + 2 * mark.standard_error))
    bar = tag("line", class_=f"error {mark.colour}", x1=low, x2=high, y1=y, y2=y)
    return tag("g", tag("title", words), bar, _shape(mark.shape, axis(mark.value), y, mark.colour))


def _shape(shape: str, x: Number, y: Number, colour: str) -> Markup:
    if shape == "tick":
        return tag("line", class_=f"error {colour}", x1=x, x2=x, y1=y - 5, y2=y + 5)
    if shape == "square":
        return tag("rect", class_=f"ring {colour}", x=x - 3, y=y - 3, width=6, height=6)
    radius = 4.2 if shape == "dot" else 3.6
    return tag("circle", class_=f"{shape} {colour}", cx=x, cy=y, r=radius)


def _line_sample(colour: str) -> Markup:
    return tag("line", class_=f"line {colour}", x1=0, x2=14, y1=7, y2=7)


def _svg(spoken: str, height: Number, *drawn: Markup) -> Markup:
    return tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {height:.0f}", role="img", aria_label=spoken)


# --- numbers -----------------------------------------------------------------------------------


def number(value: Number) -> str:
    """A tick label: 1200 as 1.2k, 0.00075 as 7.5e-4, no needless zeros."""
    if 0 < abs(value) < 0.01:
        digits, _, exponent = f"{value:.1e}".partition("e")
        return f"{float(digits):g}e{int(exponent)}"
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:.6g}"


def _ticks(low: Number, high: Number, about: int) -> list[float]:
    """Round numbers inside a range, about so many."""
    step = 10.0 ** math.floor(math.log10((high - low) / about or 1.0))
    for factor in (1, 2, 2.5, 5, 10):
        if (high - low) / (step * factor) <= about + 0.5:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def _finite(line: Curve) -> Curve:
    kept = [
        (step, value)
        for step, value in zip(line.steps, line.values, strict=True)
        if math.isfinite(value)
    ]
    return line._replace(steps=[step for step, _ in kept], values=[value for _, value in kept])


def _thinned(line: Curve) -> Curve:
    """Means of equal runs of steps, so that a long training makes no longer a page."""
    count = len(line.steps)
    if count <= LARGEST_NUMBER_OF_POINTS:
        return line
    edges = np.linspace(0, count, LARGEST_NUMBER_OF_POINTS + 1).astype(int)[:-1]
    sizes = np.diff([*edges, count])
    steps, values = (np.add.reduceat(np.asarray(x, float), edges) / sizes for x in line[2:])
    return line._replace(steps=steps.tolist(), values=values.tolist())


def _moving_average(values: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Centred mean; at the ends, of that half of the window which exists."""
    half = max(1, round(SMOOTHED_SHARE * len(values) / 2))
    total = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    smoothed: Float[ndarray, " n"] = (total[high] - total[low]) / (high - low)
    return smoothed


def _range(line: Curve) -> str:
    return (
        f"{line.values[0]:.3g} at step {line.steps[0]:.0f}, "
        f"{line.values[-1]:.3g} at step {line.steps[-1]:.0f}"
    )
