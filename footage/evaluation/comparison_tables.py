"""Comparisons of several models as terminal tables, with models as rows."""

from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from footage.evaluation.differences import Difference, in_short
from footage.evaluation.leakage import COLUMN, short
from footage.evaluation.models import CHANCE
from footage.evaluation.results import ResultRow, warnings
from footage.evaluation.verdict_sentences import notes, verdict
from footage.evaluation.verdicts import ComparedModel, Comparison
from footage.metrics.intervals import percent


def comparison_tables(
    comparisons: Sequence[Comparison], *, is_alone: bool = False
) -> list[RenderableType]:
    """One table with all models, one by task if there are several, the warnings and the verdict.

    Args:
        comparisons: The models under each protocol.
        is_alone: Whether other tables of a single model show its tasks and warnings.
    """
    views: list[RenderableType] = [_overview(comparisons)]
    if not is_alone:
        views += [_by_task(each) for each in comparisons if len(each.weights) > 1]
        views += comparison_warnings(comparisons)
    return [Group(*views, *verdict_lines(comparisons))]


def verdict_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """The verdict, after what its intervals cover; empty without one."""
    found = verdict(comparisons)
    return [*notes(comparisons), f"verdict: {found}"] if found else []


def comparison_warnings(comparisons: Sequence[Comparison]) -> list[str]:
    """Warnings about all models, each with the name of its model."""
    return warnings([row for each in comparisons for row in _rows(each)])


def accuracy(model: ComparedModel, comparison: Comparison) -> str:
    """Format the accuracy of a model in percent, with an interval or its spread over seeds."""
    value = 100 * model.value(comparison.weights)
    if len(model.runs) > 1:
        deviation = 100 * float(np.std(model.run_values(comparison.weights), ddof=1))
        return f"{value:.1f} (sd {deviation:.1f} over {len(model.runs)} seeds)"
    if len(comparison.weights) == 1 and model.baseline != CHANCE:
        row = model.runs[0][next(iter(comparison.weights))]
        return percent(row.value, row.interval)
    return f"{value:.1f}"


def seen_before(model: ComparedModel) -> str:
    """Format the number of test images in a model's training data, over all tasks."""
    return short(*{row.task: row.leakage for row in model.rows}.values())


def _rows(comparison: Comparison) -> list[ResultRow]:
    return [row for model in comparison.models for row in model.rows]


def _overview(comparisons: Sequence[Comparison]) -> Table:
    first = comparisons[0]
    tasks = list(first.weights)
    place = tasks[0] if len(tasks) == 1 else f"mean of {len(tasks)} tasks"
    tested = f"{first.num_test:,} {first.unit}"
    view = Table(title=f"{place}: {first.metric} on {tested}, percent [95 % interval]")
    has_leakage = first.unit == "test images"
    view.add_column("model")
    for each in comparisons:
        view.add_column(each.protocol, justify="right")
        view.add_column("first model\nminus this one", justify="right")
    if has_leakage:
        view.add_column(COLUMN.replace(" in", "\nin"), justify="right")
    for number, model in enumerate(first.models):
        seen = [seen_before(model)] if has_leakage else []
        view.add_row(*_cells(comparisons, number, model), *seen)
    view.add_section()
    for number, model in enumerate(first.baselines):
        view.add_row(*_cells(comparisons, number, model))
    return view


def _cells(comparisons: Sequence[Comparison], number: int, model: ComparedModel) -> list[str]:
    """Name of a model, and its accuracy and difference under each protocol."""
    cells = [model.name]
    for each in comparisons:
        row = (each.baselines if model.baseline else each.models)[number]
        found = [d for d in (*each.differences, *each.to_baselines) if d.other == row.name]
        cells += [accuracy(row, each), _points(found)]
    return cells


def _points(found: Sequence[Difference]) -> str:
    return in_short(found[0]) if found else ""


def _by_task(comparison: Comparison) -> Table:
    view = Table(title=f"{comparison.protocol}, by task")
    view.add_column("task")
    models = [*comparison.models, *comparison.baselines]
    for model in models:
        view.add_column(model.name, justify="right")
    for task in comparison.weights:
        values = [np.mean([run[task].value for run in model.runs]) for model in models]
        view.add_row(task, *(f"{100 * value:.1f}" for value in values))
    return view
