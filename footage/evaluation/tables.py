"""Results as terminal tables.

Labelled images and held-out videos have a line per task and protocol, with the model next to its
baselines. A suite has a table per protocol: tasks by group, averages below.
"""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from footage.evaluation.averages import Summary, identity, one_identity, published
from footage.evaluation.comparison_tables import comparison_tables, verdict_lines
from footage.evaluation.comparisons import ROLES, comparisons
from footage.evaluation.results import (
    MODEL,
    NEAREST,
    ON_VIDEOS,
    PROPAGATION,
    ResultRow,
    is_untrained,
    warnings,
)
from footage.evaluation.verdicts import Comparison
from footage.metrics.intervals import percent


def tables(
    rows: Sequence[ResultRow],
    summaries: Mapping[str, Summary],
    compared: Sequence[Comparison] = (),
) -> list[RenderableType]:
    """All tables of one evaluation, with its warnings and its verdict.

    Args:
        rows: Rows of the models and their baselines.
        summaries: Averages of the first model by protocol; empty except for a suite.
        compared: The models compared under each protocol.
    """
    models = list(dict.fromkeys(row.model for row in rows if not row.baseline))
    if len(models) > 1:
        views: list[RenderableType] = [
            Group(f"{each[-1].model}:", *_single(each))
            for each in _by_model([row for row in rows if row.protocol == NEAREST])
        ]
        views += _parts(rows)
        return [*views, *(comparison_tables(compared) if compared else [])]
    if summaries:
        evaluated = [row for row in rows if row.model == (models or [rows[0].model])[0]]
        views = [  # of one model
            _suite([row for row in evaluated if row.protocol == protocol], summary)
            for protocol, summary in summaries.items()
        ]
        return [*views, *(comparison_tables(compared, is_alone=True) if compared else [])]
    return [Group(*_single(rows), *verdict_lines(compared))]


def _by_model(rows: Sequence[ResultRow]) -> list[list[ResultRow]]:
    """Rows of each model with those of its baselines, which come before it."""
    found: dict[str, list[ResultRow]] = {}
    waiting: list[ResultRow] = []
    for row in rows:
        waiting.append(row)
        if not row.baseline:
            found.setdefault(row.model, []).extend(waiting)
            waiting = []
    return list(found.values())


def _single(rows: Sequence[ResultRow]) -> list[RenderableType]:
    """The tables of one model next to its baselines, and the warnings."""
    titled = {
        "held-out videos: nearest-frame accuracy, percent [95 % interval]": [
            row for row in rows if row.protocol == NEAREST
        ],
        "propagated masks: J&F, percent [95 % interval]": [
            row for row in rows if row.protocol == PROPAGATION
        ],
        "top-1 accuracy on the test part, percent [95 % interval]": [
            row for row in rows if row.protocol not in ON_VIDEOS
        ],
    }
    views: list[RenderableType] = [_compared(title, part) for title, part in titled.items() if part]
    return [*views, *_parts(rows), *warnings(rows)]


def _parts(rows: Sequence[ResultRow]) -> list[RenderableType]:
    """A table of J and F, which J&F is the mean of; none without masks."""
    rows = [row for row in rows if row.clips]
    if not rows:
        return []
    view = Table(title=f"{rows[0].metric} in parts, percent")
    view.add_column("task")
    view.add_column("model")
    names = (*rows[0].parts, rows[0].metric)
    for name in names:
        view.add_column(name, justify="right")
    view.add_column("objects", justify="right")
    for row in rows:
        values = (*row.parts.values(), row.value)
        listed = [f"{100 * value:.1f}" for value in values]
        view.add_row(row.task, row.model, *listed, str(row.num_classes))
    return [view]


def _compared(title: str, rows: Sequence[ResultRow]) -> Table:
    counted = {NEAREST: "shots", PROPAGATION: "clips"}.get(rows[0].protocol, "test images")
    view = Table(title=title)
    view.add_column("task")
    view.add_column("protocol")
    for name in (*ROLES, "model - untrained", counted):
        view.add_column(name, justify="right")
    for task, protocol, cells in comparisons(rows):
        known = (cells.get(role) for role in ROLES)
        view.add_row(
            task,
            protocol,
            *(percent(row.value, row.interval) if row else "" for row in known),
            _gain(cells),
            str(cells[MODEL].num_test),
        )
    return view


def _gain(cells: Mapping[str, ResultRow]) -> str:
    if "untrained" not in cells:
        return ""
    if is_untrained(cells):
        return "same network"
    return f"{100 * (cells[MODEL].value - cells['untrained'].value):+.1f}"


def _suite(rows: Sequence[ResultRow], summary: Summary) -> RenderableType:
    kind = one_identity([identity(row) for row in rows])
    first = rows[0]
    view = Table(
        title=f"{first.model} on {kind.suite}, {kind.protocol}: top-1 accuracy,"
        " percent [95 % interval]",
    )
    for name in ("group", "task"):
        view.add_column(name)
    for name in ("test", "chance", "validation", "test images"):
        view.add_column(name, justify="right")
    view.add_column("selected")
    for row in rows:
        view.add_row(
            row.group,
            row.task + "".join(f" ({each})" for each in row.deviations),
            percent(row.value, row.interval),
            f"{100 * row.chance:.1f}",
            f"{100 * row.validation:.1f}",
            str(row.num_test),
            _selected(row),
        )
    view.add_section()
    groups = summary.groups.values() if len(summary.groups) > 1 else ()
    for average in (*groups, *summary.headline):
        view.add_row("", average.averaging, f"{100 * average.value:.1f}")
    return Group(view, *_words(first, summary), *warnings(rows))


def _words(row: ResultRow, summary: Summary) -> list[str]:
    """Notes on how the numbers were obtained, and on missing ones."""
    lines = [
        f"{row.weights_origin}; {row.size} px, {row.resize} resize, mean {_numbers(row.mean)}, "
        f"deviation {_numbers(row.std)}; {row.sweep_size} settings tried, {row.seed_rule}, "
        f"{row.precision}"
    ]
    if summary.missing:
        lines.append(
            f"no mean: {len(summary.missing)} tasks are missing: {', '.join(summary.missing)}"
        )
    rules = {average.averaging for average in summary.headline}
    others = [each for each in published(identity(row)) if each.averaging in rules]
    if others:
        listed = ", ".join(f"{each.model} {each.mean:.1f}" for each in others)
        lines.append(f"published for the same protocol: {listed}")
    return lines


def _selected(row: ResultRow) -> str:
    chosen = {name: _short(value) for name, value in row.selected.items()}
    known = ("optimizer", "learning_rate", "weight_decay", "steps", "batch_size")
    if not all(name in chosen for name in known):
        return " ".join(f"{name}={value}" for name, value in chosen.items())
    optimizer, rate, decay, steps, batch = (chosen[name] for name in known)
    decayed = "" if decay == "0" else f", decay {decay}"
    return f"{optimizer} {rate}{decayed}, {steps} steps of {batch}"


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3g}" for value in values)
