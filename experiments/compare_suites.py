"""Evaluate the networks of an experiment on labelled folders, suites and videos with masks."""

import argparse
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from experiments.compare_table import PROTOCOLS
from footage.commands.evaluate import EvaluateConfig, evaluate
from footage.commands.evaluate_suites import SUITES
from footage.errors import FootageError
from footage.runs.layout import EVALUATIONS
from footage.training.config import TrainConfig

RUNS = "-runs"
"""Ending of the folder next to the results that contains the runs."""

FEW_LABELS = ("linear", "1-shot", "2-shot", "4-shot", "5-shot", "20-shot")
"""Protocols on the pocket-video suite, except on corrupted images."""

INSTANCES_SIZE = 128
"""Height and width in pixels of images in the group `instances`."""

MASKS_SIZE = 240
"""Short side of the frames whose masks are propagated: a map of 15 x 20 cells at a stride of 16."""


class Cell(NamedTuple):
    """An accuracy, with its model, task and protocol."""

    task: str
    protocol: str
    column: str
    share: float


class Evaluated(NamedTuple):
    """Accuracies of a trained network and its baselines on labelled images."""

    test: list[Cell]
    validation: list[Cell]
    groups: dict[str, str]
    """Group of each task in a suite."""


def on_folders(folder: Path, options: argparse.Namespace, seed: int) -> Evaluated:
    """Evaluate on labelled folders, which the seed splits."""
    rows = evaluate(str(folder), labels=options.labelled, config=EvaluateConfig(seed=seed)).rows
    return Evaluated(
        [Cell(row.task, row.protocol, row.role, row.value) for row in rows],
        [Cell(row.task, row.protocol, row.role, row.validation) for row in rows],
        {},
    )


class SuiteFolder(NamedTuple):
    """A suite, and the protocols to evaluate on its tasks."""

    suite: str
    data: str
    protocols: tuple[str, ...] = PROTOCOLS
    tasks: tuple[str, ...] = ()
    """Tasks to evaluate; empty for all of them."""
    part: str = ""
    """Name of this subset of the tasks; empty for all of them."""
    size: int = 0
    """Image size in pixels; 0 for the size used in training."""

    @property
    def name(self) -> str:
        """Return the name of the evaluation's folder."""
        return self.part or self.suite


def on_suites(config: TrainConfig, folder: Path, options: argparse.Namespace) -> Evaluated:
    """Evaluate on those of the pocket suite, the pocket-video suite and masks that are given."""
    suites = [SuiteFolder("pocket", options.suite)] if options.suite else []
    suites += video_suites(options.video_suite) if options.video_suite else []
    found = [on_suite(config, folder, options.results, suite) for suite in suites]
    if options.masks:
        found.append(on_masks(folder, options.masks))
    return Evaluated(
        [cell for each in found for cell in each.test],
        [cell for each in found for cell in each.validation],
        {task: group for each in found for task, group in each.groups.items()},
    )


def video_suites(data: str) -> list[SuiteFolder]:
    """Split the pocket-video suite into its groups of tasks.

    Corrupted images are evaluated with a linear probe only. Instances are evaluated at a larger
    size, because even ImageNet weights hardly tell them apart at 64 pixels.
    """
    of_group: dict[str, list[str]] = {}
    for row in SUITES["pocket-video"][1]:
        of_group.setdefault(row.group, []).append(row.name)
    return [
        SuiteFolder(
            "pocket-video",
            data,
            PROTOCOLS[-1:] if group == "robustness" else FEW_LABELS,
            tuple(tasks),
            group,
            INSTANCES_SIZE if group == "instances" else 0,
        )
        for group, tasks in of_group.items()
    ]


def on_suite(config: TrainConfig, folder: Path, results: str, suite: SuiteFolder) -> Evaluated:
    """Evaluate on a suite, along with the network before training, whose results are cached."""
    settings = EvaluateConfig(
        protocols=suite.protocols, size=suite.size or config.augment.size, tasks=suite.tasks
    )
    where = {"suite": suite.suite, "data": suite.data, "config": settings}
    out = folder / EVALUATIONS / suite.name
    rows = [(row.role, row) for row in evaluate(str(folder), out=out, **where).rows]
    if config.init:
        before = Path(f"{results}{RUNS}") / f"original-{suite.name}-{Path(config.init).stem}"
        with _one_at_a_time(before.with_suffix(".lock")):
            found = evaluate(config.init, out=before, **where).rows
        rows += [("original", row) for row in found if row.role == "model"]
    own = [row for role, row in rows if role == "model"]
    wanted = set(suite.tasks or own[0].missing)
    if missing := [name for name in own[0].missing if name in wanted]:
        raise FootageError(f"{suite.data} has no {', '.join(missing)}", "build the whole suite")
    chance = [Cell(row.task, row.protocol, "chance", row.chance) for row in own]
    return Evaluated(
        chance + [Cell(row.task, row.protocol, column, row.value) for column, row in rows],
        chance + [Cell(row.task, row.protocol, column, row.validation) for column, row in rows],
        {row.task: row.group for row in own},
    )


def on_masks(folder: Path, masks: str) -> Evaluated:
    """Evaluate the propagation of masks, which has no validation split."""
    rows = evaluate(str(folder), masks=masks, config=EvaluateConfig(size=MASKS_SIZE)).rows
    cells = [Cell(row.task, row.protocol, row.role, row.value) for row in rows]
    return Evaluated(cells, [], {})


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Make the processes of one command take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
