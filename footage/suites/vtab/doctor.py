"""Check a VTAB-1k folder: is each task present, absent or damaged, and where is its data available?

All lists, the presence and size of all files, and all hashes of a manifest are checked; some
images of each part are decoded. An absent task is not damage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from footage.errors import ConfigError
from footage.images import confined
from footage.images.common import some
from footage.images.limits import ImageError
from footage.io import files
from footage.suites.task_spec import TaskRow
from footage.suites.vtab import manifest
from footage.suites.vtab.folder import Lists, deviations, faults, read_lists, row_of, task_folders
from footage.suites.vtab.tasks import TASKS

State = Literal["present", "absent", "damaged"]

DECODED: Final = 50
"""Number of images per part that are decoded, evenly spaced."""

SOURCES: Final = """\
exact images   `footage vtab export` writes them from TFDS
               pip install 'footage[vtab-export]'
as in papers   the copy distributed by the authors of NOAH, SSF and RepAdapter has this format and
               needs no import; its files are lossy JPEG, which costs accuracy on small images
other images   Parquet files from Hugging Face, such as clip-benchmark/wds_vtab-svhn, by
               `footage vtab import-parquet`; their rows are in another order"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The state of one task."""

    name: str
    group: str
    state: State
    counts: str = ""
    """Number of images in each of the three parts."""
    classes: str = ""
    """Number of classes in the thousand images, out of all."""
    marks: tuple[str, ...] = ()
    """Differences from the exact protocol."""
    damage: tuple[str, ...] = ()
    """Errors."""
    remarks: tuple[str, ...] = ()
    """Notes; for an absent task, the source of its data."""


def examine(path: str | Path, rows: Sequence[TaskRow]) -> list[Finding]:
    """Check every task of the table, and all other tasks in the folder.

    Args:
        path: The folder of the suite.
        rows: The suite's table.

    Raises:
        ConfigError: The folder does not exist.
    """
    known = {row.name: row for row in rows}
    folders = task_folders(Path(path), rows)
    others = [name for name in folders if name not in known]
    return [
        _finding(name, folders[name], known.get(name)) if name in folders else _absent(known[name])
        for name in (*known, *others)
    ]


def _absent(row: TaskRow) -> Finding:
    """Make the finding for an absent task, with its builder and a note on its data."""
    where = tuple(
        text
        for task in TASKS
        if task.name == row.name
        for text in (f"TFDS {task.builder}", task.note)
        if text
    )
    return Finding(name=row.name, group=row.group, state="absent", remarks=where)


def _finding(name: str, folder: Path, row: TaskRow | None) -> Finding:
    group = row.group if row else "other"
    try:
        lists = read_lists(folder)
        declared = row or row_of(folder, lists)
        wrong = [fault.message for fault in faults(folder, declared, lists)]
        wrong = wrong or [*_damaged_files(folder, lists)]
        noted = () if wrong else deviations(folder, declared, lists)
        copied = "" if wrong else _copies(folder, lists)
    except ConfigError as error:
        return Finding(name=name, group=group, state="damaged", damage=(error.message,))
    thousand = np.concatenate([lists.train.labels, lists.val.labels])
    unlisted = _unlisted(folder, lists)
    return Finding(
        name=name,
        group=group,
        state="damaged" if wrong else "present",
        counts=" + ".join(str(len(listed.names)) for listed in lists.parts.values()),
        classes=f"{len(np.unique(thousand))} of {declared.num_classes}",
        marks=noted,
        damage=tuple(wrong),
        remarks=tuple(filter(None, (copied, unlisted))),
    )


def _damaged_files(folder: Path, lists: Lists) -> Iterator[str]:
    """Describe files that are empty, differ from the manifest, or are not images."""
    names = list(dict.fromkeys(name for listed in lists for name in listed.names))
    empty = [name for name in names if not (folder / name).stat().st_size]
    if empty:
        yield f"{len(empty)} files are empty: {some(empty)}"
        return
    noted = manifest.read(folder)
    changed = manifest.differing(folder, noted) if noted is not None else []
    if changed:
        yield f"{len(changed)} files differ from {manifest.FILE}: {some(changed)}"
        return
    for listed in lists.parts.values():
        some_names = listed.names[:: -(-len(listed.names) // DECODED)]
        for found in confined.shared().squares([folder / name for name in some_names], [1]):
            if isinstance(found, ImageError):
                yield found.message
                return


def _unlisted(folder: Path, lists: Lists) -> str:
    listed = {name for part in lists for name in part.names}
    there = {
        path.relative_to(folder).as_posix()
        for path in (folder / "images").rglob("*")
        if path.is_file()
    }
    extra = sorted(there - listed)
    return f"{len(extra)} files in images/ are not in any list: {some(extra)}" if extra else ""


def _copies(folder: Path, lists: Lists) -> str:
    """Count test images that are byte-identical to one of the thousand; empty for none."""
    thousand = [folder / name for name in (*lists.train.names, *lists.val.names)]
    sizes = {path.stat().st_size for path in thousand}
    alike = [path for name in lists.test.names if (path := folder / name).stat().st_size in sizes]
    digests = {files.sha256(path) for path in thousand} if alike else set()
    count = sum(files.sha256(path) in digests for path in alike)
    return f"{count} test images are byte-identical to one of the thousand" if count else ""
