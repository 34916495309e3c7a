"""Comparisons of models on the same test images: the verdict, a chart and a table of models."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from footage.evaluation.comparison_tables import accuracy as accuracy_text
from footage.evaluation.comparison_tables import comparison_warnings, seen_before
from footage.evaluation.differences import in_short
from footage.evaluation.leakage import COLUMN
from footage.evaluation.results import ResultRow
from footage.evaluation.verdict_sentences import notes, verdict
from footage.evaluation.verdicts import ComparedModel, Comparison, compare, place
from footage.reporting.charts.intervals import IntervalChart, Point, accuracy, fractions
from footage.reporting.inputs import Run, SuiteResults
from footage.reporting.tables import FIGURE, NAME, Cell, Column, Section, Table, run_colour

SHAPES = {"chance": "tick", "pixels": "square", "untrained": "ring"}


class ComparisonView(NamedTuple):
    """One set of models on the same data."""

    title: str
    verdict: str
    warnings: Sequence[str]
    charts: Sequence[IntervalChart]
    table: Table
    notes: Sequence[str]


def comparisons_of(
    files: Sequence[Sequence[ResultRow]], runs: Sequence[Run], others: Sequence[SuiteResults]
) -> list[list[Comparison]]:
    """Compare the models of each file, and those on the page that share their test images.

    Args:
        files: The rows of each comparison that `evaluate` wrote.
        runs: The runs on the page.
        others: Other models that were evaluated on suites.
    """
    labelled = [row for run in runs for row in run.rows]
    on_suites = [row for run in runs for row in run.suite_rows]
    on_suites += [row for each in others for row in each.rows]
    suites = dict.fromkeys(row.suite for row in on_suites)
    groups = [
        *files,
        *_by_test_images(labelled),
        *([row for row in on_suites if row.suite == suite] for suite in suites),
    ]
    found: list[list[Comparison]] = []
    shown: list[set[tuple[str, str]]] = []
    for rows in groups:
        compared = [each for each in compare(rows) if each.differences]
        content = {(row.model, row.images) for row in rows if not row.baseline and row.has_answers}
        if compared and not any(content <= earlier for earlier in shown):
            found.append(compared)
            shown.append(content)
    return found


def section(
    comparisons: Sequence[Sequence[Comparison]], runs: Sequence[Run] = ()
) -> Section | None:
    """All comparisons, with the runs in the colours of the page; None without any."""
    if not comparisons:
        return None
    numbers = {
        row.weights: number
        for number, run in enumerate(runs)
        for row in (*run.rows, *run.suite_rows)
        if row.weights and not row.baseline
    }
    views = [_view(each, _colours(each[0], numbers, len(runs))) for each in comparisons]
    return Section("comparison", "Comparison", "comparison.html.j2", views)


def _by_test_images(rows: Sequence[ResultRow]) -> list[list[ResultRow]]:
    """Rows of each set of models that were evaluated on the same labelled images, or masks."""
    models: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.images and not row.baseline:
            models.setdefault((row.metric, row.images), {})[row.model] = None
    groups: dict[tuple[str, ...], list[str]] = {}
    for (metric, images), names in models.items():
        groups.setdefault((metric, *names), []).append(images)
    return [[row for row in rows if row.images in images] for images in groups.values()]


def _colours(comparison: Comparison, numbers: Mapping[str, int], num_runs: int) -> list[str]:
    """The colour of each model; those that are not runs on the page follow the runs."""
    more = itertools.count(num_runs)
    own = [numbers.get(model.rows[0].weights) for model in comparison.models]
    return [run_colour(next(more) if number is None else number) for number in own]


def _view(comparisons: Sequence[Comparison], colours: Sequence[str]) -> ComparisonView:
    return ComparisonView(
        place(comparisons[0]),
        verdict(comparisons),
        comparison_warnings(comparisons),
        [_chart(each, colours) for each in comparisons],
        _table(comparisons),
        notes(comparisons),
    )


def _chart(comparison: Comparison, colours: Sequence[str]) -> IntervalChart:
    models = [*comparison.models, *comparison.baselines]
    styles = [*colours, *(model.baseline for model in comparison.baselines)]
    rows = [
        (model.name, [_point(style, model, comparison)])
        for style, model in zip(styles, models, strict=True)
    ]
    metric = "accuracy" if comparison.unit == "test images" else comparison.metric
    return fractions(f"{comparison.protocol}, {metric} in percent", rows)


def _point(style: str, model: ComparedModel, comparison: Comparison) -> Point:
    is_single = len(comparison.weights) == len(model.runs) == 1 and model.baseline != "chance"
    row = model.rows[0]
    return accuracy(
        model.name,
        style,
        SHAPES.get(model.baseline, "dot"),
        model.value(comparison.weights),
        row.interval if is_single else None,
    )


def _table(comparisons: Sequence[Comparison]) -> Table:
    columns = [Column("model", NAME)]
    for each in comparisons:
        columns += [Column(each.protocol, FIGURE), Column("first model minus this one", FIGURE)]
    first = comparisons[0]
    has_leakage = first.unit == "test images"
    columns += [Column(COLUMN, FIGURE)] * has_leakage
    rows = [
        [
            *_cells(comparisons, number, model),
            *[Cell("" if model.baseline else seen_before(model))] * has_leakage,
        ]
        for models in (first.models, first.baselines)
        for number, model in enumerate(models)
    ]
    return Table("Models compared, with 95 % intervals", columns, rows)


def _cells(comparisons: Sequence[Comparison], number: int, model: ComparedModel) -> list[Cell]:
    cells = [Cell(model.name)]
    for each in comparisons:
        same = (each.baselines if model.baseline else each.models)[number]
        found = [d for d in (*each.differences, *each.to_baselines) if d.other == same.name]
        cells += [
            Cell(accuracy_text(same, each)),
            Cell(in_short(found[0]) if found else ""),
        ]
    return cells
