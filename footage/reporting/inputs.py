"""What a run folder says about itself, read once and put into the words of the page."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from footage import configuration
from footage.errors import CheckpointError
from footage.evaluation import suite_results
from footage.evaluation.models import UNTRAINED
from footage.evaluation.results import RESULTS, ResultRow
from footage.evaluation.suite_results import SuiteRow
from footage.invariance import results
from footage.invariance.results import ProfileFile
from footage.runs import layout
from footage.training.config import TrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run folder."""

    path: Path
    name: str
    """Unique on the page."""
    record: dict[str, Any]
    """run.json."""
    steps: list[dict[str, Any]]
    """Training lines of metrics.jsonl."""
    probes: list[dict[str, Any]]
    """Probe lines of metrics.jsonl that hold a value."""
    rows: list[ResultRow]
    """Of every evaluation on labelled images."""
    suite_rows: list[SuiteRow]
    """Of every evaluation on a suite."""
    num_older: int = 0
    """Rows on labelled images that a newer evaluation of the same images replaces on the page."""

    @property
    def num_steps(self) -> int:
        """Optimiser steps taken."""
        return int(self.steps[-1]["step"]) if self.steps else 0

    @property
    def total_steps(self) -> int:
        """Optimiser steps that the configuration asks for."""
        return int(self.record["config"]["steps"])

    @property
    def images_per_batch(self) -> int:
        """Views and labelled images in one step."""
        return configuration.from_dict(TrainConfig, self.record["config"]).images_per_step

    @property
    def num_videos(self) -> int:
        """Videos that it was trained on; 0 where its record does not count them."""
        return int(self.record.get("videos_used", 0))

    @property
    def initial(self) -> str:
        """The weights that training started from; empty for random ones."""
        return str(self.record["config"].get("init", ""))

    @property
    def hours(self) -> float:
        """Time spent in steps: the loop's own, without probes, checkpoints and start."""
        seconds = sum(
            self.images_per_batch / float(line["images_per_second"])
            for line in self.steps
            if line.get("images_per_second")
        )
        return seconds / 3600

    @property
    def data_wait(self) -> float:
        """Share of that time in which the loop waited for data."""
        waits = [float(line.get("data_wait", 0)) for line in self.steps]
        return sum(waits) / max(len(waits), 1)

    @property
    def level_chance(self) -> dict[str, float]:
        """What each level pays when the features say nothing."""
        return dict(self.record["chance"])

    @property
    def advice(self) -> list[str]:
        """What the monitor said at its last look."""
        return (
            [str(sentence) for sentence in self.probes[-1].get("advice", [])] if self.probes else []
        )


class Judged(NamedTuple):
    """A model's rows of suites, by the name that the page gives it."""

    name: str
    rows: list[SuiteRow]


class GatheredProfile(NamedTuple):
    """What `footage profile` wrote, by the folder that holds it."""

    name: str
    content: ProfileFile


def is_run(path: Path) -> bool:
    """Whether a folder is a run, whatever else it holds."""
    return (path / layout.RUN).is_file()


def holds_results(path: Path) -> bool:
    """Whether a folder is what `footage evaluate --suite` wrote of one model."""
    return any(path.glob(f"*/{suite_results.LINES}"))


def gather_judged(path: Path) -> Judged:
    """The results of a model that is no run.

    Raises:
        CheckpointError: They are damaged.
    """
    files = sorted(path.glob(f"*/{suite_results.LINES}"))
    rows = [row for file in files for row in suite_results.read_rows(file)]
    return Judged(rows[0].model.removesuffix(UNTRAINED), rows)


def profile_files(path: Path) -> list[Path]:
    """Profiles in a folder, and in the folders just below it: a run keeps its own there.

    A file may be named itself.
    """
    if path.name == results.FILE and path.is_file():
        return [path]
    return [*path.glob(results.FILE), *sorted(path.glob(f"*/{results.FILE}"))]


def gather_profiles(paths: list[Path]) -> list[GatheredProfile]:
    """Every profile that the folders hold, each once.

    Raises:
        CheckpointError: One is damaged.
    """
    files = {file.resolve(): file for path in paths for file in profile_files(path)}
    return [
        GatheredProfile(str(file.parent), results.read_profiles(file)) for file in files.values()
    ]


def gather(paths: list[Path]) -> list[Run]:
    """Run folders in the order given.

    Raises:
        CheckpointError: One is no run, or its files are damaged.
    """
    return _told_apart([_read(path, name) for path, name in zip(paths, _names(paths), strict=True)])


def _read(path: Path, name: str) -> Run:
    record = layout.read_record(path)
    if "chance" not in record:
        raise CheckpointError(
            f"{path} was trained by an earlier footage, whose record says too little for a page",
            "train it again, or report with the version that trained it",
        )
    if "steps" not in record["config"]:
        raise CheckpointError(
            f"{str(path / layout.RUN)!r} does not contain the number of steps",
            "restore it from a copy, or give another run",
        )
    lines = layout.read_metrics(path)
    files = sorted((path / layout.EVALUATIONS).glob("*.json"))
    every = sorted((RESULTS.read(file) for file in files), key=lambda content: content.written)
    rows = newest([row for content in every for row in content.rows])
    suites = sorted((path / layout.EVALUATIONS).glob(f"*/*/{suite_results.LINES}"))
    return Run(
        path=path,
        name=name,
        record=record,
        steps=[line for line in lines if "levels" in line],
        probes=[line for line in lines if line.get("probe")],
        rows=rows,
        num_older=sum(len(content.rows) for content in every) - len(rows),
        suite_rows=[row for file in suites for row in suite_results.read_rows(file)],
    )


def newest(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The last row for every number, of rows from old to new.

    Rows of version 1 do not record their images: a later row of a task of the same name and size
    replaces them.
    """
    kept: dict[tuple[object, ...], ResultRow] = {}
    for row in rows:
        kept[row.task, row.protocol, row.column, row.num_test, row.images] = row
    known = {key[:-1] for key in kept if key[-1]}
    return [row for key, row in kept.items() if key[-1] or key[:-1] not in known]


def _told_apart(found: list[Run]) -> list[Run]:
    """Runs in which tasks of the same name, but with other images, have names of their own."""
    images: dict[str, set[str]] = {}
    for run in found:
        for row in run.rows:
            images.setdefault(row.task, set()).add(row.images)

    def named(row: ResultRow) -> ResultRow:
        if len(images[row.task] - {""}) < 2:
            return row
        return msgspec.structs.replace(row, task=f"{row.task} ({row.images[:8] or 'unknown'})")

    return [dataclasses.replace(run, rows=[named(row) for row in run.rows]) for run in found]


def _names(paths: list[Path]) -> list[str]:
    """Folder names; with their parents where two are called alike."""
    short = [path.resolve().name for path in paths]
    return [
        str(path) if short.count(name) > 1 else name
        for path, name in zip(paths, short, strict=True)
    ]
