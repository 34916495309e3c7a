"""Benchmark suites: accuracies by task and group, averages, and published results.

Each kind of number (suite, protocol, number of settings, seed rule) has its own charts and table,
because results of different kinds cannot be compared.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from footage.evaluation.averages import (
    GROUPS,
    Average,
    Identity,
    Summary,
    identity,
    one_averaging,
    published,
    summarise,
)
from footage.evaluation.models import UNTRAINED
from footage.evaluation.results import ResultRow, warnings
from footage.metrics.intervals import percent
from footage.reporting.charts.intervals import (
    IntervalChart,
    LegendItem,
    Point,
    accuracy,
    fractions,
)
from footage.reporting.inputs import SuiteResults
from footage.reporting.tables import FIGURE, NAME, WORDS, Cell, Column, Section, Table, run_colour


class Evaluated(NamedTuple):
    """A model and its results of one kind."""

    name: str
    is_untrained: bool
    number: int
    """Position on the page of its run."""
    rows: Sequence[ResultRow]

    @property
    def colour(self) -> str:
        """A class of the style sheet."""
        return "untrained" if self.is_untrained else run_colour(self.number)

    @property
    def shape(self) -> str:
        """The shape of its points."""
        return "ring" if self.is_untrained else "dot"


class KindView(NamedTuple):
    """Comparable numbers."""

    title: str
    legend: Sequence[LegendItem]
    charts: Sequence[IntervalChart]
    table: Table
    published: str
    """Published results under the same protocol; empty if none are known."""


class View(NamedTuple):
    """Data of `suites.html.j2`."""

    warnings: Sequence[str]
    kinds: Sequence[KindView]


def section(evaluated: Sequence[SuiteResults]) -> Section | None:
    """Charts and table of every kind of number; None without any."""
    evaluated = _with_unique_task_names(evaluated)
    kinds = list(dict.fromkeys(identity(row) for each in evaluated for row in each.rows))
    if not kinds:
        return None
    view = View(_warnings(evaluated), [_kind(kind, evaluated) for kind in kinds])
    return Section("suites", "Benchmark suites", "suites.html.j2", view)


def _with_unique_task_names(evaluated: Sequence[SuiteResults]) -> list[SuiteResults]:
    """Add a hash to the names of tasks that have the same name but different images."""
    images: dict[tuple[str, str], set[str]] = {}
    for row in (row for each in evaluated for row in each.rows if row.images):
        images.setdefault((row.suite, row.task), set()).add(row.images)

    def named(row: ResultRow) -> ResultRow:
        if len(images.get((row.suite, row.task), ())) < 2:
            return row
        return msgspec.structs.replace(row, task=f"{row.task} ({row.images[:8] or 'unknown'})")

    return [SuiteResults(each.name, [named(row) for row in each.rows]) for each in evaluated]


def _warnings(evaluated: Sequence[SuiteResults]) -> list[str]:
    several = sum(bool(each.rows) for each in evaluated) > 1
    found = [
        f"{each.name}: {sentence}" if several else sentence
        for each in evaluated
        for sentence in warnings(each.rows)
    ]
    return list(dict.fromkeys(found))


def _kind(kind: Identity, evaluated: Sequence[SuiteResults]) -> KindView:
    models = _models(kind, evaluated)
    tasks = list(dict.fromkeys((row.task, row.group) for each in models for row in each.rows))
    groups = [group for group in GROUPS if any(group == each for _, each in tasks)]
    summaries = [summarise(each.rows) for each in models]
    legend = [LegendItem("chance", "tick", "chance (most common class)")]
    legend += [
        LegendItem(each.colour, each.shape, f"{each.name}: {row.weights_origin}, {row.size} px")
        for each in models
        for row in each.rows[:1]
    ]
    return KindView(
        f"{kind.suite}, {kind.protocol}: {kind.sweep_size} settings tried, {kind.seed_rule}",
        legend,
        [
            fractions(group, [(task, _points(task, models)) for task, of in tasks if of == group])
            for group in groups
        ],
        _table(tasks, models, summaries),
        _published(kind, summaries),
    )


def _models(kind: Identity, evaluated: Sequence[SuiteResults]) -> list[Evaluated]:
    models = []
    for number, each in enumerate(evaluated):
        rows = [row for row in each.rows if identity(row) == kind]
        for model in sorted({row.model for row in rows}, key=len):
            is_untrained = model.endswith(UNTRAINED)
            name = each.name + UNTRAINED * is_untrained
            own = [row for row in rows if row.model == model]
            models.append(Evaluated(name, is_untrained, number, own))
    return models


def _points(task: str, models: Sequence[Evaluated]) -> list[Point]:
    found = [(each, row) for each in models for row in each.rows if row.task == task]
    return [
        accuracy("chance", "chance", "tick", found[0][1].chance),
        *(
            accuracy(each.name, each.colour, each.shape, row.value, row.interval)
            for each, row in found
        ),
    ]


def _published(kind: Identity, summaries: Sequence[Summary]) -> str:
    """Describe published results under the same protocol and averaging rule."""
    rules = {average.averaging for summary in summaries for average in summary.headline}
    rows = [row for row in published(kind) if row.averaging in rules]
    if not rows:
        return ""
    sources: dict[str, list[str]] = {}
    for row in rows:
        sources.setdefault(row.source, []).append(f"{row.model} {row.mean:.1f}")
    listed = "; ".join(f"{', '.join(models)} ({source})" for source, models in sources.items())
    return f"Published, {rows[0].averaging}: {listed}."


# --- table ---------------------------------------------------------------------------------------


def _table(
    tasks: Sequence[tuple[str, str]], models: Sequence[Evaluated], summaries: Sequence[Summary]
) -> Table:
    columns = [Column("task", NAME), Column("group"), Column("chance", FIGURE)]
    columns += [Column(each.name, FIGURE) for each in models]
    columns.append(Column("deviations", WORDS))
    by_task = [{row.task: row for row in each.rows} for each in models]
    rows: list[list[Cell] | str] = []
    for task, group in tasks:
        found = [each.get(task) for each in by_task]
        known = [row for row in found if row is not None]
        deviations = ", ".join(dict.fromkeys(each for row in known for each in row.deviations))
        cells = [Cell(percent(row.value, row.interval)) if row else Cell("") for row in found]
        chance = Cell(f"{100 * known[0].chance:.1f}")
        rows.append([Cell(task), Cell(group), chance, *cells, Cell(deviations)])
    return Table("Accuracy by task", columns, rows + _averages(summaries))


def _averages(summaries: Sequence[Summary]) -> list[list[Cell] | str]:
    """Rows of means; missing tasks are listed instead of a mean without them."""
    rows: list[list[Cell] | str] = []
    for group in GROUPS[:-1]:
        rows += _mean([summary.groups.get(group) for summary in summaries])
    rows += _mean([summary.headline[0] if summary.headline else None for summary in summaries])
    for missing in dict.fromkeys(summary.missing for summary in summaries if summary.missing):
        rows.append(f"No mean: {len(missing)} missing: {', '.join(missing)}")
    return rows


def _mean(averages: Sequence[Average | None]) -> list[list[Cell] | str]:
    known = [average for average in averages if average]
    if not known:
        return []
    cells = [Cell(f"{100 * each.value:.1f}" if each else "") for each in averages]
    return [[Cell(one_averaging(known)), Cell(""), Cell(""), *cells, Cell("")]]
