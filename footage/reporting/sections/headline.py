"""The top of the page: the training runs, and one measure of every run next to its baselines.

The measure is the first in the order of `_measures` that all runs have. A baseline that beats a run
is named first.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from footage.evaluation.comparisons import (
    BASELINES,
    BETTER,
    UNCLEAR,
    WORSE,
    Comparison,
    comparisons,
)
from footage.evaluation.results import NEAREST, is_untrained
from footage.reporting.inputs import Run
from footage.reporting.tables import run_colour

MAX_FIGURES: Final = 8

BEFORE: Final = "before training"

NAMES: Final = {**BASELINES, "chance": "chance"}
"""Baselines in words."""


class Measure(NamedTuple):
    """One number of a run."""

    title: str
    value: str
    """With its unit."""
    baselines: Mapping[str, str]
    """Values with their units, by name."""
    beaten_by: Sequence[str]
    """Baselines that are better."""
    remark: str
    """The comparison with the other baselines, in sentences."""


class Figure(NamedTuple):
    """A number in a box."""

    title: str
    run: str
    """Name of the run; empty where there is only one."""
    colour: str
    value: str
    context: str
    warning: str
    """The baselines that are better."""


class View(NamedTuple):
    """What `headline.html.j2` shows."""

    title: str
    findings: Sequence[str]
    """Sentences about the headline measure."""
    figures: Sequence[Figure]
    advice: Sequence[str]


def view(runs: Sequence[Run]) -> View:
    """Title, findings and numbers."""
    measured = [{each.title: each for each in _measures(run)} for run in runs]
    every = list(dict.fromkeys(title for each in measured for title in each))
    common = [title for title in every if all(title in each for each in measured)]
    title = next(iter(common or every), "")
    advice = [
        _named(run, runs) + sentence
        for run, each in zip(runs, measured, strict=True)
        for sentence in (*_lost(each), *run.advice)
    ]
    return View(
        _title(runs),
        [
            _named(run, runs) + _finding(run, each.get(title))
            for run, each in zip(runs, measured, strict=True)
        ],
        _figures(runs, measured, title),
        list(dict.fromkeys(advice)),
    )


def _named(run: Run, runs: Sequence[Run]) -> str:
    return f"{run.name}: " if len(runs) > 1 else ""


# --- title ---------------------------------------------------------------------------------------


def _title(runs: Sequence[Run]) -> str:
    """The kind of training and its data; counts are the runs' own."""
    name = f"“{runs[0].name}”" if len(runs) == 1 else f"{len(runs)} runs"
    labels = any(run.record["labels_used"] for run in runs)
    kind = "training" if labels else "self-supervised training"
    data = []
    if any(run.record["store"] for run in runs):
        data.append(_counts([run.num_videos for run in runs if run.record["store"]], "videos"))
    if any(run.record["images"] for run in runs):
        used = [run.record["labels_used"] for run in runs if run.record["labels_used"]]
        data.append(_counts(used, "labelled images") if labels else "images without their labels")
    initial = list(dict.fromkeys(run.initial for run in runs if run.initial))
    origin = f", initialised from {', '.join(initial)}" if initial else ""
    return f"{name}: {kind} on {' and '.join(data)}{origin}"


def _counts(counts: Sequence[int], noun: str) -> str:
    """`64 videos`, of several runs `64 to 71 videos`; without a number where it is not known."""
    if not counts or not all(counts):
        return noun
    low, high = min(counts), max(counts)
    return f"{low:,} {noun}" if low == high else f"{low:,} to {high:,} {noun}"


# --- measures ------------------------------------------------------------------------------------


def _measures(run: Run) -> Iterator[Measure]:
    """Retrieval first, as evaluated or else as measured during training; then linear probes."""
    measured = list(comparisons(run.rows))
    for each in measured:
        if each.protocol == NEAREST:
            yield _evaluated(each, f"{each.task} found first, held-out videos")
    yield from _during_training(run)
    for each in measured:
        if each.protocol == "linear":
            yield _evaluated(each, f"{each.task}, linear probe")


def _evaluated(measured: Comparison, title: str) -> Measure:
    cells = {name: measured.cells[key] for key, name in NAMES.items() if key in measured.cells}
    verdicts = {name: measured.against(key) for key, name in BASELINES.items() if name in cells}
    sentences = []
    if is_untrained(measured.cells):
        del verdicts[BASELINES["untrained"]]
        sentences.append("The model has random weights, like the untrained network.")
    better = [name for name, verdict in verdicts.items() if verdict == BETTER]
    unclear = [name for name, verdict in verdicts.items() if verdict == UNCLEAR]
    if better:
        sentences.append(f"The model is better than {' and '.join(better)}.")
    if unclear:
        sentences.append(f"There is no clear difference from {' and '.join(unclear)}.")
    return Measure(
        title,
        _percent(measured.cells["model"].value),
        {name: _percent(row.value) for name, row in cells.items()},
        [name for name, verdict in verdicts.items() if verdict == WORSE],
        " ".join(sentences),
    )


def _during_training(run: Run) -> Iterator[Measure]:
    """The last online metrics next to those before training."""
    if not run.probes:
        return
    first, last = run.probes[0], run.probes[-1]["probe"]
    before = first["probe"] if first["step"] < run.probes[-1]["step"] else {}
    for name in ("video", "shot"):
        hit, chance = f"same_{name}_hit", f"same_{name}_chance"
        if hit in last:
            values = {BEFORE: before.get(hit), "chance": last.get(chance)}
            yield Measure(
                f"same {name} found first, online metric",
                _percent(last[hit]),
                {key: _percent(value) for key, value in values.items() if value is not None},
                [],
                "" if last[hit] > before.get(hit, -1) else f"It is not higher than {BEFORE}.",
            )
    if "rankme" in last:
        values = {BEFORE: f"{before['rankme']:.1f}"} if "rankme" in before else {}
        title = "directions in use (RankMe)"
        yield Measure(title, f"{last['rankme']:.1f}", values, [], "")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


# --- sentences -----------------------------------------------------------------------------------


def _finding(run: Run, measure: Measure | None) -> str:
    """The headline measure in sentences; a baseline that beats the model comes first."""
    steps = f"after {run.num_steps:,} steps ({run.num_steps * run.images_per_batch:,} views)"
    if measure is None:
        return f"The headline measure is missing {steps}."
    lost = f"{_beat(measure.beaten_by)} the model." if measure.beaten_by else ""
    number = f"{_capitalised(measure.title)}: {measure.value} {steps}{_context(measure)}."
    return " ".join(part for part in (lost, number, measure.remark) if part)


def _context(measure: Measure) -> str:
    values = ", ".join(f"{name} {value}" for name, value in measure.baselines.items())
    return f" ({values})" if values else ""


def _lost(measured: Mapping[str, Measure]) -> list[str]:
    """For each baseline, the measures on which it beats the model."""
    found: dict[str, list[str]] = {}
    for measure in measured.values():
        for name in measure.beaten_by:
            found.setdefault(name, []).append(measure.title)
    return [f"{_beat([name])} the model on: {'; '.join(each)}." for name, each in found.items()]


def _beat(names: Sequence[str]) -> str:
    verb = "beats" if list(names) == [BASELINES["untrained"]] else "beat"
    return f"{_capitalised(' and '.join(names))} {verb}"


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- figures -------------------------------------------------------------------------------------


def _figures(
    runs: Sequence[Run], measured: Sequence[Mapping[str, Measure]], title: str
) -> list[Figure]:
    """The headline measure of every run; of a single run also its other measures."""
    shown = [
        (number, measure)
        for number, each in enumerate(measured)
        for measure in each.values()
        if len(runs) == 1 or measure.title == title
    ]
    return [
        Figure(
            measure.title,
            runs[number].name if len(runs) > 1 else "",
            run_colour(number),
            measure.value,
            " · ".join(f"{name} {value}" for name, value in measure.baselines.items()),
            f"{_beat(measure.beaten_by)} the model" if measure.beaten_by else "",
        )
        for number, measure in shown[:MAX_FIGURES]
    ]
