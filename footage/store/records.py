"""What is recorded of a video and of a unit of videos, until a manifest lists them.

    STORE/.work/records/ab/<hash>.arrow    one row per video of a unit, with its shots

A record file is named after the hash of its content, so a damaged one is detected, and a worker
that repeats a unit writes the same file.
"""

import dataclasses
import hashlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from footage.errors import VideoError
from footage.io.documents import read_bytes
from footage.store.columns import one_chunk
from footage.store.description import FileEntry, Setting
from footage.store.places import RECORDS, Place, place_of
from footage.store.tables import VIDEOS_SCHEMA

log = logging.getLogger(__name__)

_KEY = b"footage.unit"
_MOST_BYTES = 2**31

_Text = Annotated[str, msgspec.Meta(max_length=10_000)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_LargeCount = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Duration = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_Time = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VideoRecord:
    """One input file and its status: a row of `videos.arrow`."""

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
    duplicate_of: _Text = ""
    """Id of a video with the same bytes, whose frames it shares; empty for none."""


class ShotRecord(NamedTuple):
    """One shot of a video; `score` is the detector's confidence in the cut that begins it."""

    start_seconds: _Time
    end_seconds: _Time
    score: _Time
    num_frames: _Count


class Stamp(NamedTuple):
    """The state of a source that was ingested; see `footage.store.sources`."""

    name: str
    stamp: str
    video: str


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Properties of a unit as a whole, in the metadata of its record file."""

    part: FileEntry | None
    """Its part; None if no frame was stored."""
    limits: dict[str, Setting]
    """Limits per video that it was ingested with."""
    stamps: list[Stamp]


STAMPS = pa.schema([(name, pa.string()) for name in Stamp._fields])


class UnitRecord(NamedTuple):
    """The content of a record file."""

    path: Path
    unit: Unit
    videos: pa.Table
    """Rows of `videos.arrow`."""
    shots: pa.Table
    """Columns of `shots.arrow`; `video` is the row in `videos`, and `part` is missing."""
    stamps: pa.Table
    """Its sources, including those that were known before."""


_SHOT = pa.struct(
    [
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("score", pa.float64()),
        ("num_frames", pa.int32()),
        ("row_group", pa.int32()),
    ]
)
_SCHEMA = VIDEOS_SCHEMA.append(pa.field("shots", pa.list_(_SHOT)))


class DamagedRecordError(Exception):
    """A record file is damaged; its videos have to be ingested again."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


def check_record(record: VideoRecord, shots: Sequence[ShotRecord]) -> None:
    """Check every field of a record.

    Raises:
        VideoError: A field is out of range, or the counts differ from those of the shots.
    """
    try:
        msgspec.json.decode(msgspec.json.encode(record), type=VideoRecord, strict=True)
        msgspec.json.decode(msgspec.json.encode(list(shots)), type=list[ShotRecord], strict=True)
        counts = [shot.num_frames for shot in shots]
        if (len(counts), sum(counts)) != (record.num_shots, record.num_frames):
            raise ValueError("its shots and frames are not as many as recorded")
    except (ValueError, TypeError) as error:
        raise VideoError(f"its record is not valid: {error}") from error


def write_unit(
    store: Path | Place,
    unit: Unit,
    videos: Sequence[tuple[VideoRecord, Sequence[ShotRecord], Sequence[int]]],
) -> None:
    """Write the record file of a unit, unless it exists.

    Args:
        store: The store.
        unit: Properties of the unit as a whole.
        videos: Each video with its shots and the first row group of each shot in the part.

    Raises:
        OutputError: The file cannot be written.
    """
    rows: list[Mapping[str, Any]] = [
        dataclasses.asdict(record)
        | {
            "shots": [
                shot._asdict() | {"row_group": group}
                for shot, group in zip(shots, groups, strict=True)
            ]
        }
        for record, shots, groups in videos
    ]
    schema = _SCHEMA.with_metadata({_KEY: msgspec.json.encode(unit)})
    data = io.BytesIO()
    with pa.ipc.new_file(data, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    content = data.getvalue()
    digest = hashlib.sha256(content).hexdigest()[:32]
    place_of(store).write_work(f"{RECORDS}/{digest[:2]}/{digest}.arrow", content)


def read_unit(path: Path) -> UnitRecord:
    """Read a record file.

    Raises:
        DamagedRecordError: The file is damaged.
    """
    try:
        content = read_bytes(path, _MOST_BYTES)
        if hashlib.sha256(content).hexdigest()[:32] != path.stem:
            raise ValueError("its content is not what was written")
        with pa.ipc.open_file(pa.BufferReader(content)) as reader:
            table = reader.read_all().combine_chunks()
        if not table.schema.equals(_SCHEMA, check_metadata=False):
            raise ValueError("it does not have the columns of this version")
        unit = msgspec.json.decode((table.schema.metadata or {})[_KEY], type=Unit, strict=True)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DamagedRecordError(path, error) from error
    videos = table.drop_columns(["shots"]).replace_schema_metadata(None)
    stamps = pa.Table.from_pylist([one._asdict() for one in unit.stamps], schema=STAMPS)
    return UnitRecord(path, unit, videos, _shots(table["shots"]), stamps)


def _shots(lists: pa.ChunkedArray) -> pa.Table:
    """Return the shots of all videos as columns."""
    nested = one_chunk(lists)
    parents, flat = nested.value_parent_indices(), nested.flatten()
    columns = dict(zip([field.name for field in _SHOT], flat.flatten(), strict=True))
    lengths = nested.value_lengths().to_numpy(zero_copy_only=False)
    shot = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    numbers = {"video": parents.cast(pa.int32()), "shot": pa.array(shot, pa.int32())}
    return pa.table(numbers | columns)


def finished_units(store: Path | Place, *, keeps_damaged: bool = False) -> Iterator[UnitRecord]:
    """Yield the units that no manifest lists yet, in order of their names.

    A record that is damaged, or whose part is, is removed, so that its videos are ingested again.

    Args:
        store: The store.
        keeps_damaged: Keep damaged records instead of removing them.
    """
    place = place_of(store)
    for path in sorted((place.path / RECORDS).glob("??/*.arrow")):
        try:
            unit = read_unit(path)
            part = unit.unit.part
            if part is not None and (problem := place.problem_of_part(part)):
                raise DamagedRecordError(path, problem)
            yield unit
        except DamagedRecordError as error:
            log.warning("a finished unit is damaged and will be ingested again: %s", error)
            if not keeps_damaged:
                place.remove_record(error.path)
