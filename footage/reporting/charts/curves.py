"""Charts of curves over steps."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from footage.reporting.charts.axes import BOTTOM, RIGHT, WIDTH, Axis, Number, Tick, number, ticks

HEIGHT: Final = 224
LEFT: Final = 44
TOP: Final = 14

LARGEST_NUMBER_OF_POINTS: Final = 300
SMOOTHED_FRACTION: Final = 0.05
"""Width of the moving average as a fraction of the curve."""


class Curve(NamedTuple):
    """Values over steps."""

    label: str
    colour: str
    """A class of the style sheet."""
    steps: Sequence[Number]
    values: Sequence[Number]


class Level(NamedTuple):
    """A horizontal reference line, such as chance."""

    label: str
    value: float


class Line(NamedTuple):
    """One run's curve, in pixels."""

    colour: str
    points: str
    raw: str
    """The values before smoothing; empty if `points` is not smoothed."""
    dot: tuple[float, float] | None
    """Position of the value of a curve with a single value."""


class CurveChart(NamedTuple):
    """Data of `curve_chart.html.j2`."""

    title: str
    spoken: str = ""
    """The numbers as text for screen readers."""
    x_ticks: Sequence[Tick] = ()
    y_ticks: Sequence[Tick] = ()
    levels: Sequence[Tick] = ()
    lines: Sequence[Line] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def curves(
    title: str, lines: Sequence[Curve], *, levels: Sequence[Level] = (), smooth: bool = False
) -> CurveChart:
    """Lay out a chart of one quantity, one line per run.

    Args:
        title: The quantity, with its unit.
        lines: The runs' values.
        levels: Dashed lines with their names.
        smooth: Show the values faintly, and their moving average on top.
    """
    lines = [_finite(line) for line in lines]
    lines = [line for line in lines if len(line.steps)]
    if not lines:
        return CurveChart(title)
    thinned = [_thinned(line) for line in lines]
    values = [value for line in thinned for value in line.values]
    values += [level.value for level in levels]
    x_axis = Axis(0, max(max(line.steps) for line in lines), LEFT, WIDTH - RIGHT)
    y_axis = _value_axis(values)
    return CurveChart(
        title,
        "; ".join(f"{line.label}: {_range(line)}" for line in lines),
        [Tick(x_axis(tick), number(tick)) for tick in ticks(x_axis.low, x_axis.high, 4)],
        [Tick(y_axis(tick), number(tick)) for tick in ticks(y_axis.low, y_axis.high, 4)],
        [Tick(y_axis(level.value), level.label) for level in levels],
        [_line(line, x_axis, y_axis, smooth=smooth and len(line.values) > 10) for line in thinned],
    )


# --- pieces ------------------------------------------------------------------------------------


def _value_axis(values: Sequence[Number]) -> Axis:
    low, high = min(values), max(values)
    if low >= 0 and low < 0.6 * high:
        low = 0.0
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    bottom = low if low == 0 else low - margin
    return Axis(bottom, high + margin, HEIGHT - BOTTOM, TOP)


def _line(curve: Curve, x_axis: Axis, y_axis: Axis, *, smooth: bool) -> Line:
    values = _moving_average(np.asarray(curve.values)).tolist() if smooth else curve.values
    is_single = len(values) == 1
    return Line(
        curve.colour,
        _points(curve.steps, values, x_axis, y_axis),
        _points(curve.steps, curve.values, x_axis, y_axis) if smooth else "",
        (x_axis(curve.steps[0]), y_axis(values[0])) if is_single else None,
    )


def _points(steps: Sequence[Number], values: Sequence[Number], x_axis: Axis, y_axis: Axis) -> str:
    places = zip(steps, values, strict=True)
    return " ".join(f"{x_axis(step):.1f},{y_axis(value):.1f}" for step, value in places)


def _finite(line: Curve) -> Curve:
    kept = [
        (step, value)
        for step, value in zip(line.steps, line.values, strict=True)
        if math.isfinite(value)
    ]
    return line._replace(steps=[step for step, _ in kept], values=[value for _, value in kept])


def _thinned(line: Curve) -> Curve:
    """Average groups of steps, so that the size of a page does not grow with the training time."""
    count = len(line.steps)
    if count <= LARGEST_NUMBER_OF_POINTS:
        return line
    edges = np.linspace(0, count, LARGEST_NUMBER_OF_POINTS + 1).astype(int)[:-1]
    sizes = np.diff([*edges, count])
    steps, values = (np.add.reduceat(np.asarray(x, float), edges) / sizes for x in line[2:])
    return line._replace(steps=steps.tolist(), values=values.tolist())


def _moving_average(values: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Centred moving average; the window is truncated at the ends."""
    half = max(1, round(SMOOTHED_FRACTION * len(values) / 2))
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
