"""Write the frames of a unit of videos into one part, and the record of the unit after it.

    STORE/.work/scratch/<name>/            files that are being written; removed afterwards
    STORE/frames/ab/part-<hash>.parquet    the part, named after the hash of its content

Workers write both files themselves, at any time and on any machine. A kill at any moment loses only
the unit being decoded; two workers on one unit write the same files.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from footage.io import files
from footage.store.description import FileEntry
from footage.store.frames import FRAMES_SCHEMA, FramesWriter, frames_entry
from footage.store.parts import part_name
from footage.store.places import WORK, Place, place_of
from footage.store.records import (
    ShotRecord,
    Stamp,
    Unit,
    VideoRecord,
    check_record,
    write_unit,
)
from footage.store.tables import FRAMES_PER_GROUP, group_lengths

SCRATCH = f"{WORK}/scratch"
BUFFER_BYTES = 64 * 2**20
"""JPEG bytes of one video that are kept in memory; more of them go to a file in between."""


class VideoFrames:
    """The frames of one video, collected until it is known whether the video can be used."""

    def __init__(self, video: str, scratch: Path) -> None:
        self._video = video
        self._scratch = scratch
        self._rows: list[dict[str, Any]] = []
        self._groups: list[pa.Table] = []
        self._num_bytes = 0
        self._writer: FramesWriter | None = None
        self._path = scratch / "video.parquet"

    def add(self, shot: int, index: int, seconds: float, jpeg: bytes) -> None:
        """Add the next frame; shots and their frames are added in order, counted from 0."""
        if self._rows and (self._rows[-1]["shot"] != shot or len(self._rows) == FRAMES_PER_GROUP):
            self._end_group()
        row = {"shot": shot, "index": index, "seconds": seconds, "jpeg": jpeg}
        self._rows.append({"video": self._video} | row)
        self._num_bytes += len(jpeg)

    def _end_group(self) -> None:
        if self._rows:
            self._groups.append(pa.Table.from_pylist(self._rows, schema=FRAMES_SCHEMA))
            self._rows = []
        if self._num_bytes > BUFFER_BYTES:
            if self._writer is None:
                self._writer = FramesWriter(self._path)
            for group in self._groups:
                self._writer.write(group)
            self._groups, self._num_bytes = [], 0

    def groups(self) -> Iterator[pa.Table]:
        """Yield the row groups in storage order; nothing can be added afterwards."""
        self._end_group()
        if self._writer is not None:
            self._writer.finish()
            with pq.ParquetFile(self._path, pre_buffer=False) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, use_threads=False)
        yield from self._groups

    def close(self) -> None:
        """Drop the frames."""
        if self._writer is not None:
            self._writer.close()
            self._path.unlink(missing_ok=True)


class UnitWriter:
    """Writes one unit; nothing is visible before `finish`."""

    def __init__(self, store: Path | Place) -> None:
        self._place = place_of(store)
        scratch = self._place.path / SCRATCH
        files.make_folder(scratch)
        with files.output_errors(scratch):
            self.scratch = Path(tempfile.mkdtemp(dir=scratch))
        self._videos: list[tuple[VideoRecord, Sequence[ShotRecord], Sequence[int]]] = []
        self._path = self.scratch / "part.parquet"
        self._writer: FramesWriter | None = None

    def frames_of(self, video: str) -> VideoFrames:
        """Return an empty collection of frames for the next video."""
        return VideoFrames(video, self.scratch)

    def add(
        self,
        record: VideoRecord,
        shots: Sequence[ShotRecord] = (),
        frames: VideoFrames | None = None,
    ) -> None:
        """Add a finished video.

        Raises:
            VideoError: The record is not valid; nothing was added.
            OutputError: The frames cannot be written.
        """
        check_record(record, shots)
        first = self._writer.num_groups if self._writer else 0
        groups = []
        for shot in shots:
            groups.append(first)
            first += len(group_lengths(shot.num_frames))
        if record.num_frames:
            assert frames is not None
            self._writer = self._writer or FramesWriter(self._path)
            for table in frames.groups():
                self._writer.write(table)
        self._videos.append((record, shots, groups))

    def finish(self, limits: dict[str, Any], stamps: Sequence[Stamp]) -> int:
        """Publish the part and then the record; return the size of the part in bytes.

        Raises:
            OutputError: A file cannot be written.
        """
        entry = self._publish_part() if self._writer else None
        if self._videos or stamps:
            write_unit(self._place, Unit(entry, limits, list(stamps)), self._videos)
        return entry.num_bytes if entry else 0

    def _publish_part(self) -> FileEntry:
        assert self._writer is not None
        self._writer.finish()
        entry = frames_entry(self._path)
        self._place.publish(self._path, part_name(entry.sha256))
        return entry

    def __enter__(self) -> "UnitWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
