"""Results on a suite as terminal tables: one for each protocol, tasks by group, averages below."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from footage.evaluation.averages import Summary, identity, one_identity, published
from footage.evaluation.suite_results import SuiteRow, warnings
from footage.metrics.intervals import percent


def suite_tables(
    rows: Sequence[SuiteRow], summaries: Mapping[str, Summary]
) -> list[RenderableType]:
    """A table for each protocol, with what it rests on in words.

    Args:
        rows: Of one model on one suite.
        summaries: Averages by protocol.
    """
    return [
        _table([row for row in rows if row.protocol == protocol], summary)
        for protocol, summary in summaries.items()
    ]


def _table(rows: Sequence[SuiteRow], summary: Summary) -> RenderableType:
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
            row.task + "".join(f" ({mark})" for mark in row.marks),
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


def _words(row: SuiteRow, summary: Summary) -> list[str]:
    """What the numbers rest on, and what is missing."""
    lines = [
        f"{row.start}; {row.size} px, {row.resize} resize, mean {_numbers(row.mean)}, "
        f"deviation {_numbers(row.std)}; {row.sweep_size} settings tried, {row.seed_rule}, "
        f"{row.precision}"
    ]
    if summary.missing:
        lines.append(
            f"no mean: {len(summary.missing)} tasks are missing: {', '.join(summary.missing)}"
        )
    rules = {average.averaging for average in summary.headline}
    beside = [each for each in published(identity(row)) if each.averaging in rules]
    if beside:
        told = ", ".join(f"{each.model} {each.mean:.1f}" for each in beside)
        lines.append(f"published for the same protocol: {told}")
    return lines


def _selected(row: SuiteRow) -> str:
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
