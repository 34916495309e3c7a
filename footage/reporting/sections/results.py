"""The sections of results: held-out videos and labelled images, next to baselines."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from footage.evaluation.comparisons import comparisons, pixels_ahead
from footage.evaluation.leakage import is_clean, short
from footage.evaluation.results import (
    COLUMNS,
    MAJORITY,
    NEAREST,
    ResultRow,
    is_untrained,
    warnings,
)
from footage.metrics.intervals import difference
from footage.reporting.charts.intervals import Mark, accuracy, sample, shares
from footage.reporting.inputs import Run
from footage.reporting.markup import Markup, caution, tag

BASELINE_SHAPES: Final = {"chance": "tick", "pixels": "square", "untrained": "ring"}

WORDS: Final = {
    "chance": "chance",
    "pixels": "raw pixels, 16 × 16",
    "untrained": "same network, untrained",
}

RETRIEVAL_NOTE: Final = (
    "Without labels: for one frame of every shot that training did not see, is the nearest of all "
    "other frames from the same shot, and is the nearest frame of any other shot from the same "
    "video? In percent of the shots, with 95 % intervals (Wilson); chance is what uninformative "
    "features would find."
)

PROTOCOL_WORDS: Final = {"knn": "kNN", "linear": "linear"}


def retrieval_section(runs: Sequence[Run]) -> Markup:
    """Plot and table of retrieval in held-out videos; nothing where it was not evaluated."""
    runs = [_only(run, retrieval=True) for run in runs]
    if not any(run.rows for run in runs):
        return Markup("")
    return tag(
        "section",
        tag("h2", "Retrieval in held-out videos"),
        tag("p", RETRIEVAL_NOTE, class_="note"),
        *_results(runs),
        id="retrieval-results",
    )


def section(runs: Sequence[Run]) -> Markup:
    """Plot and table of every evaluation of the runs on labelled images."""
    title = tag("h2", "Evaluation on labelled images")
    evaluated = any(run.rows or run.suite_rows for run in runs)
    runs = [_only(run, retrieval=False) for run in runs]
    if not any(run.rows for run in runs) and evaluated:
        return Markup("")
    if not any(run.rows for run in runs):
        hint = f"footage evaluate {runs[0].path} --labels DIR"
        return tag(
            "section",
            title,
            tag("p", "No run has been evaluated yet: ", tag("code", hint), class_="note"),
            id="evaluation",
        )
    return tag(
        "section", title, tag("p", _note(runs), class_="note"), *_results(runs), id="evaluation"
    )


def _only(run: Run, *, retrieval: bool) -> Run:
    """The run with its rows of retrieval, or with its rows on labelled images."""
    rows = [row for row in run.rows if (row.protocol == NEAREST) == retrieval]
    return dataclasses.replace(run, rows=rows)


def _results(runs: Sequence[Run]) -> list[Markup]:
    tasks = list(dict.fromkeys(row.task for run in runs for row in run.rows))
    return [
        caution(_warnings(runs)),
        _legend(runs),
        tag("div", *(_chart(task, runs) for task in tasks), class_="charts"),
        *(tag("p", sentence, class_="note") for sentence in _explained(runs)),
        tag("h3", "Full results"),
        tag("div", _table(runs), class_="wide"),
    ]


def _note(runs: Sequence[Run]) -> str:
    """What the numbers are; which images were unseen is claimed only where it was checked."""
    models = [row for run in runs for row in run.rows if row.column == "model"]
    unseen = (
        "images that neither the model nor the classifier was trained on (no path, file or "
        "picture among them is in the training data)"
        if all(is_clean(row.leakage) for row in models)
        else "the test part of each task"
    )
    older = sum(run.num_older for run in runs)
    earlier = f" {older} older numbers of the same images are not shown." if older else ""
    return (
        f"Top-1 accuracy in percent on {unseen}; chance is that of the commonest class. The "
        "backbone is frozen; settings are selected on "
        "a validation part, then the classifier is fitted on training and validation part and the "
        "test part is read once. Bars and brackets are 95 % intervals (Wilson), from the number of "
        f"test images.{earlier}"
    )


def _explained(runs: Sequence[Run]) -> list[str]:
    """Why raw pixels are ahead, for each run where they are."""
    found = {run.name: pixels_ahead(comparisons(run.rows)) for run in runs}
    alone = len(runs) == 1
    return [words if alone else f"{name}: {words}" for name, words in found.items() if words]


def _warnings(runs: Sequence[Run]) -> list[str]:
    several = len(runs) > 1
    return [
        f"{run.name}: {sentence}" if several else sentence
        for run in runs
        for sentence in warnings(run.rows)
    ]


def linear_cells(rows: Sequence[ResultRow]) -> dict[str, dict[str, ResultRow]]:
    """Rows of the linear probe and of chance, by task and column."""
    return _cells(rows, "linear")


def verdict(rows: Sequence[ResultRow]) -> str:
    """How a linear probe on the model compares with one on the untrained network, in a sentence.

    Clearly means: the 95 % interval of the difference does not contain 0.
    """
    tasks = linear_cells(rows)
    if not tasks:
        return ""
    gains, clear, shared, same_network = [], 0, 0, 0
    for task, cells in tasks.items():
        model, untrained = cells["model"], cells["untrained"]
        gain = model.value - untrained.value
        low, high = difference(model.value, model.num_test, untrained.value, untrained.num_test)
        clear += low > 0
        gains.append(f"{task} {100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
        seen = model.leakage
        shared += bool(seen and (seen.images or seen.frames or seen.copies))
        same_network += is_untrained(cells)
    if same_network == len(tasks):
        return "It has random weights, so there is nothing to compare with an untrained network."
    network = "the same network untrained"
    if len(tasks) == 1:
        claim = f"{'clearly beats' if clear else 'does not clearly beat'} {network}"
    else:
        claim = f"clearly beats {network} on {clear or 'none'} of {len(tasks)} labelled sets"
    seen_before = " Some of the test images were seen before, see below." if shared else ""
    return (
        f"A linear probe on its features {claim} (points gained: {', '.join(gains)}).{seen_before}"
    )


def _cells(rows: Sequence[ResultRow], protocol: str) -> dict[str, dict[str, ResultRow]]:
    return {each.task: dict(each.cells) for each in comparisons(rows) if each.protocol == protocol}


def _protocols(runs: Sequence[Run], task: str) -> list[str]:
    return list(
        dict.fromkeys(
            row.protocol
            for run in runs
            for row in run.rows
            if row.task == task and row.protocol != MAJORITY
        )
    )


def _chart(task: str, runs: Sequence[Run]) -> Markup:
    groups = []
    for protocol in _protocols(runs, task):
        marks: list[Mark] = []
        for number, run in enumerate(runs):
            cells = _cells(run.rows, protocol).get(task, {})
            for column in COLUMNS:
                if column not in cells:
                    continue
                row = cells[column]
                is_model = column == "model"
                mark = accuracy(
                    run.name if is_model else WORDS[column],
                    f"run{number % 6}" if is_model else column,
                    "dot" if is_model else BASELINE_SHAPES[column],
                    row.value,
                    row.interval if column != "chance" else None,
                )
                # Runs of one backbone and seed share their baselines.
                if is_model or mark not in marks:
                    marks.append(mark)
        marks.sort(key=lambda mark: ["tick", "square", "ring", "dot"].index(mark.shape))
        groups.append((PROTOCOL_WORDS.get(protocol, protocol), marks))
    return shares(task, groups)


def _legend(runs: Sequence[Run]) -> Markup:
    items = [
        tag("li", sample(column, shape), WORDS[column]) for column, shape in BASELINE_SHAPES.items()
    ]
    items += [
        tag("li", sample(f"run{number % 6}", "dot"), run.name)
        for number, run in enumerate(runs)
        if run.rows
    ]
    return tag("ul", *items, class_="legend")


FIGURE_HEADS: Final = {*COLUMNS, "test images", "shots", "seen before"}
"""Columns of numbers."""


def _table(runs: Sequence[Run]) -> Markup:
    is_retrieval = any(row.protocol == NEAREST for run in runs for row in run.rows)
    more = ["shots"] if is_retrieval else ["test images", "seen before", "selected"]
    heads = ["task", "protocol", "run", *COLUMNS, *more, "split"]
    rows = []
    for task in dict.fromkeys(row.task for run in runs for row in run.rows):
        for protocol in _protocols(runs, task):
            for run in runs:
                cells = _cells(run.rows, protocol).get(task)
                if cells is not None:
                    rows.append(_table_row(run, task, protocol, cells))
    head = tag(
        "tr",
        *(
            tag("th", name, scope="col", class_="figure" if name in FIGURE_HEADS else "")
            for name in heads
        ),
    )
    return tag("table", tag("thead", head), tag("tbody", *rows))


def _table_row(run: Run, task: str, protocol: str, cells: dict[str, ResultRow]) -> Markup:
    model = cells["model"]
    best = max(row.value for row in cells.values())
    more = [tag("td", str(model.num_test), class_="figure")]
    if protocol != NEAREST:
        selected = ", ".join(f"{name} {value:g}" for name, value in model.selected.items())
        more += [
            tag("td", short(model.leakage), class_="figure"),
            tag("td", selected, class_="words"),
        ]
    return tag(
        "tr",
        tag("td", task, class_="name-of-file"),
        tag("td", PROTOCOL_WORDS.get(protocol, protocol)),
        tag("td", run.name, class_="name-of-file", title=model.start),
        *(_accuracy_cell(cells.get(column), best) for column in COLUMNS),
        *more,
        tag("td", model.split, class_="words"),
    )


def _accuracy_cell(row: ResultRow | None, best: float) -> Markup:
    if row is None:
        return tag("td", "", class_="figure")
    low, high = (100 * bound for bound in row.interval)
    bounds = "" if row.column == "chance" else f" [{low:.1f}, {high:.1f}]"
    return tag(
        "td",
        f"{100 * row.value:.1f}",
        tag("span", bounds, class_="error-of"),
        class_="figure best" if row.value == best else "figure",
    )
