"""Evaluate the networks of an experiment on labelled folders, suites and videos with masks."""

import argparse
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from experiments.compare_table import PROTOCOLS
from footage.commands.evaluate import EvaluateConfig, evaluate
from footage.errors import FootageError
from footage.runs.layout import EVALUATIONS
from footage.training.config import TrainConfig

RUNS = "-runs"
"""Ending of the folder next to the results that contains the runs."""

FEW_LABELS = ("linear", "1-shot", "2-shot", "4-shot", "5-shot", "20-shot")
"""Protocols on the pocket-video suite."""

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
    """A suite, and the protocols to evaluate on it."""

    suite: str
    data: str
    protocols: tuple[str, ...] = PROTOCOLS


def on_suites(config: TrainConfig, folder: Path, options: argparse.Namespace) -> Evaluated:
    """Evaluate on what was given: the pocket suite, the pocket-video suite, and masks."""
    suites = [SuiteFolder("pocket", options.suite)] if options.suite else []
    if options.video_suite:
        suites.append(SuiteFolder("pocket-video", options.video_suite, FEW_LABELS))
    found = [on_suite(config, folder, options.results, suite) for suite in suites]
    if options.masks:
        found.append(on_masks(folder, options.masks))
    return Evaluated(
        [cell for each in found for cell in each.test],
        [cell for each in found for cell in each.validation],
        {task: group for each in found for task, group in each.groups.items()},
    )


class Baseline(NamedTuple):
    """The network before training."""

    column: str
    """Its column in tables: original if it has pretrained weights, otherwise untrained."""
    model: str
    """MODEL of an evaluation."""


def baseline_of(config: TrainConfig) -> Baseline:
    """Return the network before training."""
    if config.init:
        return Baseline("original", config.init)
    return Baseline("untrained", config.backbone.architecture)


def on_suite(config: TrainConfig, folder: Path, results: str, suite: SuiteFolder) -> Evaluated:
    """Evaluate on a suite, along with the network before training, which is evaluated once."""
    column, model = baseline_of(config)
    name = column if suite.suite == "pocket" else f"{column}-{suite.suite}"
    settings = {"protocols": suite.protocols, "size": config.augment.size}
    out = Path(f"{results}{RUNS}") / f"{name}-{Path(model).name}"
    with _one_at_a_time(out.with_suffix(".lock")):
        before = evaluate(
            model,
            suite=suite.suite,
            data=suite.data,
            out=out,
            config=EvaluateConfig(**settings, untrained=not config.init),
        ).rows
    if before[0].missing:
        raise FootageError(
            f"{suite.data} has no {', '.join(before[0].missing)}", "build the whole suite"
        )
    trained = evaluate(
        str(folder),
        suite=suite.suite,
        data=suite.data,
        out=folder / EVALUATIONS / suite.suite,
        config=EvaluateConfig(**settings),
    ).rows
    columns = [(column, row) for row in before] + [("model", row) for row in trained]
    chance = [Cell(row.task, row.protocol, "chance", row.chance) for row in trained]
    return Evaluated(
        chance + [Cell(row.task, row.protocol, column, row.value) for column, row in columns],
        chance + [Cell(row.task, row.protocol, column, row.validation) for column, row in columns],
        {row.task: row.group for row in trained},
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
