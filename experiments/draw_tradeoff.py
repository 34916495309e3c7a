"""Draw docs/images/tradeoff.svg for docs/background/results.md; `python -m docs.generate` calls it.

It plots search in held-out videos against accuracy on labelled images. Each line connects the
learning rates of a recipe, of a changed recipe or of a control; they are written next to the
points. All points are from the same seed, because the held-out videos depend on it, and only that
seed was run at all rates.
"""

import hashlib
import json
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from experiments.dots import CONTROLS, GRID, INK, STYLE
from experiments.results_page import EXPERIMENTS, RESULTS
from experiments.video_measures import RATE, Scores, read, recipe_of

PATH = Path(__file__).parents[1] / "docs" / "images" / "tradeoff.svg"
CHANGES = {"vivi-ex4, shared draws": "#cc79a7", "vivi-ex4, shot classes": "#e69f00"}
"""The changes that passed the screening of `interventions.py`."""
COLOURS = {"vivi-ex4": INK, "vivi-full": "#009e73"} | CHANGES | CONTROLS
AXES = {
    "13 tasks": "linear probe accuracy, mean of 13 labelled tasks (%)",
    "search": "retrieval in held-out videos, mean of 2 measures (%)",
}
SEED = 0
"""The seed with which all learning rates were run."""
Point = tuple[float, float, float]
"""A learning rate, and both measures."""


def draw(path: Path = PATH) -> Path:
    """Write the figure."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 4.3), layout="constrained")
        axes = figure.subplots()
        across, up = AXES.values()
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines[["top", "right"]].set_visible(False)
        for recipe, points in lines().items():
            colour = COLOURS[recipe]
            _, *places = zip(*points, strict=True)
            axes.plot(*places, "o-", color=colour, label=recipe, markersize=5, linewidth=1.5)
            for rate, x, y in points:
                axes.annotate(
                    f"{rate:g}", (x, y), (5, 4), textcoords="offset points", color=colour, size=7
                )
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None, "Description": digest()})
    return path


def digest() -> str:
    """Return a digest of the numbers in the figure."""
    return hashlib.sha256(json.dumps(lines()).encode()).hexdigest()


def lines() -> dict[str, list[Point]]:
    """Return the points of each recipe and control, in the order of their learning rates."""
    changed = EXPERIMENTS["interventions"]
    scores = read(*(RESULTS / name for name in (*changed.references, *changed.files)))
    return {
        recipe: sorted(_point(scores, label) for label in scores.arms if recipe_of(label) == recipe)
        for recipe in COLOURS
    }


def _point(scores: Scores, label: str) -> Point:
    across, up = (scores.values(label, part)[SEED] for part in AXES)
    return float(label.partition(RATE)[2] or 0.001), across, up
