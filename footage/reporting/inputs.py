"""Read run folders, suite results and invariance profiles for the page."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from footage import configuration
from footage.errors import CheckpointError
from footage.evaluation.comparison_files import COMPARISON, COMPARISONS
from footage.evaluation.models import UNTRAINED
from footage.evaluation.results import LINES, ResultRow, read_file, read_rows
from footage.invariance import results
from footage.invariance.results import ProfileFile
from footage.runs import layout
from footage.runs.results import kept_probe
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
    """Results on labelled images and held-out videos."""
    suite_rows: list[ResultRow]
    """Results on suites."""
    num_older: int = 0
    """Number of older rows that a newer evaluation of the same images replaces."""

    @property
    def num_steps(self) -> int:
        """Optimiser steps taken."""
        return int(self.steps[-1]["step"]) if self.steps else 0

    @property
    def total_steps(self) -> int:
        """Optimiser steps in the configuration."""
        return int(self.record["config"]["steps"])

    @property
    def images_per_batch(self) -> int:
        """Views and labelled images in one step."""
        return configuration.from_dict(TrainConfig, self.record["config"]).images_per_step

    @property
    def num_videos(self) -> int:
        """Number of training videos; 0 where it is not recorded."""
        return int(self.record.get("videos_used", 0))

    @property
    def initial(self) -> str:
        """Weights that training was initialised from; empty for random ones."""
        return str(self.record["config"].get("init", ""))

    @property
    def hours(self) -> float:
        """Time spent in training steps, without online metrics, checkpoints and startup."""
        seconds = sum(
            self.images_per_batch / float(line["images_per_second"])
            for line in self.steps
            if line.get("images_per_second")
        )
        return seconds / 3600

    @property
    def data_wait(self) -> float:
        """Fraction of that time in which training waited for data."""
        waits = [float(line.get("data_wait", 0)) for line in self.steps]
        return sum(waits) / max(len(waits), 1)

    @property
    def level_chance(self) -> dict[str, float]:
        """Loss of each level with uninformative features."""
        return dict(self.record["chance"])

    @property
    def kept_probe(self) -> dict[str, Any]:
        """Probe line of the weights that the run keeps; empty without one."""
        return kept_probe(self.record, self.probes)

    @property
    def advice(self) -> list[str]:
        """Advice from the last online metrics."""
        return (
            [str(sentence) for sentence in self.probes[-1].get("advice", [])] if self.probes else []
        )


class SuiteResults(NamedTuple):
    """A model's results on suites, and its name on the page."""

    name: str
    rows: list[ResultRow]


class GatheredProfile(NamedTuple):
    """The content of a profile.json, and the folder that contains it."""

    name: str
    content: ProfileFile


def is_run(path: Path) -> bool:
    """Whether a folder is a run, regardless of its other content."""
    return (path / layout.RUN).is_file()


def holds_results(path: Path) -> bool:
    """Whether `footage evaluate --suite` wrote this folder for one model."""
    return any(path.glob(f"*/{LINES}"))


def gather_suite_results(path: Path) -> SuiteResults:
    """Read the results of a model that is not a run.

    Raises:
        CheckpointError: A file is damaged.
    """
    files = sorted(path.glob(f"*/{LINES}"))
    rows = [row for file in files for row in read_rows(file)]
    return SuiteResults(rows[0].model.removesuffix(UNTRAINED), rows)


def comparison_files(path: Path) -> list[Path]:
    """Find comparisons of models at a path: a JSON file, or a folder that `evaluate` wrote."""
    if path.suffix == ".json" and path.name not in (results.FILE, layout.RUN) and path.is_file():
        return [path]
    folders = (path / COMPARISONS, path / layout.EVALUATIONS / COMPARISONS)
    alone = [path / COMPARISON] if (path / COMPARISON).is_file() else []
    return alone + [file for folder in folders for file in sorted(folder.glob("*.json"))]


def gather_comparisons(paths: Sequence[Path]) -> list[list[ResultRow]]:
    """Read the rows of every comparison once.

    Raises:
        CheckpointError: A file is damaged.
    """
    found = {file.resolve(): file for path in paths for file in comparison_files(path)}
    return [read_rows(file) for file in found.values()]


def profile_files(path: Path) -> list[Path]:
    """Find profiles in a folder and in its direct subfolders, where a run keeps its own.

    The path may also be a profile itself.
    """
    if path.name == results.FILE and path.is_file():
        return [path]
    return [*path.glob(results.FILE), *sorted(path.glob(f"*/{results.FILE}"))]


def gather_profiles(paths: list[Path]) -> list[GatheredProfile]:
    """Read every profile in the folders once.

    Raises:
        CheckpointError: One is damaged.
    """
    files = {file.resolve(): file for path in paths for file in profile_files(path)}
    return [
        GatheredProfile(str(file.parent), results.read_profiles(file)) for file in files.values()
    ]


def gather(paths: list[Path]) -> list[Run]:
    """Read run folders, in the order given.

    Raises:
        CheckpointError: One is not a run, or its files are damaged.
    """
    return _with_unique_task_names(
        [_read(path, name) for path, name in zip(paths, _names(paths), strict=True)]
    )


def _read(path: Path, name: str) -> Run:
    record = layout.read_record(path)
    if "chance" not in record:
        raise CheckpointError(
            f"{path} was trained by an earlier version of footage, which recorded less",
            "train it again, or write the report with the version that trained it",
        )
    if "steps" not in record["config"]:
        raise CheckpointError(
            f"{str(path / layout.RUN)!r} does not contain the number of steps",
            "restore it from a copy, or use another run",
        )
    with layout.naming_plugins(record["plugins"]):
        configuration.from_dict(TrainConfig, record["config"])
    lines = layout.read_metrics(path)
    files = sorted((path / layout.EVALUATIONS).glob("*.json"))
    every = sorted((read_file(file) for file in files), key=lambda content: content.written)
    rows = newest([row for content in every for row in content.rows])
    suites = sorted((path / layout.EVALUATIONS).glob(f"*/*/{LINES}"))
    return Run(
        path=path,
        name=name,
        record=record,
        steps=[line for line in lines if "levels" in line],
        probes=[line for line in lines if line.get("probe")],
        rows=rows,
        num_older=sum(len(content.rows) for content in every) - len(rows),
        suite_rows=[row for file in suites for row in read_rows(file)],
    )


def newest(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Keep the last row for every number; rows are ordered from old to new.

    Rows of version 1 do not record their images. A later row of a task with the same name and size
    replaces them.
    """
    kept: dict[tuple[object, ...], ResultRow] = {}
    for row in rows:
        kept[row.task, row.protocol, row.role, row.num_test, row.images] = row
    known = {key[:-1] for key in kept if key[-1]}
    return [row for key, row in kept.items() if key[-1] or key[:-1] not in known]


def _with_unique_task_names(found: list[Run]) -> list[Run]:
    """Add a hash to the names of tasks that have the same name but different images."""
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
    """Folder names; full paths if two folders have the same name."""
    short = [path.resolve().name for path in paths]
    return [
        str(path) if short.count(name) > 1 else name
        for path, name in zip(paths, short, strict=True)
    ]
