"""Draw results.svg for docs/results.md; `python -m docs.generate` calls it.

A panel an experiment, a line an arm: a dot for each seed, a tall mark for their mean; the dashed
line is the same network untrained. The file carries a digest of what it shows, by which a test
finds a picture that is out of date.
"""

import hashlib
import json
import statistics
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.pages.results import EXPERIMENTS, Arm, arms_of

INK, DOT, BASE, GRID = "#24292f", "#0072b2", "#8c8c8c", "#e3e6ea"
MEASURE = "linear"
PATH = Path(__file__).parent / "results.svg"


def draw(path: Path = PATH) -> Path:
    """Write the picture."""
    panels = [(experiment.title, arms_of(experiment)[1:]) for experiment in EXPERIMENTS.values()]
    heights = [len(arms) for _, arms in panels]
    with matplotlib.rc_context({"svg.hashsalt": "footage", "font.size": 9, "text.color": INK}):
        size = (7.6, 0.8 * len(panels) + 0.27 * sum(heights))
        figure = Figure(figsize=size, layout="constrained")
        places = figure.subplots(
            len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for place, (title, arms) in zip(places[:, 0], panels, strict=True):
            place.set_title(title, loc="left", fontsize=10, fontweight="bold")
            _panel(place, arms)
        places[-1, 0].set_xlabel("linear probe on frozen features, mean of 13 tasks, percent")
        figure.savefig(path, metadata={"Date": None, "Description": digest()})
    return path


def digest() -> str:
    """Of the arms and the numbers that the picture shows."""
    shown = [
        [experiment.title, [[arm.label, arm.scores(MEASURE)] for arm in arms_of(experiment)]]
        for experiment in EXPERIMENTS.values()
    ]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _panel(axes: Axes, arms: list[Arm]) -> None:
    untrained, *trained = arms
    axes.axvline(
        statistics.mean(untrained.scores(MEASURE).values()),
        color=BASE,
        linestyle="--",
        linewidth=1,
    )
    for row, arm in enumerate(trained):
        values = list(arm.scores(MEASURE).values())
        axes.plot(values, [row] * len(values), "o", color=DOT, alpha=0.55, markersize=5)
        axes.plot([statistics.mean(values)], [row], "|", color=INK, markersize=13)
    axes.set_yticks(range(len(trained)), [arm.label for arm in trained])
    axes.set_ylim(len(trained) - 0.4, -0.6)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
