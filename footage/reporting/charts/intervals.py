"""Charts of one value a model with its interval: a named row a task or a change, a mark a model.

Shares run from 0 as far as they are needed. Ratios run evenly up to 1, their dashed yardstick, and
logarithmically above.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from footage.metrics.intervals import percent
from footage.reporting.charts.curves import BOTTOM, RIGHT, WIDTH, Axis, Number, svg, ticks
from footage.reporting.markup import Markup, join, tag

TOP: Final = 8
TOP_WITH_YARDSTICK: Final = 22

LETTER: Final = 7
"""Width of a letter of a row's name, about."""

LINE: Final = 14
"""Height of a line of a row's name."""

LEAST_TICK_DISTANCE: Final = 22


class Mark(NamedTuple):
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
    """The value for those who cannot see the mark."""


Rows = Sequence[tuple[str, Sequence[Mark]]]
"""Names, of one line or more, and the marks of each."""


def accuracy(
    label: str,
    colour: str,
    shape: str,
    value: float,
    interval: tuple[float, float] | None = None,
) -> Mark:
    """The mark of an accuracy in [0, 1] with its interval, or without one."""
    low, high = interval or (value, value)
    words = percent(value, interval) if interval else f"{100 * value:.1f}"
    return Mark(label, colour, shape, value, low, high, f"{words} %")


def shares(title: str, rows: Rows) -> Markup:
    """Values in [0, 1], in percent."""
    highest = max((mark.high for _, marks in rows for mark in marks), default=0.0)
    end = min(1.0, max(0.2, math.ceil(highest * 10) / 10))
    labels = [(tick, f"{100 * tick:.0f}") for tick in ticks(0, end, 5)]
    return _chart(title, rows, _Scale(float, end, labels))


def ratios(title: str, rows: Rows, yardstick: str, at: Sequence[float]) -> Markup:
    """Values from 0 up, of which 1 is the yardstick.

    Args:
        title: What is drawn.
        rows: The marks.
        yardstick: What a ratio of 1 is.
        at: Where ticks may stand.
    """
    highest = max((mark.high for _, marks in rows for mark in marks), default=0.0)
    end = max(1.05, 1.05 * highest)
    labels = [(tick, f"{tick:g}") for tick in at if tick <= end]
    return _chart(title, rows, _Scale(_even_then_logarithmic, end, labels, yardstick))


def sample(colour: str, shape: str) -> Markup:
    """The mark that stands in a legend."""
    if shape == "line":
        drawn = tag("line", class_=f"line {colour}", x1=0, x2=14, y1=7, y2=7)
    else:
        drawn = _shape(shape, 7, 7, colour)
    return tag("svg", drawn, class_="sample", viewBox="0 0 14 14", aria_hidden="true")


# --- pieces ------------------------------------------------------------------------------------


class _Scale(NamedTuple):
    """What stands where on the axis of values."""

    place: Callable[[float], float]
    end: float
    labels: Sequence[tuple[float, str]]
    yardstick: str = ""
    """The name of the line at 1; empty for none."""


def _even_then_logarithmic(value: float) -> float:
    return value if value <= 1 else 1 + math.log10(value) / 2


def _chart(title: str, rows: Rows, scale: _Scale) -> Markup:
    top = TOP_WITH_YARDSTICK if scale.yardstick else TOP
    row_height = max(44, 14 + 9 * max((len(marks) for _, marks in rows), default=0))
    height = top + row_height * len(rows) + BOTTOM
    longest = max((len(line) for name, _ in rows for line in name.split("\n")), default=0)
    left = max(58, 14 + LETTER * longest)
    axis = Axis(0, scale.place(scale.end), left, WIDTH - RIGHT - 8)
    drawn = [_ticks(scale, axis, top, height - BOTTOM + 4)]
    for number, (name, marks) in enumerate(rows):
        middle = top + row_height * (number + 0.5)
        drawn.append(_name(name, left - 10, middle))
        spread = min(8.0, (row_height - 14) / max(len(marks) - 1, 1))
        for place, mark in enumerate(marks):
            y = middle + (place - (len(marks) - 1) / 2) * spread
            drawn.append(_mark(mark, scale, axis, y))
    spoken = "; ".join(
        f"{' '.join(name.split())}: " + ", ".join(f"{mark.label} {mark.words}" for mark in marks)
        for name, marks in rows
    )
    return tag("figure", tag("figcaption", title), svg(f"{title}. {spoken}", height, *drawn))


def _ticks(scale: _Scale, axis: Axis, top: Number, bottom: Number) -> Markup:
    drawn = []
    last = -math.inf
    for tick, label in scale.labels:
        x = axis(scale.place(tick))
        if x - last < LEAST_TICK_DISTANCE:
            continue
        last = x
        drawn.append(tag("line", class_="grid", x1=x, x2=x, y1=top, y2=bottom))
        drawn.append(tag("text", label, class_="tick", x=x, y=bottom + 14, text_anchor="middle"))
    if scale.yardstick:
        x = axis(scale.place(1.0))
        drawn.append(tag("line", class_="level", x1=x, x2=x, y1=top, y2=bottom))
        inside = min(x, WIDTH - LETTER * len(scale.yardstick) / 2)
        at = {"x": inside, "y": top - 7}
        drawn.append(tag("text", scale.yardstick, class_="level-name", text_anchor="middle", **at))
    return join(*drawn)


def _name(name: str, x: Number, middle: Number) -> Markup:
    lines = name.split("\n")
    first = middle + 4 - LINE * (len(lines) - 1) / 2
    return join(
        *(
            tag("text", line, class_="name", x=x, y=first + LINE * place, text_anchor="end")
            for place, line in enumerate(lines)
        )
    )


def _mark(mark: Mark, scale: _Scale, axis: Axis, y: Number) -> Markup:
    low, middle, high = (
        axis(scale.place(min(each, scale.end))) for each in (mark.low, mark.value, mark.high)
    )
    bar = tag("line", class_=f"error {mark.colour}", x1=low, x2=high, y1=y, y2=y)
    words = tag("title", f"{mark.label}: {mark.words}")
    return tag("g", words, bar, _shape(mark.shape, middle, y, mark.colour))


def _shape(shape: str, x: Number, y: Number, colour: str) -> Markup:
    if shape == "tick":
        return tag("line", class_=f"error {colour}", x1=x, x2=x, y1=y - 5, y2=y + 5)
    if shape == "square":
        return tag("rect", class_=f"ring {colour}", x=x - 3, y=y - 3, width=6, height=6)
    if shape == "block":
        return tag("rect", class_=f"dot {colour}", x=x - 3.8, y=y - 3.8, width=7.6, height=7.6)
    if shape == "diamond":
        corners = f"M{x - 4.4:.2f} {y:.2f}l4.4 -4.4l4.4 4.4l-4.4 4.4z"
        return tag("path", class_=f"ring {colour}", d=corners)
    radius = 4.2 if shape == "dot" else 3.6
    return tag("circle", class_=f"{shape} {colour}", cx=x, cy=y, r=radius)
