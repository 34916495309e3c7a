"""How a frame store comes into being, so that a kill at any moment loses one video at most.

    STORE/.work/videos/<key>.parquet   one finished video: its frames, and its record as metadata
    STORE/.work/commit/                the files of the next store, being written
    STORE/.work/ready/                 the same, whole: only renames are left to do

Whoever dies before `ready` leaves the old store untouched; whoever dies after it is finished by the
next run. What a part holds depends only on the videos' names, never on who was done first.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from footage.store import (
    FRAMES_PER_GROUP,
    FRAMES_SCHEMA,
    SCHEMA_VERSION,
    SHOTS_SCHEMA,
    VIDEOS_SCHEMA,
    file_hash,
    part_path,
)

PART_BYTES = 256 * 2**20
"""A part is closed once it holds this much, after the video that brought it there."""
RECORD_KEY = b"footage.record"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VideoRecord:
    """One file that was seen and what became of it: a row of `videos.parquet`."""

    video: str
    path: str
    content_hash: str
    num_bytes: int
    container: str = ""
    codec: str = ""
    pixel_format: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    declared_seconds: float | None = None
    decoded_seconds: float = 0.0
    decoded_frames: int = 0
    decode_errors: int = 0
    rotation: int = 0
    mirrored: bool = False
    num_shots: int = 0
    num_frames: int = 0
    black_frames: int = 0
    static_frames: int = 0
    status: Literal["ok", "partial", "quarantined"] = "ok"
    reason: str = ""


class ShotRecord(NamedTuple):
    """One shot of a video; `score` is the detector's confidence in the cut that begins it."""

    start_seconds: float
    end_seconds: float
    score: float
    num_frames: int


class WorkFile(NamedTuple):
    """One finished video waiting for the store to be put together."""

    path: Path
    record: VideoRecord
    shots: list[ShotRecord]
    limits: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """Its row of `videos.parquet`."""
        return dataclasses.asdict(self.record)


def work_path(store: Path, video: str) -> Path:
    """Where the finished work on one video waits."""
    key = hashlib.sha256(video.encode()).hexdigest()[:32]
    return store / ".work" / "videos" / f"{key}.parquet"


class VideoWriter:
    """Writes one video's frames as they come; the file gets its name only when all is in it."""

    def __init__(self, store: Path, video: str) -> None:
        self._path = work_path(store, video)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = self._path.with_suffix(".partial")
        self._video = video
        self._rows: list[dict[str, Any]] = []
        self._writer = _parquet_writer(self._partial)

    def add(self, shot: int, index: int, seconds: float, jpeg: bytes) -> None:
        """Take the next frame; shots and the frames in them come in order, counted from 0."""
        if self._rows and (self._rows[-1]["shot"] != shot or len(self._rows) == FRAMES_PER_GROUP):
            self._flush()
        row = {"shot": shot, "index": index, "seconds": seconds, "jpeg": jpeg}
        self._rows.append({"video": self._video} | row)

    def finish(
        self, record: VideoRecord, shots: Sequence[ShotRecord], limits: dict[str, Any]
    ) -> None:
        """Seal the file: from here on the video need not be decoded again."""
        self._flush()
        text = json.dumps(
            {
                "record": dataclasses.asdict(record),
                "shots": [list(shot) for shot in shots],
                "limits": limits,
            }
        )
        self._writer.add_key_value_metadata({RECORD_KEY: text.encode()})
        self._writer.close()
        _sync(self._partial)
        self._partial.replace(self._path)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=FRAMES_SCHEMA))
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
    """What a sealed file of one video says about itself."""
    metadata = pq.read_metadata(path).metadata
    told = json.loads(metadata[RECORD_KEY])
    shots = [ShotRecord(*shot) for shot in told["shots"]]
    return WorkFile(path, VideoRecord(**told["record"]), shots, told["limits"])


def finished_work(store: Path) -> list[WorkFile]:
    """The videos that an interrupted run had finished, sorted by id."""
    paths = (store / ".work" / "videos").glob("*.parquet")
    return sorted((read_work(path) for path in paths), key=lambda work: work.record.video)


def prepare(store: Path) -> None:
    """Finish or clear away what a killed run left; call it before reading or adding to a store."""
    work = store / ".work"
    if (work / "ready").is_dir():
        _roll_forward(store)
    for unfinished in ("commit", "fetched"):
        shutil.rmtree(work / unfinished, ignore_errors=True)
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
        settings: What decided which frames are kept; a later ingest must bring the same.
        limits: What a video may cost; a later ingest with others tries the quarantined ones again.
        versions: Packages that decided pixels.
        replaced: Ids of earlier records that are no longer true.
    """
    folder = store / ".work" / "commit"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "frames").mkdir(parents=True)
    work = finished_work(store)
    gone = set(replaced) | {one.record.video for one in work}
    videos, shots, files = _kept(store, gone)
    first_part = max((shot["part"] for shot in shots), default=-1) + 1
    shots += _write_parts(folder, first_part, work)
    videos += [dataclasses.asdict(one.record) for one in work]
    videos.sort(key=lambda row: str(row["video"]))
    shots.sort(key=lambda row: (str(row["video"]), int(row["shot"])))
    _write_table(folder / "videos.parquet", videos, VIDEOS_SCHEMA)
    _write_table(folder / "shots.parquet", shots, SHOTS_SCHEMA)
    for path in sorted(folder.rglob("*.parquet")):
        noted = {"num_bytes": path.stat().st_size, "sha256": file_hash(path)}
        files[path.relative_to(folder).as_posix()] = noted
    description = {
        "schema_version": SCHEMA_VERSION,
        "settings": settings,
        "limits": limits,
        "versions": versions,
        "totals": totals(videos, files),
        "files": dict(sorted(files.items())),
    }
    content = json.dumps([settings, description["files"]], sort_keys=True)
    description["content_hash"] = hashlib.sha256(content.encode()).hexdigest()
    (folder / "store.json").write_text(json.dumps(description, indent=2) + "\n", "utf-8")
    _sync(folder / "store.json")
    folder.rename(folder.with_name("ready"))
    _roll_forward(store)


def totals(videos: Sequence[dict[str, Any]], files: dict[str, Any]) -> dict[str, Any]:
    """The accounting over rows of `videos.parquet`: ok + partial + quarantined = seen."""
    statuses = [row["status"] for row in videos]
    counts = {status: statuses.count(status) for status in ("ok", "partial", "quarantined")}
    summed = {
        name: sum(int(row[column]) for row in videos)
        for name, column in {
            "shots": "num_shots",
            "frames": "num_frames",
            "black_frames": "black_frames",
            "static_frames": "static_frames",
            "source_bytes": "num_bytes",
        }.items()
    }
    seconds = sum(float(row["decoded_seconds"]) for row in videos)
    stored = sum(int(noted["num_bytes"]) for noted in files.values())
    return {"seen": len(videos)} | counts | summed | {"seconds": seconds, "store_bytes": stored}


def _kept(
    store: Path, gone: set[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Rows of the store that is there already, without the videos named, and its parts' hashes."""
    if not (store / "store.json").exists():
        return [], [], {}
    videos = pq.read_table(store / "videos.parquet").to_pylist()
    shots = pq.read_table(store / "shots.parquet").to_pylist()
    noted = json.loads((store / "store.json").read_text("utf-8"))["files"]
    return (
        [row for row in videos if row["video"] not in gone],
        [row for row in shots if row["video"] not in gone],
        {name: file for name, file in noted.items() if name.startswith("frames/")},
    )


def _write_parts(folder: Path, part: int, work: Sequence[WorkFile]) -> list[dict[str, Any]]:
    """Join the videos' frames into parts; return the rows of their shots."""
    rows = []
    writer = None
    group, part_bytes = 0, 0
    for one in work:
        if writer is None:
            writer, group, part_bytes = _parquet_writer(part_path(folder, part)), 0, 0
        rows += _shot_rows(one, part, group)
        with pq.ParquetFile(one.path) as file:
            for number in range(file.num_row_groups):
                writer.write_table(file.read_row_group(number, use_threads=False))
            group += file.num_row_groups
        part_bytes += one.path.stat().st_size
        if part_bytes >= PART_BYTES:
            writer.close()
            writer, part = None, part + 1
    if writer is not None:
        writer.close()
    return rows


def _shot_rows(work: WorkFile, part: int, group: int) -> list[dict[str, Any]]:
    rows = []
    for number, shot in enumerate(work.shots):
        row = {"video": work.record.video, "shot": number} | shot._asdict()
        rows.append(row | {"part": part, "row_group": group})
        group += -(-shot.num_frames // FRAMES_PER_GROUP)
    return rows


def _roll_forward(store: Path) -> None:
    """Rename what is ready into place, `store.json` last; safe to repeat after a kill."""
    ready = store / ".work" / "ready"
    (store / "frames").mkdir(exist_ok=True)
    files = sorted(ready.rglob("*.parquet"), key=lambda path: path.parent == ready)
    for path in [*files, ready / "store.json"]:
        if path.exists():
            target = store / path.relative_to(ready)
            path.replace(target)
    for folder in (store / "frames", store):
        _sync(folder)
    shutil.rmtree(store / ".work" / "videos", ignore_errors=True)
    shutil.rmtree(ready)


def _parquet_writer(path: Path) -> pq.ParquetWriter:
    """JPEG does not compress further, and plain pages are found without decoding any other."""
    return pq.ParquetWriter(
        path, FRAMES_SCHEMA, compression="NONE", use_dictionary=False, write_statistics=False
    )


def _write_table(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
