"""The frame store: what ingest leaves on disk and everything after it reads.

    STORE/store.json                 version, settings, totals, file hashes; renamed into place last
    STORE/videos.parquet             one row for every file seen, with its fate
    STORE/shots.parquet              one row per shot: when it lasts and where its frames lie
    STORE/frames/part-00000.parquet  one row per frame: video, shot, index, seconds, jpeg

Parts are uncompressed and their row groups never hold frames of two shots, so one shot is one small
read. `docs/store.md` describes every column. `store_writing` makes such folders.
"""

import collections
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from footage.errors import StoreError

SCHEMA_VERSION = 1
FRAMES_PER_GROUP = 64
"""A longer shot continues in the next row groups, so that a few of its frames stay a small read."""
OPEN_PARTS = 16
"""Parts a reader keeps open: a footer of a full part takes a few megabytes."""

VIDEOS_SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("path", pa.string()),
        ("content_hash", pa.string()),
        ("num_bytes", pa.int64()),
        ("container", pa.string()),
        ("codec", pa.string()),
        ("pixel_format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("declared_seconds", pa.float64()),
        ("decoded_seconds", pa.float64()),
        ("decoded_frames", pa.int64()),
        ("decode_errors", pa.int32()),
        ("rotation", pa.int32()),
        ("mirrored", pa.bool_()),
        ("num_shots", pa.int32()),
        ("num_frames", pa.int32()),
        ("black_frames", pa.int32()),
        ("static_frames", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
SHOTS_SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("shot", pa.int32()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("score", pa.float64()),
        ("num_frames", pa.int32()),
        ("part", pa.int32()),
        ("row_group", pa.int32()),
    ]
)
FRAMES_SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("shot", pa.int32()),
        ("index", pa.int32()),
        ("seconds", pa.float64()),
        ("jpeg", pa.binary()),
    ]
)


class Frame(NamedTuple):
    """One kept frame: its number inside its shot, its time in the video and its JPEG bytes."""

    index: int  # type: ignore[assignment]  # the field hides tuple.index, which nobody needs
    seconds: float
    jpeg: bytes


def part_path(store: Path, part: int) -> Path:
    """Where a part of the frames lies."""
    return store / "frames" / f"part-{part:05d}.parquet"


def evenly(length: int, count: int) -> list[int]:
    """Up to `count` different places, evenly over `length`, none at the very ends."""
    count = min(length, count)
    return [(place * length + length // 2) // count for place in range(count)]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """A frame store opened for reading.

    Opening reads `store.json` and the two small tables; parts are opened when a frame is asked for,
    once per process, so a store can be sent to worker processes.
    """

    def __init__(
        self, path: Path, description: dict[str, Any], videos: pa.Table, shots: pa.Table
    ) -> None:
        self.path = path
        self.description = description
        self.videos = videos
        self.every_shot = shots
        """All shots, those too short to hold a frame included."""
        self.shots = shots.filter(pc.greater(shots["num_frames"], 0)).combine_chunks()
        """The shots that hold a frame, sorted by (video, shot): a shot's *row* counts in here."""
        self._place()

    def _place(self) -> None:
        self._part_of = self.shots["part"].to_numpy()
        self._group_of = self.shots["row_group"].to_numpy()
        self._length_of = self.shots["num_frames"].to_numpy()
        self._parts: collections.OrderedDict[int, pq.ParquetFile] = collections.OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._place()

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Open a store folder.

        Raises:
            StoreError: There is no store, it is of another version, or its tables are damaged.
        """
        path = Path(path)
        description = read_description(path)
        try:
            videos = pq.read_table(path / "videos.parquet", schema=VIDEOS_SCHEMA)
            shots = pq.read_table(path / "shots.parquet", schema=SHOTS_SCHEMA)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, f"a table cannot be read: {error}") from error
        totals = description["totals"]
        if (videos.num_rows, shots.num_rows) != (totals["seen"], totals["shots"]):
            raise _damaged(path, "its tables are not the ones that store.json describes")
        return cls(path, description, videos, shots)

    @property
    def settings(self) -> dict[str, Any]:
        """What decided which frames are kept, as ingest was told."""
        settings: dict[str, Any] = self.description["settings"]
        return settings

    @property
    def totals(self) -> dict[str, Any]:
        """The accounting: files seen, ok, partial and quarantined, shots, frames, hours, bytes."""
        totals: dict[str, Any] = self.description["totals"]
        return totals

    @property
    def content_hash(self) -> str:
        """Hash of settings and data: two stores with the same one hold the same frames."""
        return str(self.description["content_hash"])

    def frames_of_shot(self, row: int) -> list[Frame]:
        """All frames of a shot in order of time; `row` counts in `shots`."""
        return self._frames(row, range(int(self._length_of[row])))

    def encoded(self, row: int, indices: Sequence[int]) -> list[bytes]:
        """The JPEG bytes of some frames of a shot, in the order asked for.

        Args:
            row: The shot, counted in `shots`.
            indices: Numbers of frames inside the shot, from 0.

        Raises:
            IndexError: A shot or a frame that does not exist was asked for.
            StoreError: A part is missing or damaged.
        """
        return [frame.jpeg for frame in self._frames(row, indices)]

    def _frames(self, row: int, indices: Sequence[int]) -> list[Frame]:
        length = int(self._length_of[row])
        if row < 0 or any(not 0 <= index < length for index in indices):
            raise IndexError(f"shot {row} has frames 0 to {length - 1}, asked for {list(indices)}")
        groups = {
            group: self._group(row, group)
            for group in sorted({index // FRAMES_PER_GROUP for index in indices})
        }
        frames = []
        for index in indices:
            table = groups[index // FRAMES_PER_GROUP]
            place = index % FRAMES_PER_GROUP
            seconds, jpeg = table["seconds"][place].as_py(), table["jpeg"][place].as_py()
            frames.append(Frame(int(index), seconds, jpeg))
        return frames

    def _group(self, row: int, group: int) -> pa.Table:
        part = int(self._part_of[row])
        try:
            return self._part(part).read_row_group(
                int(self._group_of[row]) + group, columns=["seconds", "jpeg"], use_threads=False
            )
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.path, f"shot {row} cannot be read: {error}") from error

    def _part(self, part: int) -> pq.ParquetFile:
        if part in self._parts:
            self._parts.move_to_end(part)
            return self._parts[part]
        while len(self._parts) >= OPEN_PARTS:
            self._parts.popitem(last=False)[1].close()
        self._parts[part] = pq.ParquetFile(part_path(self.path, part))
        return self._parts[part]

    def close(self) -> None:
        """Close the parts that are open in this process; reading opens them again."""
        while self._parts:
            self._parts.popitem()[1].close()

    def verify(self) -> None:
        """Read every byte and compare it with the hashes that were noted when it was written.

        Raises:
            StoreError: A file is missing or differs, or a shot does not hold the frames it should.
        """
        for name, noted in sorted(self.description["files"].items()):
            path = self.path / name
            if not path.is_file():
                raise _damaged(self.path, f"{name} is missing")
            if path.stat().st_size != noted["num_bytes"] or file_hash(path) != noted["sha256"]:
                raise _damaged(self.path, f"{name} is not what was written")
        for row, shot in enumerate(self.shots.to_pylist()):
            indices = self._identities(row)
            wanted = [(shot["video"], shot["shot"], index) for index in range(shot["num_frames"])]
            if indices != wanted:
                raise _damaged(self.path, f"shot {row} does not hold its {len(wanted)} frames")

    def _identities(self, row: int) -> list[tuple[str, int, int]]:
        groups = -(-int(self._length_of[row]) // FRAMES_PER_GROUP)
        first = int(self._group_of[row])
        table = self._part(int(self._part_of[row])).read_row_groups(
            list(range(first, first + groups)), columns=["video", "shot", "index"]
        )
        columns = (table[name].to_pylist() for name in ("video", "shot", "index"))
        return list(zip(*columns, strict=True))


def read_description(path: Path) -> dict[str, Any]:
    """What `store.json` says.

    Raises:
        StoreError: There is no store, or it is damaged or of another version.
    """
    try:
        description = json.loads((path / "store.json").read_text("utf-8"))
        version = description["schema_version"]
    except FileNotFoundError:
        raise StoreError(
            f"there is no frame store at {path}", f"make one: footage ingest VIDEOS --out {path}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"store.json cannot be read: {error}") from error
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"the store at {path} has version {version}, this footage reads {SCHEMA_VERSION}",
            "ingest the videos again into a new folder",
        )
    return dict(description)


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(
        f"the store at {path} is damaged: {what}",
        "run the same footage ingest again if one was interrupted, else delete the folder first",
    )
