"""Plain data that the templates show: sections, tables and legends."""

from collections.abc import Sequence
from typing import NamedTuple

FIGURE = "figure"
WORDS = "words"
NAME = "name-of-file"
"""Styles of columns: right-aligned numbers, phrases, and names that users chose."""


class Section(NamedTuple):
    """One section of the page."""

    key: str
    """Target of the link in the table of contents."""
    title: str
    template: str
    view: object
    """Data by the names that the template uses."""


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    interval: str = ""
    is_best: bool = False


class Column(NamedTuple):
    """A column of a table."""

    title: str
    style: str = ""
    """One of the styles above, or empty."""


class Table(NamedTuple):
    """A table that scrolls horizontally inside its own box if the window is narrow."""

    label: str
    """Label of the table for screen readers."""
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell] | str]
    """Cells by column; a string is a heading across all columns."""


NUM_COLOURS = 6
"""Colours of runs in the style sheet."""


def run_colour(number: int) -> str:
    """Return the class of the style sheet for a run, by its position on the page."""
    return f"run{number % NUM_COLOURS}"
