"""The command `footage vtab`: export or import the tasks of VTAB-1k, and check what is present.

export           OUT/NAME/ from TFDS, the exact images, as PNG with a manifest
import-parquet   OUT/NAME/ from Parquet files of Hugging Face, marked as a different subset
doctor           present, absent, damaged
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from footage.errors import ConfigError, UnknownNameError
from footage.progress import progress_bar
from footage.results import Result, View
from footage.suites.task_spec import TaskRow
from footage.suites.vtab.doctor import SOURCES, Finding, examine
from footage.suites.vtab.export import export_task, open_tfds
from footage.suites.vtab.parquet import import_parquet
from footage.suites.vtab.tasks import ROWS, TASKS, VtabTask

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Tasks(Result):
    """The folders of tasks."""

    folders: list[Path]

    def views(self) -> Sequence[View]:
        """Return a line for each folder."""
        return list(map(str, self.folders))


def export(*, out: str | Path, tasks: Sequence[str] = (), data_dir: str = "") -> Tasks:
    """Export tasks from TFDS; existing tasks are skipped.

    Args:
        out: The folder of the suite.
        tasks: Names of tasks; all nineteen by default.
        data_dir: Data folder of TFDS; empty for its default.

    Returns:
        The folders of the tasks.

    Raises:
        ConfigError: A name is unknown, TFDS is not installed, or its data differ.
    """
    chosen = [_task(name) for name in tasks] or list(TASKS)
    return Tasks([_exported(task, Path(out), data_dir) for task in chosen])


def _exported(task: VtabTask, out: Path, data_dir: str) -> Path:
    place = out / task.name
    if place.exists():
        log.info("%s already exists; remove it to export it again", place)
        return place
    records = open_tfds(task, data_dir)
    with progress_bar(f"export {task.name}", total=_num_images(task.row), unit="images") as bar:
        return export_task(task, records, out, advance=bar.advance)


def imported(folder: str | Path, *, task: str, out: str | Path) -> Tasks:
    """Import one task from Parquet files.

    Args:
        folder: Folder of the Parquet files.
        task: Name of one of the nineteen tasks.
        out: The folder of the suite.

    Returns:
        The folder of the task.

    Raises:
        ConfigError: The name is unknown, the task already exists, or the files do not contain it.
    """
    row = _task(task).row
    with progress_bar(f"import {row.name}", total=_num_images(row), unit="images") as bar:
        return Tasks([import_parquet(folder, row, Path(out), advance=bar.advance)])


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Findings(Result):
    """The state of every task of a folder."""

    tasks: list[Finding]

    def views(self) -> Sequence[View]:
        """Return a table with one line per task, and where to get absent tasks."""
        view = Table(title="VTAB-1k")
        columns = ("task", "group", "state", "train + val + test", "classes", "deviations")
        for column in (*columns, "findings"):
            view.add_column(column)
        for found in self.tasks:
            view.add_row(
                found.name,
                found.group,
                found.state,
                found.counts,
                found.classes,
                "; ".join(found.marks),
                "; ".join((*found.damage, *found.remarks)),
            )
        return [view, self.advice] if self.advice else [view]

    @property
    def advice(self) -> str:
        """Where to get absent tasks; empty if all are present."""
        absent = [found.name for found in self.tasks if found.state == "absent"]
        return f"{len(absent)} of {len(TASKS)} tasks are absent\n{SOURCES}" if absent else ""

    def require_sound(self) -> None:
        """Raise an error if a present task is damaged.

        Raises:
            ConfigError: A task is damaged.
        """
        damaged = [found.name for found in self.tasks if found.state == "damaged"]
        if damaged:
            raise ConfigError(f"damaged: {', '.join(damaged)}", "download or export them again")


def doctor(folder: str | Path) -> Findings:
    """Check a folder for the nineteen tasks and for other ones.

    Raises:
        ConfigError: The folder does not exist.
    """
    return Findings(examine(folder, ROWS))


def _task(name: str) -> VtabTask:
    names = [task.name for task in TASKS]
    if name not in names:
        raise UnknownNameError("task of VTAB-1k", name, names)
    return TASKS[names.index(name)]


def _num_images(row: TaskRow) -> int:
    return row.num_train + row.num_val + row.num_test
