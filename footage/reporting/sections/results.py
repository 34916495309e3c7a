"""Results on held-out videos, on masks and on labelled images, compared with baselines."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from footage.evaluation.comparisons import ROLES, Comparison, comparisons, pixels_ahead
from footage.evaluation.leakage import COLUMN, is_clean, short
from footage.evaluation.results import MODEL, NEAREST, PROPAGATION, ResultRow, warnings
from footage.reporting.charts.intervals import (
    IntervalChart,
    LegendItem,
    Point,
    accuracy,
    fractions,
)
from footage.reporting.inputs import Run
from footage.reporting.tables import FIGURE, NAME, WORDS, Cell, Column, Section, Table, run_colour

SHAPES: Final = {"chance": "tick", "pixels": "square", "untrained": "ring", "model": "dot"}

TITLES: Final = {
    "chance": "chance",
    "pixels": "raw pixels (16\u00a0×\u00a016)",
    "untrained": "same network, untrained",
}

PROTOCOLS: Final = {
    "knn": "kNN",
    "linear": "linear",
    NEAREST: "nearest frame",
    PROPAGATION: "propagation",
}

Kind = Literal["labelled images", "held-out videos", "masks"]
"""What the models were evaluated on."""

_KINDS: Final[dict[str, Kind]] = {NEAREST: "held-out videos", PROPAGATION: "masks"}
"""By protocol; others are evaluated on labelled images."""

_TESTED: Final[dict[Kind, str]] = {
    "labelled images": "test images",
    "held-out videos": "shots",
    "masks": "clips",
}


class Result(NamedTuple):
    """One measure of one run next to its baselines."""

    number: int
    """The run's position on the page."""
    run: Run
    measured: Comparison

    @property
    def protocol(self) -> str:
        """The protocol in words."""
        return PROTOCOLS.get(self.measured.protocol, self.measured.protocol)


class View(NamedTuple):
    """Data of `results.html.j2`."""

    kind: Kind
    hint: str
    """The command that evaluates the first run; empty if there are results."""
    are_unseen: bool
    """Whether the test images are known to be new to the models."""
    num_older: int
    """Number of rows that a newer evaluation replaces."""
    warnings: Sequence[str]
    legend: Sequence[LegendItem]
    charts: Sequence[IntervalChart]
    pixels_ahead: Sequence[str]
    """Sentences about runs for which raw pixels are better."""
    table: Table | None


def retrieval_section(runs: Sequence[Run]) -> Section | None:
    """Retrieval in held-out videos; None if it was not evaluated."""
    title = "Retrieval in held-out videos"
    return _optional("held-out", title, runs, "held-out videos")


def propagation_section(runs: Sequence[Run]) -> Section | None:
    """Masks propagated through clips; None if they were not evaluated."""
    return _optional("masks", "Propagation of masks", runs, "masks")


def _optional(key: str, title: str, runs: Sequence[Run], kind: Kind) -> Section | None:
    results = _results(runs, kind)
    return Section(key, title, "results.html.j2", _view(results, runs, kind)) if results else None


def section(runs: Sequence[Run]) -> Section | None:
    """Evaluations on labelled images; None if the runs were evaluated on other data only."""
    kind: Kind = "labelled images"
    results = _results(runs, kind)
    title = "Evaluation on labelled images"
    if results:
        view = _view(results, runs, kind)
    elif not runs or any(run.rows or run.suite_rows for run in runs):
        return None
    else:
        hint = f"footage evaluate {runs[0].path} --labels DIR"
        view = View(kind, hint, False, 0, [], [], [], [], None)
    return Section("evaluation", title, "results.html.j2", view)


def _results(runs: Sequence[Run], kind: Kind) -> list[Result]:
    return [
        Result(number, run, measured)
        for number, run in enumerate(runs)
        for measured in comparisons(run.rows)
        if _KINDS.get(measured.protocol, "labelled images") == kind
    ]


def _view(results: Sequence[Result], runs: Sequence[Run], kind: Kind) -> View:
    shown = {each.number: each.run for each in results}
    rows = {number: _rows(number, results) for number in shown}
    models = [each.measured.cells[MODEL] for each in results]
    named = {number: f"{run.name}: " if len(runs) > 1 else "" for number, run in shown.items()}
    behind = {
        number: pixels_ahead(each.measured for each in results if each.number == number)
        for number in shown
    }
    legend = [LegendItem(key, SHAPES[key], title) for key, title in TITLES.items()]
    legend += [LegendItem(run_colour(number), "dot", run.name) for number, run in shown.items()]
    return View(
        kind=kind,
        hint="",
        are_unseen=all(is_clean(row.leakage) for row in models),
        num_older=sum(run.num_older for run in runs),
        warnings=[named[number] + each for number in shown for each in warnings(rows[number])],
        legend=legend,
        charts=[_chart(task, results) for task in _tasks(results)],
        pixels_ahead=[named[number] + words for number, words in behind.items() if words],
        table=_table(results, kind),
    )


def _tasks(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(each.measured.task for each in results))


def _rows(number: int, results: Sequence[Result]) -> list[ResultRow]:
    return [
        row for each in results if each.number == number for row in each.measured.cells.values()
    ]


def _chart(task: str, results: Sequence[Result]) -> IntervalChart:
    points: dict[str, list[Point]] = {}
    for each in results:
        if each.measured.task == task:
            found = points.setdefault(each.protocol, [])
            # Runs with the same backbone and seed share their baselines.
            found += [point for point in _points(each) if point not in found]
    order = list(SHAPES.values())
    rows = [
        (protocol, sorted(found, key=lambda point: order.index(point.shape)))
        for protocol, found in points.items()
    ]
    return fractions(task, rows)


def _points(result: Result) -> list[Point]:
    return [
        accuracy(
            TITLES.get(key, result.run.name),
            run_colour(result.number) if key == MODEL else key,
            SHAPES[key],
            row.value,
            row.interval if key != "chance" else None,
        )
        for key, row in result.measured.cells.items()
    ]


def _table(results: Sequence[Result], kind: Kind) -> Table:
    columns = [Column("task", NAME), Column("protocol"), Column("run", NAME)]
    columns += [Column(TITLES.get(key, "model"), FIGURE) for key in ROLES]
    columns.append(Column(_TESTED[kind], FIGURE))
    if kind == "masks":
        columns += [Column(name, FIGURE) for name in results[0].measured.cells[MODEL].parts]
    if kind == "labelled images":
        columns += [Column(COLUMN, FIGURE), Column("selected", WORDS)]
    columns.append(Column("split", WORDS))
    tasks = _tasks(results)
    protocols = list(dict.fromkeys(each.protocol for each in results))
    ordered = sorted(
        results, key=lambda each: (tasks.index(each.measured.task), protocols.index(each.protocol))
    )
    rows = [_row(each, kind) for each in ordered]
    return Table("Results with 95 % intervals", columns, rows)


def _row(result: Result, kind: Kind) -> list[Cell]:
    cells = result.measured.cells
    model = cells[MODEL]
    best = max(row.value for row in cells.values())
    row = [Cell(result.measured.task), Cell(result.protocol), Cell(result.run.name)]
    row += [_accuracy(cells.get(key), best) for key in ROLES]
    row.append(Cell(str(model.num_test)))
    row += [Cell(f"{100 * value:.1f}") for value in model.parts.values()]
    if kind == "labelled images":
        selected = ", ".join(f"{name} {value:g}" for name, value in model.selected.items())
        row += [Cell(short(model.leakage)), Cell(selected)]
    return [*row, Cell(model.split)]


def _accuracy(row: ResultRow | None, best: float) -> Cell:
    if row is None:
        return Cell("")
    low, high = (100 * bound for bound in row.interval)
    interval = "" if row.role == "chance" else f"[{low:.1f}, {high:.1f}]"
    return Cell(f"{100 * row.value:.1f}", interval, row.value == best)
