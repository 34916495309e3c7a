"""A model next to its baselines: the numbers of one measure, what they mean, and a terminal table.

better                 the 95 % interval of the difference lies above 0
worse                  it lies below 0
no clear difference    it contains 0
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table

from footage.evaluation.results import (
    COLUMNS,
    MAJORITY,
    NEAREST,
    ResultRow,
    is_untrained,
    warnings,
)
from footage.metrics.intervals import difference, percent

BETTER: Final = "better"
WORSE: Final = "worse"
UNCLEAR: Final = "no clear difference"

BASELINES: Final = {"untrained": "the untrained network", "pixels": "raw pixels"}
"""Columns that a model is compared with, in words."""


class Comparison(NamedTuple):
    """One measure of a model and of its baselines."""

    task: str
    protocol: str
    cells: Mapping[str, ResultRow]
    """By column: at least `untrained` and `model`."""

    def against(self, column: str) -> str:
        """`BETTER`, `WORSE` or `UNCLEAR`."""
        ours, theirs = self.cells["model"], self.cells[column]
        low, high = difference(ours.value, ours.num_test, theirs.value, theirs.num_test)
        return BETTER if low > 0 else WORSE if high < 0 else UNCLEAR

    @property
    def verdict(self) -> str:
        """All baselines in a phrase, such as `better than the untrained network and raw pixels`."""
        found: dict[str, list[str]] = {}
        for column, words in BASELINES.items():
            if column in self.cells:
                found.setdefault(self.against(column), []).append(words)
        return "; ".join(
            f"{verdict} {'from' if verdict == UNCLEAR else 'than'} {' and '.join(names)}"
            for verdict, names in found.items()
        )


def comparisons(rows: Sequence[ResultRow]) -> Iterator[Comparison]:
    """Every task and protocol for which the model and the untrained network were measured."""
    for task, protocol in dict.fromkeys(
        (row.task, row.protocol) for row in rows if row.protocol != MAJORITY
    ):
        cells = {
            row.column: row
            for row in rows
            if row.task == task and row.protocol in (protocol, MAJORITY)
        }
        if {"model", "untrained"} <= set(cells):
            yield Comparison(task, protocol, cells)


def pixels_ahead(measured: Iterable[Comparison]) -> str:
    """A sentence that explains where raw pixels are better than the model; empty if nowhere."""
    tasks = [
        f"{each.task} ({each.protocol})"
        for each in measured
        if "pixels" in each.cells and each.against("pixels") == WORSE
    ]
    if not tasks:
        return ""
    return (
        f"Raw pixels are ahead on {', '.join(tasks)}. This happens where colours or positions "
        "alone give the answer: training varies both on purpose, so that the backbone does not "
        "rely on them."
    )


def table(rows: Sequence[ResultRow]) -> RenderableType:
    """Results as terminal tables: one line per task and protocol, one column per `COLUMNS`."""
    retrieval = [row for row in rows if row.protocol == NEAREST]
    labelled = [row for row in rows if row.protocol != NEAREST]
    titled = {
        "held-out videos: nearest frame is a right one, percent [95 % interval]": retrieval,
        "top-1 accuracy on the test part, percent [95 % interval]": labelled,
    }
    views = [_table(title, part) for title, part in titled.items() if part]
    return Group(*views, *warnings(rows))


def _table(title: str, rows: Sequence[ResultRow]) -> Table:
    counted = "shots" if rows[0].protocol == NEAREST else "test images"
    view = Table(title=title)
    view.add_column("task")
    view.add_column("protocol")
    for column in (*COLUMNS, "model - untrained", counted):
        view.add_column(column, justify="right")
    for task, protocol, cells in comparisons(rows):
        gain = 100 * (cells["model"].value - cells["untrained"].value)
        view.add_row(
            task,
            protocol,
            *(percent(cells[name].value, cells[name].interval) for name in COLUMNS),
            "same network" if is_untrained(cells) else f"{gain:+.1f}",
            str(cells["model"].num_test),
        )
    return view
