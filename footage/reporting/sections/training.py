"""Training curves: the loss of each level, label-free metrics, and throughput."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from footage.objectives.titles import level_title
from footage.reporting.charts.curves import Curve, CurveChart, Level, curves
from footage.reporting.charts.intervals import LegendItem
from footage.reporting.inputs import Run
from footage.reporting.tables import Section, run_colour

METRICS: Final = {
    "same_video_hit": "Nearest frame from the same video",
    "same_shot_hit": "Nearest frame from the same shot",
    "rankme": "Effective rank (RankMe)",
    "embedding_std": "Spread of the features",
}
CHANCES: Final = {"same_video_hit": "same_video_chance", "same_shot_hit": "same_shot_chance"}

THROUGHPUT: Final = {
    "learning_rate": "Learning rate",
    "images_per_second": "Views per second",
    "data_wait": "Fraction of time waiting for data",
}

UNINFORMATIVE: Final = "uninformative features"


class View(NamedTuple):
    """Data of `training.html.j2`."""

    legend: Sequence[LegendItem]
    """Empty for one run."""
    charts: Mapping[str, Sequence[CurveChart]]
    """Charts by heading."""


def section(runs: Sequence[Run]) -> Section:
    """Curves of all runs on common axes."""
    names = dict.fromkeys(
        name for run in runs for line in run.steps[-1:] for name in line["levels"]
    )
    charts = {
        "Label-free metrics": [
            _metric_chart(key, title, runs)
            for key, title in METRICS.items()
            if any(key in line["probe"] for run in runs for line in run.probes)
        ],
        "Loss of each level": [_loss_chart(name, runs) for name in names],
        "Learning rate and throughput": [
            curves(title, _lines(runs, key), smooth=key != "learning_rate")
            for key, title in THROUGHPUT.items()
            if any(key in line for run in runs for line in run.steps[-1:])
        ],
    }
    legend = [LegendItem(run_colour(number), "line", run.name) for number, run in enumerate(runs)]
    view = View(
        legend if len(runs) > 1 else [],
        {title: drawn for title, drawn in charts.items() if drawn},
    )
    return Section("curves", "Training curves", "training.html.j2", view)


def _loss_chart(name: str, runs: Sequence[Run]) -> CurveChart:
    chances = {run.level_chance[name] for run in runs if name in run.level_chance}
    levels = [Level(UNINFORMATIVE, value) for value in sorted(chances)[:1]]
    lines = _curves(runs, lambda run: run.steps, lambda line: line["levels"].get(name))
    return curves(level_title(name), lines, levels=levels, smooth=True)


def _metric_chart(key: str, title: str, runs: Sequence[Run]) -> CurveChart:
    chance = CHANCES.get(key, "")
    last = [line["probe"] for run in runs for line in run.probes[-1:]]
    levels = [Level("chance", float(probe[chance])) for probe in last if chance in probe][:1]
    lines = _curves(runs, lambda run: run.probes, lambda line: line["probe"].get(key))
    return curves(title, lines, levels=levels)


def _lines(runs: Sequence[Run], key: str) -> list[Curve]:
    return _curves(runs, lambda run: run.steps, lambda line: line.get(key))


def _curves(
    runs: Sequence[Run],
    lines: Callable[[Run], Sequence[dict[str, Any]]],
    value: Callable[[dict[str, Any]], float | int | None],
) -> list[Curve]:
    """One curve per run, from the lines that contain the value."""
    found = []
    for number, run in enumerate(runs):
        points = [(line["step"], value(line)) for line in lines(run)]
        known = [(float(step), float(v)) for step, v in points if v is not None]
        steps, values = [step for step, _ in known], [v for _, v in known]
        found.append(Curve(run.name, run_colour(number), steps, values))
    return found
