"""What a run folder says about itself, read once and put into the words of the page."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from footage import configuration, runs
from footage.errors import CheckpointError
from footage.evaluation import profile_results, suite_rows
from footage.evaluation.contenders import UNTRAINED
from footage.evaluation.profile_results import ProfileFile
from footage.evaluation.results import ResultRow, read_rows
from footage.evaluation.suite_rows import SuiteRow
from footage.train_config import TrainConfig


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
    return (path / runs.RUN).is_file()


def holds_results(path: Path) -> bool:
    """Whether a folder is what `footage evaluate --suite` wrote of one model."""
    return any(path.glob(f"*/{suite_rows.LINES}"))


def gather_judged(path: Path) -> Judged:
    """The results of a model that is no run.

    Raises:
        CheckpointError: They are damaged.
    """
    files = sorted(path.glob(f"*/{suite_rows.LINES}"))
    rows = [row for file in files for row in suite_rows.read_rows(file)]
    return Judged(rows[0].model.removesuffix(UNTRAINED), rows)


def profile_files(path: Path) -> list[Path]:
    """Profiles in a folder, and in the folders just below it: a run keeps its own there.

    A file may be named itself.
    """
    if path.name == profile_results.FILE and path.is_file():
        return [path]
    return [*path.glob(profile_results.FILE), *sorted(path.glob(f"*/{profile_results.FILE}"))]


def gather_profiles(paths: list[Path]) -> list[GatheredProfile]:
    """Every profile that the folders hold, each once.

    Raises:
        CheckpointError: One is damaged.
    """
    files = {file.resolve(): file for path in paths for file in profile_files(path)}
    return [
        GatheredProfile(str(file.parent), profile_results.read_profiles(file))
        for file in files.values()
    ]


def gather(paths: list[Path]) -> list[Run]:
    """Run folders in the order given.

    Raises:
        CheckpointError: One is no run, or its files are damaged.
    """
    return [_read(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def _read(path: Path, name: str) -> Run:
    record = runs.read_record(path)
    if "chance" not in record:
        raise CheckpointError(
            f"{path} was trained by an earlier footage, whose record says too little for a page",
            "train it again, or report with the version that trained it",
        )
    try:
        lines = runs.read_metrics(path)
    except ValueError as error:
        raise CheckpointError(f"{path / runs.METRICS} is damaged: {error}") from error
    evaluations = sorted((path / runs.EVALUATIONS).glob("*.json"))
    suites = sorted((path / runs.EVALUATIONS).glob(f"*/*/{suite_rows.LINES}"))
    return Run(
        path=path,
        name=name,
        record=record,
        steps=[line for line in lines if "levels" in line],
        probes=[line for line in lines if line.get("probe")],
        rows=[row for file in evaluations for row in read_rows(file)],
        suite_rows=[row for file in suites for row in suite_rows.read_rows(file)],
    )


def _names(paths: list[Path]) -> list[str]:
    """Folder names; with their parents where two are called alike."""
    short = [path.resolve().name for path in paths]
    return [
        str(path) if short.count(name) > 1 else name
        for path, name in zip(paths, short, strict=True)
    ]
