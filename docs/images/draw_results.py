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
from matplotlib.figure import Figure, SubFigure

from docs.pages.results import EXPERIMENTS, Arm, Experiment, arms_of

INK, DOT, BASE, GRID = "#24292f", "#0072b2", "#8c8c8c", "#e3e6ea"
PATH = Path(__file__).parent / "results.svg"

Panel = tuple[Experiment, list[Arm]]
"""An experiment and its arms."""


def draw(path: Path = PATH) -> Path:
    """Write the picture."""
    panels = [(experiment, arms_of(experiment)[1:]) for experiment in EXPERIMENTS.values()]
    columns = _columns(panels)
    with matplotlib.rc_context({"svg.hashsalt": "footage", "font.size": 9, "text.color": INK}):
        figure = Figure(figsize=(13, max(map(_inches, columns))), layout="constrained")
        places = [
            place
            for part, column in zip(figure.subfigures(1, 2), columns, strict=True)
            for place in _axes(part, column)
        ]
        for place, (experiment, arms) in zip(places, panels, strict=True):
            if place is not places[0]:
                place.sharex(places[0])
            place.set_title(experiment.title, loc="left", fontsize=10, fontweight="bold")
            _panel(place, arms, experiment.protocol)
        figure.supxlabel("mean of 13 tasks, percent; linear probe, unless fine-tuned", fontsize=9)
        figure.savefig(path, metadata={"Date": None, "Description": digest()})
    return path


def _columns(panels: list[Panel]) -> tuple[list[Panel], list[Panel]]:
    """In order, divided where the taller of the two is lowest."""
    cuts = [(panels[:cut], panels[cut:]) for cut in range(1, len(panels))]
    return min(cuts, key=lambda columns: max(map(_inches, columns)))


def _inches(column: list[Panel]) -> float:
    """How high the panels stand on each other."""
    return sum(0.8 + 0.27 * len(arms) for _, arms in column)


def _axes(part: SubFigure, column: list[Panel]) -> list[Axes]:
    """One for each panel, as high as its arms need."""
    heights = {"height_ratios": [len(arms) for _, arms in column]}
    return list(part.subplots(len(column), 1, squeeze=False, gridspec_kw=heights)[:, 0])


def digest() -> str:
    """Of the arms and the numbers that the picture shows."""
    shown = [
        [found.title, [[arm.label, arm.scores(found.protocol)] for arm in arms_of(found)]]
        for found in EXPERIMENTS.values()
    ]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _panel(axes: Axes, arms: list[Arm], protocol: str) -> None:
    untrained, *trained = arms
    axes.axvline(
        statistics.mean(untrained.scores(protocol).values()),
        color=BASE,
        linestyle="--",
        linewidth=1,
    )
    for row, arm in enumerate(trained):
        values = list(arm.scores(protocol).values())
        axes.plot(values, [row] * len(values), "o", color=DOT, alpha=0.55, markersize=5)
        axes.plot([statistics.mean(values)], [row], "|", color=INK, markersize=13)
    axes.set_yticks(range(len(trained)), [arm.label for arm in trained])
    axes.set_ylim(len(trained) - 0.4, -0.6)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
