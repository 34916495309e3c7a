"""The section of curves: each level's loss, the label-free probes, and the machine's pace."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from footage.reporting.charts.curves import Curve, Level, curves
from footage.reporting.charts.intervals import sample
from footage.reporting.inputs import Run
from footage.reporting.markup import Markup, tag

PROBES: Final = {
    "same_video_hit": "Same video found first",
    "same_shot_hit": "Same shot found first",
    "rankme": "Directions in use (RankMe)",
    "embedding_std": "Spread of the features",
}
CHANCES: Final = {"same_video_hit": "same_video_chance", "same_shot_hit": "same_shot_chance"}

LEVELS: Final = {
    "video/future_nce": "Video level: future shots (InfoNCE)",
    "video/future_mse": "Video level: future shots (regression)",
    "video/order": "Video level: shot order (cross-entropy)",
    "supervised": "Labelled images (cross-entropy)",
}
POSITIVES: Final = {
    "frame": "Frame level",
    "shot": "Shot level",
    "other_frames": "Shot level, other frames",
}
LOSSES: Final = {
    "exemplar": "exemplar triplet loss",
    "rotation": "rotation (cross-entropy)",
    "nce": "InfoNCE",
    "vicreg": "VICReg",
    "distillation": "self-distillation",
}


def section(runs: Sequence[Run]) -> Markup:
    """Curves of all runs on common axes."""
    title = tag("h2", "Training curves")
    if not any(run.steps or run.probes for run in runs):
        return tag("section", title, tag("p", "No step was recorded.", class_="note"), id="curves")
    note = (
        "Against optimiser steps. Losses are shown as recorded (faint) and as a moving average. "
        "The metrics without labels are computed on frames of held-out videos, or on some of the "
        "training images of a run that was trained on images: how often the nearest frame is of "
        "the same video (outside the same shot) or of the same shot, how many directions the "
        "features use, and how far they spread (1 in all directions, 0 collapsed). "
        "Dashed lines are what uninformative features would reach."
    )
    names = list(dict.fromkeys(name for run in runs for name in _level_names(run)))
    charts = [_level_chart(name, runs) for name in names]
    probes = [
        _probe_chart(key, words, runs)
        for key, words in PROBES.items()
        if any(key in line["probe"] for run in runs for line in run.probes)
    ]
    pace = [
        _pace_chart("learning_rate", "Learning rate", runs),
        _pace_chart("images_per_second", "Views per second", runs),
        _pace_chart("data_wait", "Share of time waiting for data", runs),
    ]
    return tag(
        "section",
        title,
        tag("p", note, class_="note"),
        _legend(runs),
        tag("h3", "Metrics without labels"),
        tag("div", *probes, class_="charts narrow"),
        tag("h3", "Loss of each level"),
        tag("div", *charts, class_="charts"),
        tag("h3", "Pace"),
        tag("div", *(chart for chart in pace if chart), class_="charts"),
        id="curves",
    )


def _legend(runs: Sequence[Run]) -> Markup:
    if len(runs) == 1:
        return Markup("")
    items = [
        tag("li", sample(_colour(number), "line"), run.name) for number, run in enumerate(runs)
    ]
    return tag("ul", *items, class_="legend")


def level_title(name: str) -> str:
    """The words for a level: which views are positives, and which loss pulls them together.

    A level or loss that this version does not know is shown by its own name.
    """
    if name in LEVELS:
        return LEVELS[name]
    alike, _, loss = name.partition("/")
    if alike not in POSITIVES:
        return name
    return f"{POSITIVES[alike]}: {LOSSES.get(loss, loss)}"


def _level_names(run: Run) -> list[str]:
    return list(run.steps[-1]["levels"]) if run.steps else []


def _level_chart(name: str, runs: Sequence[Run]) -> Markup:
    chances = {run.level_chance[name] for run in runs if name in run.level_chance}
    levels = [Level("uninformative features", value) for value in sorted(chances)[:1]]
    lines = _lines(runs, lambda run: run.steps, lambda line: line["levels"].get(name))
    return curves(level_title(name), lines, levels=levels, smooth=True)


def _probe_chart(key: str, words: str, runs: Sequence[Run]) -> Markup:
    levels = []
    if key in CHANCES:
        found = [
            line["probe"][CHANCES[key]]
            for run in runs
            for line in run.probes[-1:]
            if CHANCES[key] in line["probe"]
        ]
        levels = [Level("chance", float(value)) for value in found[:1]]
    lines = _lines(runs, lambda run: run.probes, lambda line: line["probe"].get(key))
    return curves(words, lines, levels=levels)


def _pace_chart(key: str, words: str, runs: Sequence[Run]) -> Markup:
    if not any(key in line for run in runs for line in run.steps[-1:]):
        return Markup("")
    smooth = key != "learning_rate"
    return curves(
        words, _lines(runs, lambda run: run.steps, lambda line: line.get(key)), smooth=smooth
    )


def _lines(
    runs: Sequence[Run],
    lines: Callable[[Run], Sequence[dict[str, Any]]],
    value: Callable[[dict[str, Any]], float | int | None],
) -> list[Curve]:
    """One curve a run, of the lines that hold the value."""
    found = []
    for number, run in enumerate(runs):
        points = [(line["step"], value(line)) for line in lines(run)]
        known = [(float(step), float(v)) for step, v in points if v is not None]
        steps, values = [step for step, _ in known], [v for _, v in known]
        found.append(Curve(run.name, _colour(number), steps, values))
    return found


def _colour(number: int) -> str:
    return f"run{number % 6}"
