"""The top of the page: the training runs, and one measure of every run next to its baselines.

The measure is the first one in the order of `_measures` that all runs have. Baselines that beat a
run are named first.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from footage.evaluation.comparisons import (
    BETTER,
    IN_WORDS,
    UNCLEAR,
    WORSE,
    Comparison,
    comparisons,
)
from footage.evaluation.leakage import was_seen
from footage.evaluation.results import MODEL, NEAREST, ON_VIDEOS, PROPAGATION, is_untrained
from footage.evaluation.verdict_sentences import verdict
from footage.evaluation.verdicts import Comparison as Compared
from footage.reporting.inputs import Run
from footage.reporting.sections.setup import kept_weights
from footage.reporting.tables import run_colour
from footage.text import without_folders

MAX_FIGURES: Final = 8

SAME_VIDEO: Final = "same video"
"""The first task of retrieval: shots of one video differ more than frames of one shot."""

BEFORE: Final = "the network before training"

NAMES: Final = {**IN_WORDS, "chance": "chance"}
"""Descriptions of the baselines."""


class Measure(NamedTuple):
    """One number of a run."""

    title: str
    value: str
    """Value with its unit."""
    baselines: Mapping[str, str]
    """Values with their units, by name."""
    beaten_by: Sequence[str]
    """Baselines that are better."""
    remark: str
    """The comparison with the other baselines, in sentences."""
    is_online: bool = False
    """Whether it was measured during training."""


class Finding(NamedTuple):
    """The headline measure of one run as text."""

    run: str
    """Name of the run; empty if there is only one."""
    colour: str
    warning: str
    """The baselines that beat the run; empty for none."""
    text: str


class Figure(NamedTuple):
    """A number in a box."""

    run: str
    """Name of the run; empty if there is only one."""
    colour: str
    title: str
    value: str
    context: str
    warning: str
    """The baselines that are better."""


class View(NamedTuple):
    """Data of `headline.html.j2`."""

    title: str
    findings: Sequence[Finding]
    figures: Sequence[Figure]
    advice: Sequence[str]


def view(runs: Sequence[Run], comparisons: Sequence[Sequence[Compared]] = ()) -> View:
    """Return the title, the findings and the numbers.

    Args:
        runs: The runs on the page.
        comparisons: The comparisons on the page, whose verdicts are findings, too.
    """
    verdicts = [Finding("", "", "", verdict(each)) for each in comparisons]
    if not runs:
        return View("Comparison of models", verdicts, [], [])
    measured = [{each.title: each for each in _measures(run)} for run in runs]
    every = list(dict.fromkeys(title for each in measured for title in each))
    common = [title for title in every if all(title in each for each in measured)]
    title = next(iter(common or every), "")
    names = [run.name if len(runs) > 1 else "" for run in runs]
    advice = [
        f"{name}: {sentence}" if name else sentence
        for name, run, each in zip(names, runs, measured, strict=True)
        for sentence in (*_lost(each), *run.advice)
    ]
    return View(
        heading(runs),
        [
            Finding(name, run_colour(number), *_finding(run, each.get(title)))
            for number, (name, run, each) in enumerate(zip(names, runs, measured, strict=True))
        ]
        + verdicts,
        _figures(names, measured, title),
        list(dict.fromkeys(advice)),
    )


# --- title ---------------------------------------------------------------------------------------


def heading(runs: Sequence[Run]) -> str:
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
    initial = list(dict.fromkeys(without_folders(run.initial) for run in runs if run.initial))
    origin = f", initialised from {', '.join(initial)}" if initial else ""
    return f"{name}: {kind} on {' and '.join(data)}{origin}"


def _counts(counts: Sequence[int], noun: str) -> str:
    """Format `64 videos`, or `64 to 71 videos` for several runs; without unknown numbers."""
    if not counts or not all(counts):
        return noun
    low, high = min(counts), max(counts)
    return f"{low:,} {noun}" if low == high else f"{low:,} to {high:,} {noun}"


# --- measures ------------------------------------------------------------------------------------


def _measures(run: Run) -> Iterator[Measure]:
    """Yield retrieval first, from the evaluation or else from training, then probes and masks."""
    measured = list(comparisons(run.rows))
    for each in sorted(measured, key=lambda each: each.task != SAME_VIDEO):
        if each.protocol == NEAREST:
            yield _evaluated(each, f"nearest frame from the {each.task}, held-out videos")
    yield from _during_training(run)
    for each in measured:
        if each.protocol == "linear":
            yield _evaluated(each, f"{each.task}, linear probe")
    for each in measured:
        if each.protocol == PROPAGATION:
            yield _evaluated(each, f"{each.task}, J&F of propagated masks")


def _evaluated(measured: Comparison, title: str) -> Measure:
    cells = {name: measured.cells[key] for key, name in NAMES.items() if key in measured.cells}
    verdicts = {name: measured.against(key) for key, name in IN_WORDS.items() if name in cells}
    sentences = []
    if "untrained" in measured.cells and is_untrained(measured.cells):
        del verdicts[IN_WORDS["untrained"]]
        sentences.append("The model has random weights, like the untrained network.")
    better = [name for name, verdict in verdicts.items() if verdict == BETTER]
    unclear = [name for name, verdict in verdicts.items() if verdict == UNCLEAR]
    if better:
        sentences.append(f"The model is better than {_listed(better)}.")
    if unclear:
        sentences.append(f"There is no clear difference from {_listed(unclear)}.")
    if measured.protocol not in ON_VIDEOS and was_seen(measured.cells[MODEL].leakage):
        sentences.append("Some of the test images are in the training data; see below.")
    return Measure(
        title,
        _percent(measured.cells[MODEL].value),
        {name: _percent(row.value) for name, row in cells.items()},
        [name for name, verdict in verdicts.items() if verdict == WORSE],
        " ".join(sentences),
    )


def _during_training(run: Run) -> Iterator[Measure]:
    """The online metrics of the weights that the run keeps next to those before training."""
    kept = run.kept_probe
    if not kept:
        return
    first, last = run.probes[0], kept["probe"]
    before = first["probe"] if first["step"] < kept["step"] else {}
    for name in ("video", "shot"):
        hit, chance = f"same_{name}_hit", f"same_{name}_chance"
        if hit in last:
            values = {BEFORE: before.get(hit), "chance": last.get(chance)}
            yield Measure(
                f"nearest frame from the same {name}, online metric",
                _percent(last[hit]),
                {key: _percent(value) for key, value in values.items() if value is not None},
                [],
                "" if last[hit] > before.get(hit, -1) else "It is not higher than before training.",
                is_online=True,
            )
    if "rankme" in last:
        values = {BEFORE: f"{before['rankme']:.1f}"} if "rankme" in before else {}
        title = "effective rank (RankMe)"
        yield Measure(title, f"{last['rankme']:.1f}", values, [], "", is_online=True)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}\u00a0%"


# --- sentences -----------------------------------------------------------------------------------


def _finding(run: Run, measure: Measure | None) -> tuple[str, str]:
    """Return a warning if a baseline beats the model, and the headline measure in sentences."""
    kept = kept_weights(run)
    steps = f"Trained for {run.num_steps:,} steps." + f" Weights kept: {kept}." * bool(kept)
    if measure is None:
        return "", f"The headline measure is not available. {steps}"
    warning = f"{_beat(measure.beaten_by)} the model." if measure.beaten_by else ""
    values = [f"{value} for {name}" for name, value in measure.baselines.items()]
    compared = f", compared with {_listed(values)}" if values else ""
    number = f"{_capitalised(measure.title)}: {measure.value}{compared}."
    return warning, " ".join(part for part in (number, measure.remark, steps) if part)


def _lost(measured: Mapping[str, Measure]) -> list[str]:
    """For each baseline, the measures on which it beats the model."""
    found: dict[str, list[str]] = {}
    for measure in measured.values():
        for name in measure.beaten_by:
            found.setdefault(name, []).append(measure.title)
    return [f"{_beat([name])} the model on: {'; '.join(each)}." for name, each in found.items()]


def _beat(names: Sequence[str]) -> str:
    verb = "beats" if list(names) == [IN_WORDS["untrained"]] else "beat"
    return f"{_capitalised(_listed(names))} {verb}"


def _listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- figures -------------------------------------------------------------------------------------


def _figures(
    names: Sequence[str], measured: Sequence[Mapping[str, Measure]], title: str
) -> list[Figure]:
    """The headline measure of every run; for a single run, also its other measures."""
    is_alone = len(measured) == 1
    online = any(each[title].is_online for each in measured if title in each)
    figures = [
        Figure(
            names[number],
            run_colour(number),
            measure.title,
            measure.value,
            " · ".join(f"{name} {value}" for name, value in measure.baselines.items()),
            f"{_beat(measure.beaten_by)} the model" if measure.beaten_by else "",
        )
        for number, each in enumerate(measured)
        for measure in each.values()
        if measure.title == title or (is_alone and measure.is_online == online)
    ]
    return figures[:MAX_FIGURES] if is_alone else figures
