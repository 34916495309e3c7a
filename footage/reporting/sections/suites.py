"""The section on suites: accuracies by task and group, averages, and what others published.

Each kind of number (suite, protocol, settings tried, seed rule) has charts and a table of its own,
so that what cannot be compared never stands side by side.
"""

from collections.abc import Sequence
from typing import Final

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
from footage.evaluation.suite_results import SuiteRow, warnings
from footage.metrics.intervals import percent
from footage.reporting.charts.intervals import Mark, accuracy, sample, shares
from footage.reporting.inputs import Judged
from footage.reporting.markup import Markup, caution, join, tag

CHANCE: Final = "chance"

Column = tuple[str, str, list[SuiteRow]]
"""A model's name on the page, its class of the style sheet, and its rows of one kind."""


def section(judged: Sequence[Judged]) -> Markup:
    """Charts and table of every kind of number; empty without any."""
    judged = _told_apart(judged)
    kinds = list(dict.fromkeys(identity(row) for each in judged for row in each.rows))
    if not kinds:
        return Markup("")
    note = (
        "Top-1 accuracy in percent. Settings are selected on the 200 validation images, the "
        "test part is read once for each seed. Bars and brackets are 95 % intervals of one run "
        "(Wilson), from the number of test images."
    )
    return tag(
        "section",
        tag("h2", "Benchmark suites"),
        tag("p", note, class_="note"),
        caution(_warnings(judged)),
        *(_kind(kind, judged) for kind in kinds),
        id="suites",
    )


def _told_apart(judged: Sequence[Judged]) -> list[Judged]:
    """Models in which tasks of the same name, but with other images, have names of their own."""
    images: dict[tuple[str, str], set[str]] = {}
    for row in (row for each in judged for row in each.rows if row.images):
        images.setdefault((row.suite, row.task), set()).add(row.images)

    def named(row: SuiteRow) -> SuiteRow:
        if len(images.get((row.suite, row.task), ())) < 2:
            return row
        return msgspec.structs.replace(row, task=f"{row.task} ({row.images[:8] or 'unknown'})")

    return [Judged(each.name, [named(row) for row in each.rows]) for each in judged]


def _warnings(judged: Sequence[Judged]) -> list[str]:
    several = sum(bool(each.rows) for each in judged) > 1
    return [
        f"{each.name}: {sentence}" if several else sentence
        for each in judged
        for sentence in warnings(each.rows)
    ]


def _kind(kind: Identity, judged: Sequence[Judged]) -> Markup:
    columns = _columns(kind, judged)
    every = [row for _, _, rows in columns for row in rows]
    tasks = list(dict.fromkeys((row.task, row.group) for row in every))
    groups = [group for group in GROUPS if any(group == each for _, each in tasks)]
    title = f"{kind.suite}, {kind.protocol}: {kind.sweep_size} settings tried, {kind.seed_rule}"
    charts = [
        shares(group, [(task, _marks(task, columns)) for task, each in tasks if each == group])
        for group in groups
    ]
    summaries = [summarise(rows) for _, _, rows in columns]
    return join(
        tag("h3", title),
        _legend(columns),
        tag("div", *charts, class_="charts"),
        tag("div", _table(tasks, columns, summaries), class_="wide"),
        *_others(kind, summaries),
    )


def _others(kind: Identity, summaries: Sequence[Summary]) -> list[Markup]:
    """What others published under the same protocol, averaged by the same rule."""
    rules = {average.averaging for summary in summaries for average in summary.headline}
    rows = [row for row in published(kind) if row.averaging in rules]
    if not rows:
        return []
    sources: dict[str, list[str]] = {}
    for row in rows:
        sources.setdefault(row.source, []).append(f"{row.model} {row.mean:.1f}")
    told = "; ".join(f"{', '.join(models)} ({source})" for source, models in sources.items())
    return [tag("p", f"Published, {rows[0].averaging}: {told}.", class_="note")]


def _columns(kind: Identity, judged: Sequence[Judged]) -> list[Column]:
    columns: list[Column] = []
    for number, each in enumerate(judged):
        rows = [row for row in each.rows if identity(row) == kind]
        for model in sorted({row.model for row in rows}, key=len):
            untrained = model.endswith(UNTRAINED)
            name = each.name + UNTRAINED * untrained
            colour = "untrained" if untrained else f"run{number % 6}"
            columns.append((name, colour, [row for row in rows if row.model == model]))
    return columns


def _marks(task: str, columns: Sequence[Column]) -> list[Mark]:
    found = [(name, colour, row) for name, colour, rows in columns for row in rows]
    found = [each for each in found if each[2].task == task]
    marks = [accuracy("chance", CHANCE, "tick", found[0][2].chance)]
    return marks + [
        accuracy(name, colour, _shape(colour), row.value, row.interval)
        for name, colour, row in found
    ]


def _shape(colour: str) -> str:
    return "ring" if colour == "untrained" else "dot"


def _legend(columns: Sequence[Column]) -> Markup:
    items = [tag("li", sample(CHANCE, "tick"), "chance (commonest class)")]
    items += [
        tag("li", sample(colour, _shape(colour)), f"{name}: {rows[0].start}, {rows[0].size} px")
        for name, colour, rows in columns
    ]
    return tag("ul", *items, class_="legend")


def _table(
    tasks: Sequence[tuple[str, str]], columns: Sequence[Column], summaries: Sequence[Summary]
) -> Markup:
    figures = ["chance", *(name for name, _, _ in columns)]
    by_task = [{row.task: row for row in rows} for _, _, rows in columns]
    body = []
    for task, group in tasks:
        rows = [found.get(task) for found in by_task]
        known = [row for row in rows if row is not None]
        cells = [percent(row.value, row.interval) if row else "" for row in rows]
        marks = ", ".join(dict.fromkeys(mark for row in known for mark in row.marks))
        body.append(_line(group, task, f"{100 * known[0].chance:.1f}", *cells, marks))
    body += _averages(summaries)
    head = tag(
        "tr",
        *(tag("th", name, scope="col") for name in ("group", "task")),
        *(tag("th", name, scope="col", class_="figure") for name in figures),
        tag("th", "marks", scope="col"),
    )
    return tag("table", tag("thead", head), tag("tbody", *body))


def _averages(summaries: Sequence[Summary]) -> list[Markup]:
    """Lines of means; in place of a mean that a missing task forbids, its name."""
    lines = []
    for group in GROUPS:
        averages = [summary.groups.get(group) for summary in summaries]
        if any(averages) and group != GROUPS[-1]:
            lines.append(_mean_line(averages))
    headlines = [summary.headline[0] if summary.headline else None for summary in summaries]
    if any(headlines):
        lines.append(_mean_line(headlines))
    for missing in dict.fromkeys(summary.missing for summary in summaries if summary.missing):
        words = f"no mean: {len(missing)} missing: {', '.join(missing)}"
        lines.append(tag("tr", tag("td", words, colspan=3 + len(summaries) + 1, class_="words")))
    return lines


def _mean_line(averages: Sequence[Average | None]) -> Markup:
    rule = one_averaging([average for average in averages if average])
    cells = [f"{100 * average.value:.1f}" if average else "" for average in averages]
    return _line("", rule, "", *cells, "")


def _line(group: str, task: str, *cells: str) -> Markup:
    *figures, marks = cells
    return tag(
        "tr",
        tag("td", group),
        tag("td", task, class_="name-of-file"),
        *(tag("td", figure, class_="figure") for figure in figures),
        tag("td", marks, class_="words"),
    )
