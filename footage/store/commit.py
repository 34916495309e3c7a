"""Commit finished videos to a frame store, so that a kill at any moment loses nothing.

    STORE/.work/commit/                the files of the next version, being written
    STORE/.work/ready/                 the same, complete: only renames are left to do

A kill before `ready` leaves the old store untouched; after it, the next run completes the commit.
The content of a part depends only on the videos' names, never on the order of completion.
"""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from footage.io import files
from footage.store.description import (
    DOCUMENT,
    NAME,
    SCHEMA_VERSION,
    SHOTS,
    VIDEOS,
    Description,
    FileEntry,
    content_hash,
    file_entry,
    part_name,
    part_number,
)
from footage.store.frames import FramesWriter, frames_entry
from footage.store.reader import Store
from footage.store.tables import SHOTS_SCHEMA, VIDEOS_SCHEMA, group_lengths, totals
from footage.store.writer import ShotRecord, WorkFile, finished_work, frames_of_work

PART_BYTES = 256 * 2**20
"""A part is closed after the video with which it reaches this size, in bytes."""
LOCK = ".lock"
"""Lock file of the process that changes a store; see `footage.io.files.exclusive`."""
COPIES = "copies"
"""Folder of the second copies of `store.json` and of the tables."""


def prepare(store: Path) -> None:
    """Finish or remove the commit of a killed run; call it before reading or adding to a store."""
    work = store / ".work"
    with files.output_errors(store):
        if (work / "ready").is_dir():
            _roll_forward(store)
        for unfinished in ("commit", "fetched"):
            files.remove(work / unfinished)
        for partial in (work / "videos").glob("*.partial"):
            partial.unlink()


def commit(
    store: Path,
    settings: dict[str, Any],
    limits: dict[str, Any],
    versions: dict[str, str],
    replaced: Iterable[str] = (),
) -> None:
    """Put the finished videos into the store, as new parts after the old ones.

    Args:
        store: The store folder.
        settings: Settings that determine which frames are kept; a later ingest must use the same.
        limits: Limits per video; a later ingest with other limits retries quarantined videos.
        versions: Versions of the packages that determine pixels.
        replaced: Ids of earlier records that are outdated.

    Raises:
        DamagedWorkError: The file of a finished video is damaged; the store is as it was.
        OutputError: The store cannot be written.
    """
    work = finished_work(store)
    existing = Store.open(store) if (store / NAME).exists() else None
    content = Content.of(existing).without({*replaced, *(one.record.video for one in work)})
    content.videos += [one.row for one in work]
    with next_version(store) as folder:
        part = max((part_number(name) for name in content.parts), default=-1) + 1
        for batch in _batches(work):
            sources = [
                VideoFrames(one.record.video, one.shots, frames_of_work(one)) for one in batch
            ]
            rows, entry = write_part(folder, part, sources)
            content.shots += rows
            if entry:
                content.parts[part_name(part)] = entry
                part += 1
        seal(folder, content, settings, limits, versions)


@dataclasses.dataclass
class Content:
    """The content of a store while it is assembled."""

    videos: list[dict[str, Any]]
    """Rows of `videos.parquet`."""
    shots: list[dict[str, Any]]
    """Rows of `shots.parquet`."""
    parts: dict[str, FileEntry]

    @classmethod
    def of(cls, store: Store | None) -> "Content":
        """Return the content of a store; empty for None."""
        if store is None:
            return cls([], [], {})
        entries = store.description.files
        parts = {name: entries[name] for name in map(part_name, store.description.parts())}
        return cls(store.videos.to_pylist(), store.every_shot.to_pylist(), parts)

    def without(self, gone: set[str]) -> "Content":
        """Return the content without some videos; their frames stay in the parts."""
        videos, shots = (
            [row for row in rows if row["video"] not in gone] for rows in (self.videos, self.shots)
        )
        return Content(videos, shots, self.parts)


@contextlib.contextmanager
def next_version(store: Path) -> Iterator[Path]:
    """Yield an empty folder; its final content is committed to the store, all or nothing."""
    folder = store / ".work" / "commit"
    with files.output_errors(store):
        files.remove(folder)
        (folder / "frames").mkdir(parents=True)
        (folder / COPIES).mkdir()
    yield folder
    with files.output_errors(store):
        for inner in (folder / "frames", folder / COPIES, folder):
            files.sync(inner)
        folder.rename(folder.with_name("ready"))
        files.sync(folder.parent)
        _roll_forward(store)


def seal(
    folder: Path,
    content: Content,
    settings: dict[str, Any],
    limits: dict[str, Any],
    versions: dict[str, str],
) -> None:
    """Write the tables and `store.json` of a version of the store, and copies of all three."""
    content.videos.sort(key=lambda row: str(row["video"]))
    content.shots.sort(key=lambda row: (str(row["video"]), int(row["shot"])))
    videos = pa.Table.from_pylist(content.videos, schema=VIDEOS_SCHEMA)
    shots = pa.Table.from_pylist(content.shots, schema=SHOTS_SCHEMA)
    entries = dict(content.parts)
    with files.output_errors(folder):
        for name, table in ((VIDEOS, videos), (SHOTS, shots)):
            pq.write_table(table, folder / name, write_page_checksum=True)
            files.sync(folder / name)
            entries[name] = file_entry(folder / name)
    entries = dict(sorted(entries.items()))
    description = Description(
        schema_version=SCHEMA_VERSION,
        settings=settings,
        limits=limits,
        versions=versions,
        totals=totals(videos, entries),
        files=entries,
        content_hash=content_hash(settings, entries),
    )
    DOCUMENT.write(folder / NAME, description)
    with files.output_errors(folder):
        for name in (VIDEOS, SHOTS, NAME):
            shutil.copyfile(folder / name, folder / COPIES / name)
            files.sync(folder / COPIES / name)


class VideoFrames(NamedTuple):
    """The frames of one video to be written to a part."""

    video: str
    shots: list[ShotRecord]
    groups: Iterable[pa.Table]
    """Its row groups, verified."""


def _batches(work: Sequence[WorkFile]) -> Iterator[list[WorkFile]]:
    """Group videos into parts; the result depends only on their names and sizes."""
    batch: list[WorkFile] = []
    num_bytes = 0
    for one in work:
        batch.append(one)
        num_bytes += one.path.stat().st_size
        if num_bytes >= PART_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


def write_part(
    folder: Path, part: int, videos: Iterable[VideoFrames], version: int = SCHEMA_VERSION
) -> tuple[list[dict[str, Any]], FileEntry | None]:
    """Join videos into a part; return the rows of their shots, and no entry if without frames."""
    path = folder / part_name(part)
    writer = FramesWriter(path, version)
    rows = []
    try:
        for video, shots, groups in videos:
            group = writer.num_groups
            for number, shot in enumerate(shots):
                place = {"part": part, "row_group": group}
                rows.append({"video": video, "shot": number} | shot._asdict() | place)
                group += len(group_lengths(shot.num_frames))
            for table in groups:
                writer.write(table)
        if writer.num_groups:
            writer.finish()
            return rows, frames_entry(path, version)
    finally:
        writer.close()
    files.remove(path)
    return rows, None


def _roll_forward(store: Path) -> None:
    """Rename the ready files into place, `store.json` last; safe to repeat after a kill."""
    ready = store / ".work" / "ready"
    for folder in ("frames", COPIES):
        (store / folder).mkdir(exist_ok=True)
    waiting = [path for path in ready.rglob("*") if path.is_file()]
    for path in sorted(
        waiting, key=lambda path: (path == ready / NAME, path.parent == ready, path)
    ):
        path.replace(store / path.relative_to(ready))
    for folder in ("frames", COPIES, "."):
        files.sync(store / folder)
    shutil.rmtree(store / ".work" / "videos", ignore_errors=True)
    shutil.rmtree(ready)
