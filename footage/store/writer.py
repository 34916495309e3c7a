"""The file of one finished video, which contains its frames until they are committed.

    STORE/.work/videos/<key>.parquet   one finished video: its frames, and its record as metadata

A kill at any moment loses only the videos being decoded. Record and frames have checksums; a
damaged file is detected when it is used, and its video is ingested again.
"""

import dataclasses
import hashlib
import logging
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pyarrow as pa

from footage.errors import StoreError, VideoError
from footage.io import files
from footage.io.documents import Document
from footage.store.description import Checksum, Setting
from footage.store.frames import (
    CHECKSUMS_KEY,
    FRAMES_SCHEMA,
    UNREADABLE,
    FramesFile,
    FramesWriter,
    GroupFrames,
)
from footage.store.tables import FRAMES_PER_GROUP, group_lengths

log = logging.getLogger(__name__)

RECORD_KEY = b"footage.record"

_Text = Annotated[str, msgspec.Meta(max_length=10_000)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_LargeCount = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Duration = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_Time = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VideoRecord:
    """One input file and its status: a row of `videos.parquet`."""

    video: _Text
    path: _Text
    content_hash: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
    num_bytes: _LargeCount
    container: _Text = ""
    codec: _Text = ""
    pixel_format: _Text = ""
    width: _Count = 0
    height: _Count = 0
    fps: _Duration = 0.0
    declared_seconds: _Duration | None = None
    decoded_seconds: _Duration = 0.0
    decoded_frames: _LargeCount = 0
    decode_errors: _Count = 0
    rotation: Annotated[int, msgspec.Meta(ge=-360, le=360)] = 0
    mirrored: bool = False
    num_shots: _Count = 0
    num_frames: _Count = 0
    black_frames: _Count = 0
    static_frames: _Count = 0
    status: Literal["ok", "partial", "quarantined"] = "ok"
    reason: _Text = ""


class ShotRecord(NamedTuple):
    """One shot of a video; `score` is the detector's confidence in the cut that begins it."""

    start_seconds: _Time
    end_seconds: _Time
    score: _Time
    num_frames: _Count


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data of a finished video other than its frames."""

    record: VideoRecord
    shots: list[ShotRecord]
    limits: dict[str, Setting]
    checksums_crc32: Checksum
    """CRC-32 of the checksums of its frames."""

    def __post_init__(self) -> None:
        counts = [shot.num_frames for shot in self.shots]
        if (len(counts), sum(counts)) != (self.record.num_shots, self.record.num_frames):
            raise ValueError("its shots and frames are not as many as recorded")


WORK: Document[Work] = Document(
    schema=Work, name="the record of a finished video", error=StoreError, hint="rerun the ingest"
)


class WorkFile(NamedTuple):
    """One finished video that has not been committed yet."""

    path: Path
    record: VideoRecord
    shots: list[ShotRecord]
    limits: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """The row of `videos.parquet`."""
        return dataclasses.asdict(self.record)


def work_path(store: Path, video: str) -> Path:
    """Return the path of the finished work on one video."""
    key = hashlib.sha256(video.encode()).hexdigest()[:32]
    return store / ".work" / "videos" / f"{key}.parquet"


class DamagedWorkError(Exception):
    """The file of a finished video is damaged; the video has to be ingested again."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class VideoWriter:
    """Writes one video's frames as they come; the file gets its name only when it is complete."""

    def __init__(self, store: Path, video: str) -> None:
        self._path = work_path(store, video)
        files.make_folder(self._path.parent)
        self._partial = self._path.with_suffix(".partial")
        self._video = video
        self._rows: list[dict[str, Any]] = []
        self._writer = FramesWriter(self._partial)

    def add(self, shot: int, index: int, seconds: float, jpeg: bytes) -> None:
        """Add the next frame; shots and their frames are added in order, counted from 0."""
        if self._rows and (self._rows[-1]["shot"] != shot or len(self._rows) == FRAMES_PER_GROUP):
            self._flush()
        row = {"shot": shot, "index": index, "seconds": seconds, "jpeg": jpeg}
        self._rows.append({"video": self._video} | row)

    def finish(
        self, record: VideoRecord, shots: Sequence[ShotRecord], limits: dict[str, Any]
    ) -> None:
        """Complete the file; after this the video need not be decoded again.

        Raises:
            VideoError: The record is not valid.
            OutputError: The file cannot be written.
        """
        self._flush()
        content = {
            "record": record,
            "shots": list(shots),
            "limits": limits,
            "checksums_crc32": zlib.crc32(self._writer.checksums()),
        }
        try:
            text = WORK.line(content)
            WORK.parse(text, record.video)
        except (ValueError, TypeError, StoreError) as error:
            raise VideoError(f"its record is not valid: {error}") from error
        self._writer.finish({RECORD_KEY: text.encode()})
        with files.output_errors(self._path):
            self._partial.replace(self._path)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write(pa.Table.from_pylist(self._rows, schema=FRAMES_SCHEMA))
            self._rows = []

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._partial.unlink(missing_ok=True)


def read_work(path: Path) -> WorkFile:
    """Read the record in the file of a finished video.

    Raises:
        DamagedWorkError: The file is damaged, or was written by an earlier version.
    """
    file, work = _open(path)
    file.file.close()
    return WorkFile(path, work.record, work.shots, work.limits)


def _open(path: Path) -> tuple[FramesFile, Work]:
    try:
        file = FramesFile.open(path, every_page=True)
        metadata = file.file.metadata.metadata or {}
        if RECORD_KEY not in metadata or CHECKSUMS_KEY not in metadata:
            raise ValueError("it has no record or no checksums")
        work = WORK.parse(metadata[RECORD_KEY], str(path))
        if zlib.crc32(metadata[CHECKSUMS_KEY]) != work.checksums_crc32:
            raise ValueError("its checksums are not what was written")
        if path.name != work_path(path, work.record.video).name:
            raise ValueError("it has the name of another video")
    except (*UNREADABLE, StoreError) as error:
        raise DamagedWorkError(path, error) from error
    return file, work


def finished_work(store: Path) -> list[WorkFile]:
    """Return the videos finished by an interrupted run, by id; damaged ones are removed."""
    found = []
    for path in sorted((store / ".work" / "videos").glob("*.parquet")):
        try:
            found.append(read_work(path))
        except DamagedWorkError as error:
            discard(error)
    return sorted(found, key=lambda work: work.record.video)


def discard(damage: DamagedWorkError) -> None:
    """Remove the damaged file of a finished video, so that the video is ingested again."""
    log.warning("a finished video is damaged and will be ingested again: %s", damage)
    with files.output_errors(damage.path):
        files.remove(damage.path)


def groups_of(video: str, shots: Sequence[ShotRecord]) -> Iterator[GroupFrames]:
    """Yield the frames of each row group of a video, in storage order."""
    for number, shot in enumerate(shots):
        for group, count in enumerate(group_lengths(shot.num_frames)):
            yield GroupFrames(video, number, group * FRAMES_PER_GROUP, count)


def frames_of_work(work: WorkFile) -> Iterator[pa.Table]:
    """Yield the row groups of a finished video, with every frame verified.

    Raises:
        DamagedWorkError: The file is damaged.
    """
    file, _ = _open(work.path)
    try:
        with file:
            for group, expected in enumerate(groups_of(work.record.video, work.shots)):
                yield file.whole(group, expected)
    except UNREADABLE as error:
        raise DamagedWorkError(work.path, error) from error
