"""Open tasks stored as folders of image files and lists, the common format of VTAB-1k copies.

    DIR/cifar/images/...                     any subfolders; PNG or JPEG
    DIR/cifar/train800.txt                   lines `images/train800/000000.jpg 23`
    DIR/cifar/val200.txt
    DIR/cifar/test.txt
    DIR/cifar/train800val200.txt             optional: the first two together

A folder named like a task of the table is checked against its row: counts, classes, disjoint parts.
Any other folder of this form is a custom task, with a row made from its lists. Nothing is decoded.
"""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Int

from footage.errors import ConfigError, UnknownNameError
from footage.evaluation.dataset import Part, Task
from footage.evaluation.suite import Suite
from footage.images.common import some
from footage.io import documents
from footage.io.walk import text
from footage.suites.task_spec import TaskRow
from footage.suites.vtab import manifest

log = logging.getLogger(__name__)

TRAIN: Final = "train800.txt"
VAL: Final = "val200.txt"
BOTH: Final = "train800val200.txt"
TEST: Final = "test.txt"

SPLIT: Final = "train800, val200 and test lists"
"""Description of how the parts of a task folder were made."""

LOSSY: Final = "lossy JPEG dump"
"""The source of the task is lossless, but its files are not."""
PERHAPS_TWICE: Final = "JPEG files, perhaps encoded twice"
"""The source of the task is JPEG, so the files may or may not be the original ones."""

_JPEG: Final = b"\xff\xd8\xff"
_MOST_DIGITS: Final = 9
"""Maximum number of digits of a label."""

_LONGEST_NAME: Final = 255
"""Maximum number of bytes in the name of a file or folder."""

_MOST_BYTES: Final = 2**28
"""Maximum size of a list, in bytes; the longest one in VTAB is 3 MB."""

_LOOKED_AT: Final = 1000
"""Number of files per part whose first bytes are read at opening, evenly spaced."""


class Listed(NamedTuple):
    """One list: paths relative to the task's folder, and labels."""

    names: tuple[str, ...]
    labels: Int[np.ndarray, " N"]


class Lists(NamedTuple):
    """All lists of one task."""

    train: Listed
    val: Listed
    test: Listed
    both: Listed
    """Empty if the folder does not have this list."""

    @property
    def parts(self) -> dict[str, Listed]:
        """Return the three parts by the names of their lists."""
        return {TRAIN: self.train, VAL: self.val, TEST: self.test}


def is_task(folder: Path) -> bool:
    """Return whether a folder has the lists of a task."""
    return all((folder / name).is_file() for name in (TRAIN, VAL, TEST))


def open_suite(
    path: str | Path, rows: Sequence[TaskRow], *, name: str = "", only: Sequence[str] = ()
) -> Suite:
    """Open every task in a folder; tasks of the table come first, in its order.

    Args:
        path: A folder of task folders, or one task folder.
        rows: The suite's table; empty for none.
        name: Name of the suite; by default, the folder's name.
        only: Names of the tasks to open; empty opens all.

    Raises:
        ConfigError: There is no task, one of `only` is missing, or a folder is damaged.
    """
    root = Path(path)
    folders = task_folders(root, rows)
    if not folders:
        raise ConfigError(
            f"{root} contains no task: no folder with {TRAIN}, {VAL} and {TEST}",
            "pass the folder that contains cifar/, svhn/ and the others, or one of them",
        )
    for wanted in only:
        if wanted not in folders:
            raise UnknownNameError(f"task in {str(root)!r}:", wanted, folders)
    known = {row.name: row for row in rows}
    return Suite(
        name=name or text(root.resolve().name),
        path=root,
        tasks=tuple(
            open_folder_task(folder, known.get(task))
            for task, folder in folders.items()
            if not only or task in only
        ),
        missing=tuple(row.name for row in rows if row.name not in folders),
    )


def open_folder_task(path: str | Path, row: TaskRow | None = None) -> Task:
    """Open one task folder and check it against its row.

    Args:
        path: The folder that contains the lists.
        row: The required content; None derives it from the lists.

    Raises:
        ConfigError: Something is missing or differs from the row; the message names the first.
    """
    folder = Path(path)
    lists = read_lists(folder)
    declared = row or row_of(folder, lists)
    for fault in faults(folder, declared, lists):
        raise fault
    if row is None:
        _warn_of_unseen_classes(folder, lists)
    train, val, test = (
        Part(tuple(folder / name for name in listed.names), listed.labels)
        for listed in lists.parts.values()
    )
    return Task(
        name=declared.name,
        group=declared.group,
        num_classes=declared.num_classes,
        train=train,
        val=val,
        test=test,
        split=SPLIT,
        deviations=deviations(folder, declared, lists),
    )


def row_of(folder: Path, lists: Lists) -> TaskRow:
    """Make the row of a custom task; its largest label determines the number of classes.

    Raises:
        ConfigError: There is only one class, or there are more classes than images.
    """
    num_classes = 1 + max(int(listed.labels.max(initial=0)) for listed in lists)
    if num_classes < 2:
        raise ConfigError(f"all labels of {folder} are 0", "at least two classes are needed")
    num_images = sum(len(listed.names) for listed in lists.parts.values())
    if num_classes > num_images:
        raise ConfigError(
            f"{folder} has label {num_classes - 1} but only {num_images} images",
            "number the classes consecutively from 0",
        )
    return TaskRow(
        name=text(folder.resolve().name),
        group="other",
        num_classes=num_classes,
        num_train=len(lists.train.names),
        num_val=len(lists.val.names),
        num_test=len(lists.test.names),
    )


def deviations(folder: Path, row: TaskRow, lists: Lists) -> tuple[str, ...]:
    """List the folder's differences from the exact protocol.

    Raises:
        ConfigError: Its manifest is damaged.
    """
    noted = manifest.read(folder)
    found = () if noted is None else noted.marks
    if row.pixels == "unknown" or not _has_jpeg(folder, lists):
        return found
    return (*found, LOSSY if row.pixels == "lossless" else PERHAPS_TWICE)


def _warn_of_unseen_classes(folder: Path, lists: Lists) -> None:
    """Warn of classes without training images, which may be correct or due to wrong labels."""
    seen = np.union1d(lists.train.labels, lists.val.labels)
    unseen = np.setdiff1d(lists.test.labels, seen).tolist()
    if unseen:
        log.warning(
            "%s has classes without images in %s and %s, which no model can learn: %s",
            folder / TEST, TRAIN, VAL, some([str(label) for label in unseen]),
        )  # fmt: skip


# --- reading -------------------------------------------------------------------------------------


def task_folders(root: Path, rows: Sequence[TaskRow]) -> dict[str, Path]:
    """Find the folders of tasks, damaged or not: tasks of the table first, then others by name.

    Args:
        root: A folder of task folders, or one task folder.
        rows: The suite's table.

    Raises:
        ConfigError: The folder does not exist.
    """
    if is_task(root):
        return {text(root.resolve().name): root}
    if not root.is_dir():
        raise ConfigError(f"folder {root} does not exist", "pass the folder of the tasks")
    known = [row.name for row in rows]
    found = {task: root / task for task in known if (root / task).is_dir()}
    others = sorted(entry for entry in root.iterdir() if entry.name not in known)
    return found | {text(entry.name): entry for entry in others if _has_a_list(entry)}


def _has_a_list(folder: Path) -> bool:
    """Return whether a folder has any list, so that it is meant to be a task."""
    return any((folder / name).is_file() for name in (TRAIN, VAL, TEST))


def read_lists(folder: Path) -> Lists:
    """Read the lists of a task folder.

    Raises:
        ConfigError: A list is missing, empty or not valid.
    """
    none = Listed((), np.zeros(0, dtype=np.int64))
    both = read_list(folder / BOTH) if (folder / BOTH).is_file() else none
    train, val, test = (read_list(folder / name) for name in (TRAIN, VAL, TEST))
    return Lists(train, val, test, both)


def read_list(path: Path) -> Listed:
    """Read the lines `path label` of one list, in order.

    Raises:
        ConfigError: The list is missing or empty, or a line is not a relative path and a label.
    """
    try:
        lines = documents.read_list(path, _MOST_BYTES)
    except OSError as error:
        raise ConfigError(
            f"the list {path} cannot be read: {error.strerror}",
            "download the folder again, or write one `images/000000.png 3` per line",
        ) from error
    entries = [_entry(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not entries:
        raise ConfigError(f"the list {path} is empty", "write one `images/000000.png 3` per line")
    names = tuple(name for name, _ in entries)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"{path} lists {len(twice)} files twice: {some(twice)}", "list each once")
    return Listed(names, np.array([label for _, label in entries], dtype=np.int64))


def _entry(path: Path, number: int, line: str) -> tuple[str, int]:
    name, label = [*line.strip().rsplit(None, 1), ""][:2]
    if not (label.isascii() and label.isdigit() and len(label) <= _MOST_DIGITS):
        raise ConfigError(
            f"line {number} of {path} is not `path label`: {line[:80]!r}",
            "labels are whole numbers from 0, after a space",
        )
    place = PurePosixPath(name)
    if "\0" in name or any(len(os.fsencode(each)) > _LONGEST_NAME for each in place.parts):
        raise ConfigError(
            f"line {number} of {path} is not a valid file name: {line[:80]!r}",
            "list files below the folder of the list",
        )
    if place.is_absolute() or ".." in place.parts:
        raise ConfigError(
            f"line {number} of {path} points outside its folder: {line[:80]!r}",
            "list files below the folder of the list",
        )
    return name, int(label)


# --- checking ------------------------------------------------------------------------------------


def faults(folder: Path, row: TaskRow, lists: Lists) -> Iterator[ConfigError]:
    """Yield an error for everything that differs from the folder's row."""
    yield from _wrong_counts(folder, row, lists)
    yield from _wrong_labels(folder, row, lists)
    yield from _overlaps(folder, lists)
    absent = missing_files(folder, lists)
    if absent:
        yield ConfigError(
            f"{len(absent)} listed files of {folder} do not exist: {some(absent)}",
            "download the folder again",
        )


def _wrong_counts(folder: Path, row: TaskRow, lists: Lists) -> Iterator[ConfigError]:
    expected = {TRAIN: row.num_train, VAL: row.num_val, TEST: row.num_test}
    for name, listed in lists.parts.items():
        if len(listed.names) != expected[name]:
            yield ConfigError(
                f"{folder / name} lists {len(listed.names)} images, {row.name} has "
                f"{expected[name]}",
                "download it again, or rename the folder to use it as a custom task",
            )
    together = np.sort(np.concatenate([lists.train.labels, lists.val.labels]))
    if lists.both.names and not np.array_equal(np.sort(lists.both.labels), together):
        yield ConfigError(
            f"{folder / BOTH} does not have the labels of {TRAIN} and {VAL} together",
            "download the folder again, or remove that list",
        )


def _wrong_labels(folder: Path, row: TaskRow, lists: Lists) -> Iterator[ConfigError]:
    for name, listed in lists.parts.items():
        largest = int(listed.labels.max())
        if largest >= row.num_classes:
            yield ConfigError(
                f"{folder / name} has label {largest}, {row.name} has {row.num_classes} classes "
                "numbered from 0",
                "download it again, or rename the folder to use it as a custom task",
            )


def _overlaps(folder: Path, lists: Lists) -> Iterator[ConfigError]:
    parts = list(lists.parts.items())
    for place, (name, listed) in enumerate(parts):
        for other_name, other in parts[place + 1 :]:
            shared = sorted(set(listed.names) & set(other.names))
            if shared:
                yield ConfigError(
                    f"{len(shared)} files of {folder} are in {name} and {other_name}: "
                    f"{some(shared)}",
                    "an image belongs to one part only; download the folder again",
                )


def missing_files(folder: Path, lists: Lists) -> list[str]:
    """Find listed files that do not exist; each folder is read once, not each file."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(name for listed in lists for name in listed.names):
        by_folder[os.path.dirname(name)].append(name)
    absent: list[str] = []
    for below, names in by_folder.items():
        home = folder / below
        there = set(os.listdir(home)) if home.is_dir() else set()
        absent += [name for name in names if os.path.basename(name) not in there]
    return absent


def _has_jpeg(folder: Path, lists: Lists) -> bool:
    for listed in lists.parts.values():
        step = -(-len(listed.names) // _LOOKED_AT)
        for name in listed.names[::step]:
            with (folder / name).open("rb") as file:
                if file.read(len(_JPEG)) == _JPEG:
                    return True
    return False
