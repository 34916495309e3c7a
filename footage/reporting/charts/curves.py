"""Charts of curves over steps as SVG, and the axes that other charts share.

Colours are classes (`run0` ...) of the style sheet, so that light and dark pages differ only there.
Every chart carries its numbers as text for those who cannot see it.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from footage.reporting.markup import Markup, join, tag

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
    x_axis = Axis(0, max(max(line.steps) for line in lines), LEFT, WIDTH - RIGHT)
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
    return tag("figure", tag("figcaption", title), svg(f"{title}. {spoken}", HEIGHT, *drawn))


# --- pieces ------------------------------------------------------------------------------------


class Axis(NamedTuple):
    """Linear map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: Number) -> float:
        """Where a value stands."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)


def _value_axis(values: Sequence[Number]) -> Axis:
    low, high = min(values), max(values)
    if low >= 0 and low < 0.6 * high:
        low = 0.0
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    bottom = low if low == 0 else low - margin
    return Axis(bottom, high + margin, HEIGHT - BOTTOM, TOP)


def _grid(x_axis: Axis, y_axis: Axis) -> Markup:
    drawn = []
    for tick in ticks(y_axis.low, y_axis.high, 4):
        y = y_axis(tick)
        drawn.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        drawn.append(
            tag("text", number(tick), class_="tick", x=LEFT - 6, y=y + 3.5, text_anchor="end")
        )
    for tick in ticks(x_axis.low, x_axis.high, 4):
        at = {"x": x_axis(tick), "y": HEIGHT - BOTTOM + 16}
        drawn.append(tag("text", number(tick), class_="tick", text_anchor="middle", **at))
    base = HEIGHT - BOTTOM
    drawn.append(tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base))
    return join(*drawn)


def _level(level: Level, y_axis: Axis) -> Markup:
    y = y_axis(level.value)
    label = tag(
        "text", level.label, class_="level-name", x=WIDTH - RIGHT, y=y - 4, text_anchor="end"
    )
    return join(tag("line", class_="level", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y), label)


def _polyline(line: Curve, x_axis: Axis, y_axis: Axis, kind: str) -> Markup:
    points = " ".join(
        f"{x_axis(step):.1f},{y_axis(value):.1f}"
        for step, value in zip(line.steps, line.values, strict=True)
    )
    return tag("polyline", class_=f"{kind} {line.colour}", points=points)


def _dot(x: Number, y: Number, colour: str) -> Markup:
    return tag("circle", class_=f"dot {colour}", cx=x, cy=y, r=3.2)


def svg(spoken: str, height: Number, *drawn: Markup) -> Markup:
    """A chart of the usual width, with its content in words."""
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


def ticks(low: Number, high: Number, about: int) -> list[float]:
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
