"""Draw tasks.svg for experiments/results.md; `python -m docs.generate` calls it.

The lead of the default recipe over its controls on videos with cuts, task by task: where it helps
and where it costs accuracy. A dot for each seed, a vertical bar for their mean. The file contains a
digest of its data, by which a test detects an outdated figure.
"""

import hashlib
import json
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from experiments.compare_table import paired
from experiments.dots import BASE, CONTROLS, STYLE, dots, frame, legend, places
from experiments.results_page import EXPERIMENTS, FOUND, Arm, arms_of

OURS = "vivi-ex4"
PATH = Path(__file__).parent / "tasks.svg"
PROTOCOLS = {"linear": "Linear probe", "knn": "Nearest neighbours"}
GAP = 0.6
"""Gap between tasks of found images and rendered ones, in rows."""


def draw(path: Path = PATH) -> Path:
    """Write the figure."""
    arms = _arms()
    names = tasks(arms)
    rows = [row + GAP * (task not in FOUND) for row, task in enumerate(names)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 1.4 + 0.42 * len(names)), layout="constrained")
        for axes, (protocol, words) in zip(
            figure.subplots(1, len(PROTOCOLS), sharey=True), PROTOCOLS.items(), strict=True
        ):
            frame(axes, words, f"points by which {OURS} is ahead")
            axes.axvline(0, color=BASE, linewidth=1)
            for row, task in zip(rows, names, strict=True):
                measure = f"{protocol}, {task}"
                for place, control in zip(places(row, len(CONTROLS)), CONTROLS, strict=True):
                    dots(axes, place, _ahead(arms, control, measure), CONTROLS[control])
            axes.set_yticks(rows, names)
            axes.set_ylim(rows[-1] + 0.5, -0.5)
        handles = legend({name: ("o", colour) for name, colour in CONTROLS.items()})
        figure.legend(handles=handles, loc="outside upper right", ncols=2, frameon=False)
        figure.savefig(path, metadata={"Date": None, "Description": digest()})
    return path


def tasks(arms: dict[str, Arm]) -> list[str]:
    """Return the tasks, those of found images first."""
    groups = next(iter(arms[OURS].lines.values()))["groups"]
    return sorted(groups, key=lambda task: task not in FOUND)


def digest() -> str:
    """Return a digest of the numbers in the figure."""
    arms = _arms()
    shown = [
        [task, protocol, control, _ahead(arms, control, f"{protocol}, {task}")]
        for task in tasks(arms)
        for protocol in PROTOCOLS
        for control in CONTROLS
    ]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _arms() -> dict[str, Arm]:
    return {arm.label: arm for arm in arms_of(EXPERIMENTS["cuts"])}


def _ahead(arms: dict[str, Arm], control: str, measure: str) -> list[float]:
    """Return the lead over a control, seed by seed."""
    return paired(arms[OURS].scores(measure), arms[control].scores(measure))
