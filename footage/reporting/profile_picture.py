"""The charts of an invariance profile as one SVG file, for papers and issues."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from footage.invariance.results import Profiled
from footage.io import files
from footage.reporting.charts.axes import WIDTH
from footage.reporting.charts.intervals import IntervalChart, LegendItem
from footage.reporting.rendering import render, style_sheet
from footage.reporting.sections.invariance import charts, legend

CHARTS_PER_ROW: Final = 2
MARGIN: Final = 20
TITLE_HEIGHT: Final = 24
LINE_HEIGHT: Final = 20
LETTERS_PER_LINE: Final = 90
"""Length at which names in the legend are wrapped."""


class PlacedChart(NamedTuple):
    """A chart and its position in the picture."""

    chart: IntervalChart
    x: float
    y: float


class PlacedItem(NamedTuple):
    """One line of a legend entry; only the first line of a name has a point."""

    item: LegendItem | None
    text: str
    y: float


class Picture(NamedTuple):
    """Data of `profile.svg.j2`."""

    style: str
    width: float
    height: float
    charts: Sequence[PlacedChart]
    legend: Sequence[PlacedItem]


def draw_profiles(path: Path, models: Sequence[Profiled]) -> Path:
    """Write the charts and their legend to an SVG file.

    Args:
        path: The SVG file.
        models: The measured profiles, one colour and shape each; baselines are hollow.

    Raises:
        OutputError: The file cannot be written.
    """
    files.write_text(path, render("profile.svg.j2", picture=_picture(models)))
    return path


def _picture(models: Sequence[Profiled]) -> Picture:
    items = legend(models)
    placed, y = _placed(charts(models, items))
    lines = list(_legend(items, y))
    columns = min(CHARTS_PER_ROW, len(placed))
    width = MARGIN + columns * (WIDTH + MARGIN)
    return Picture(_style(), width, y + LINE_HEIGHT * len(lines) + MARGIN, placed, lines)


def _placed(drawn: Sequence[IntervalChart]) -> tuple[list[PlacedChart], float]:
    """Arrange the charts in rows; return them and the end of the last row."""
    placed, y = [], float(MARGIN)
    for start in range(0, len(drawn), CHARTS_PER_ROW):
        row = drawn[start : start + CHARTS_PER_ROW]
        placed += [
            PlacedChart(chart, MARGIN + place * (WIDTH + MARGIN), y)
            for place, chart in enumerate(row)
        ]
        y += TITLE_HEIGHT + max(chart.height for chart in row) + MARGIN
    return placed, y


def _legend(items: Sequence[LegendItem], y: float) -> Iterator[PlacedItem]:
    for item in items:
        for number, line in enumerate(textwrap.wrap(item.text, LETTERS_PER_LINE) or [""]):
            yield PlacedItem(None if number else item, line, y)
            y += LINE_HEIGHT


def _style() -> str:
    """Return the style rules of charts, with the light colours written out.

    Many programs that show SVG files do not support CSS variables.
    """
    sheet = style_sheet()
    light = sheet.partition("@media")[0]
    values = dict(re.findall(r"--(\w+): ([^;]+);", light))
    rules = re.findall(r"^(?:svg |\.(?:run\d|untrained|pixels|chance) ).*$", sheet, re.MULTILINE)
    return re.sub(r"var\(--(\w+)\)", lambda found: values[found[1]], "\n".join(rules))
