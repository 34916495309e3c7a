"""Draw results.svg for experiments/results.md; `python -m docs.generate` calls it.

One row per setting in which a recipe that learns from videos was compared with its controls: the
accuracy of each, the recipe's lead on labelled tasks, and its lead on held-out videos. A dot for
each seed, a vertical bar for their mean. The file contains a digest of its data, by which a test
detects an outdated figure.
"""

import hashlib
import json
import statistics
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.compare_table import paired
from experiments.dots import BASE, CONTROLS, INK, STYLE, dots, frame, legend, places
from experiments.results_page import EXPERIMENTS, VIDEOS, Arm, arms_of

DEFAULT, FULL = "vivi-ex4", "vivi-full"
OURS = "the recipe itself"
COLOURS = {OURS: INK} | CONTROLS
MARKS = {"untrained": ("d", BASE)} | {name: ("o", colour) for name, colour in COLOURS.items()}
PATH = Path(__file__).parent / "results.svg"


class Setting(NamedTuple):
    """A setting in which a recipe and a control were both run."""

    recipe: str
    words: str
    experiment: str
    suffix: str = ""
    """Suffix of its arms' labels."""
    rate: str = ""
    """Learning rate in the labels of its controls, if it differs from the recipe's."""

    @property
    def protocol(self) -> str:
        """Return the protocol of its labelled tasks."""
        return EXPERIMENTS[self.experiment].protocol

    def arms(self) -> dict[str, Arm]:
        """Return the untrained network, the recipe and the existing controls."""
        found = {arm.label: arm for arm in arms_of(EXPERIMENTS[self.experiment])}
        kept = {name: found.get(name + self.suffix + self.rate) for name in CONTROLS}
        controls = {name: arm for name, arm in kept.items() if arm}
        return {"untrained": found["untrained"], OURS: found[self.recipe + self.suffix]} | controls


SETTINGS = (
    Setting(DEFAULT, "ResNet-18, videos with cuts", "cuts"),
    Setting(
        DEFAULT,
        "ResNet-18, videos with cuts, controls slower",
        "rates_best",
        rate=", learning rate 0.0003",
    ),
    Setting(DEFAULT, "ResNet-18, clips", "shipped"),
    Setting(DEFAULT, "ResNet-18, films, twice as long", "films"),
    Setting(DEFAULT, "ResNet-18, clips, twice as long", "longer"),
    Setting(DEFAULT, "RegNetX, videos with cuts", "cuts_levels"),
    Setting(DEFAULT, "RegNetX, clips", "levels"),
    Setting(DEFAULT, "RegNetX, clips, another processor", "again"),
    Setting(DEFAULT, "RegNetX, clips, twice as long", "scaling", ", 2000 steps"),
    Setting(DEFAULT, "ViT-Ti/16, clips", "transformers", ", ViT-Ti/16, slower"),
    Setting(DEFAULT, "RegNetX, clips, fine-tuned", "finalists"),
    Setting(DEFAULT, "RegNetX, videos with cuts, fine-tuned", "finalists_cuts"),
    Setting(FULL, "ResNet-18, videos with cuts", "cuts"),
    Setting(FULL, "RegNetX, clips", "levels"),
    Setting(FULL, "RegNetX, clips, twice as long", "scaling", ", 2000 steps"),
)


def draw(path: Path = PATH) -> Path:
    """Write the figure."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 1.4 + 0.42 * len(SETTINGS)), layout="constrained")
        learned, tasks, videos = figure.subplots(1, 3, sharey=True)
        frame(learned, "What was learned", "mean of 13 labelled tasks, percent")
        frame(tasks, "The recipe ahead, labelled tasks", "points of the mean of 13")
        frame(videos, "The recipe ahead, held-out videos", "points of the mean of 2 retrievals")
        for axes in (tasks, videos):
            axes.axvline(0, color=BASE, linewidth=1)
        for row, setting in enumerate(SETTINGS):
            arms = setting.arms()
            _absolute(learned, row, arms, setting.protocol)
            _ahead(tasks, row, arms, setting.protocol)
            _ahead(videos, row, arms, VIDEOS)
        learned.set_yticks(
            range(len(SETTINGS)), [f"{each.recipe}: {each.words}" for each in SETTINGS]
        )
        learned.set_ylim(len(SETTINGS) - 0.5, -0.5)
        figure.legend(handles=legend(MARKS), loc="outside upper right", ncols=4, frameon=False)
        figure.savefig(path, metadata={"Date": None, "Description": digest()})
    return path


def digest() -> str:
    """Return a digest of the arms and the numbers in the figure."""
    shown = [
        [setting.recipe, setting.words, name, arm.scores(setting.protocol), arm.scores(VIDEOS)]
        for setting in SETTINGS
        for name, arm in setting.arms().items()
    ]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _absolute(axes: Axes, row: int, arms: dict[str, Arm], measure: str) -> None:
    """Draw the accuracy of every arm, and that of the untrained network."""
    scores = {name: arm.scores(measure).values() for name, arm in arms.items()}
    axes.plot([statistics.mean(scores.pop("untrained"))], [row], "d", color=BASE, markersize=6)
    for place, (name, values) in zip(places(row, len(scores)), scores.items(), strict=True):
        dots(axes, place, list(values), COLOURS[name])


def _ahead(axes: Axes, row: int, arms: dict[str, Arm], measure: str) -> None:
    """Draw the differences to each control, seed by seed; empty if they were not measured."""
    ours = arms[OURS].scores(measure)
    controls = [name for name in arms if name not in ("untrained", OURS)]
    for place, name in zip(places(row, len(controls)), controls, strict=True):
        found = paired(ours, arms[name].scores(measure))
        if found:
            dots(axes, place, found, COLOURS[name])
