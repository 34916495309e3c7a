"""The verb `footage vtab`: get the tasks of VTAB-1k into folders, and tell what is there.

export           OUT/NAME/ from TFDS, the exact images, as PNG with a manifest
import-parquet   OUT/NAME/ from Parquet files of Hugging Face, marked
doctor           present, absent, damaged
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.table import Table

from footage.errors import ConfigError, UnknownNameError
from footage.progress import progress_bar
from footage.suites.task_spec import TaskRow
from footage.suites.vtab.doctor import SOURCES, Finding, examine
from footage.suites.vtab.export import export_task, open_tfds
from footage.suites.vtab.parquet import import_parquet
from footage.suites.vtab.tasks import ROWS, TASKS, VtabTask

log = logging.getLogger(__name__)


def export(*, out: str | Path, tasks: Sequence[str] = (), data_dir: str = "") -> list[Path]:
    """Write tasks from TFDS; those which are there already are left alone.

    Args:
        out: The folder of the suite.
        tasks: Names of tasks; without any, all nineteen.
        data_dir: Where TFDS keeps its data; empty for its own default.

    Returns:
        The folders of the tasks.

    Raises:
        ConfigError: A name is unknown, TFDS is not installed, or its data are other ones.
    """
    chosen = [_task(name) for name in tasks] or list(TASKS)
    return [_exported(task, Path(out), data_dir) for task in chosen]


def _exported(task: VtabTask, out: Path, data_dir: str) -> Path:
    place = out / task.name
    if place.exists():
        log.info("%s is there already; remove it to write it anew", place)
        return place
    records = open_tfds(task, data_dir)
    with progress_bar(f"export {task.name}", total=_num_images(task.row), unit="images") as bar:
        return export_task(task, records, out, advance=bar.advance)


def imported(folder: str | Path, *, task: str, out: str | Path) -> Path:
    """Write one task from Parquet files.

    Args:
        folder: Holds the files of its parts.
        task: The name of one of the nineteen.
        out: The folder of the suite.

    Returns:
        The folder of the task.

    Raises:
        ConfigError: The name is unknown, the task is there already, or the files do not hold it.
    """
    row = _task(task).row
    with progress_bar(f"import {row.name}", total=_num_images(row), unit="images") as bar:
        return import_parquet(folder, row, Path(out), advance=bar.advance)


def doctor(folder: str | Path) -> list[Finding]:
    """What a folder holds of the nineteen tasks, and of others.

    Raises:
        ConfigError: There is no such folder.
    """
    return examine(folder, ROWS)


def table(findings: Iterable[Finding]) -> Table:
    """Findings for a terminal, one line a task."""
    view = Table(title="VTAB-1k")
    for column in ("task", "group", "state", "train + val + test", "classes", "marks", "findings"):
        view.add_column(column)
    for found in findings:
        view.add_row(
            found.name,
            found.group,
            found.state,
            found.counts,
            found.classes,
            "; ".join(found.marks),
            "; ".join((*found.damage, *found.remarks)),
        )
    return view


def advice(findings: Iterable[Finding]) -> str:
    """Where absent tasks come from; empty if none is."""
    absent = [found.name for found in findings if found.state == "absent"]
    return f"{len(absent)} of {len(TASKS)} tasks are absent\n{SOURCES}" if absent else ""


def refuse_damage(findings: Iterable[Finding]) -> None:
    """An error if a task is there that is not as it should be.

    Raises:
        ConfigError: A task is damaged.
    """
    damaged = [found.name for found in findings if found.state == "damaged"]
    if damaged:
        raise ConfigError(f"damaged: {', '.join(damaged)}", "fetch or export them again")


def _task(name: str) -> VtabTask:
    names = [task.name for task in TASKS]
    if name not in names:
        raise UnknownNameError("task of VTAB-1k", name, names)
    return TASKS[names.index(name)]


def _num_images(row: TaskRow) -> int:
    return row.num_train + row.num_val + row.num_test
