"""Shared style of the result figures: a dot for each seed, a vertical bar for their mean."""

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

INK, BASE, GRID = "#24292f", "#8c8c8c", "#e3e6ea"
CONTROLS = {"frames-as-images": "#0072b2", "ex-frame": "#d55e00"}
STYLE = {"svg.hashsalt": "footage", "font.size": 9, "text.color": INK}


def frame(axes: Axes, title: str, unit: str) -> None:
    """Set the title at the left and a grid to read values from, without a box."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(unit)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def dots(axes: Axes, place: float, values: Sequence[float], colour: str) -> None:
    """Draw one arm: its seeds and their mean."""
    axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.45, markersize=4.5)
    axes.plot([statistics.mean(values)], [place], "|", color=colour, markersize=9, mew=2)


def places(row: float, many: int) -> list[float]:
    """Return the positions of several arms in a row, spread around its middle."""
    return [row + 0.22 * (index - (many - 1) / 2) for index in range(many)]


def legend(marks: Mapping[str, tuple[str, str]]) -> list[Line2D]:
    """Create a legend of markers and colours by name."""
    return [
        Line2D([], [], marker=mark, linestyle="", color=colour, label=name)
        for name, (mark, colour) in marks.items()
    ]
