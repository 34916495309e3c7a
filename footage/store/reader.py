"""The frame store: ingest writes it to disk, and all later commands read it.

    STORE/store.json                 version, settings, totals, file hashes; renamed into place last
    STORE/videos.parquet             one row per input file, with its status
    STORE/shots.parquet              one row per shot: its times and the position of its frames
    STORE/frames/part-00000.parquet  one row per frame: video, shot, index, seconds, jpeg
    STORE/copies/                    second copies of store.json and of both tables

Parts are uncompressed and their row groups never contain frames of two shots, so one shot is one
small read. `docs/reference/store.md` describes every
column. `footage.store.commit` creates such folders.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from footage.errors import StoreError
from footage.store.description import (
    Description,
    damaged,
    difference,
    part_name,
    read_description,
    wrong_size,
)
from footage.store.frames import GroupFrames, Parts
from footage.store.tables import FRAMES_PER_GROUP, group_lengths, read_tables


class Frame(NamedTuple):
    """One kept frame: its number inside its shot, its time in the video and its JPEG bytes."""

    index: int  # type: ignore[assignment]  # the field hides tuple.index, which is not used
    seconds: float
    jpeg: bytes


class Damage(NamedTuple):
    """A file of a store that is missing or differs from what was written."""

    name: str
    """Path relative to the store's folder."""
    reason: str
    videos: list[str]
    """Ids of the videos with unreadable frames."""


def evenly(length: int, count: int) -> list[int]:
    """Return up to `count` different positions, evenly spaced over `length`, away from the ends."""
    count = min(length, count)
    return [(place * length + length // 2) // count for place in range(count)]


class Store:
    """A frame store opened for reading.

    Opening reads and verifies `store.json` and the two small tables. Parts are opened on first use,
    once per process, so a store can be sent to worker processes. Every frame is compared with its
    recorded checksum before it is returned (stores of version 1 have no checksums for frames).
    """

    def __init__(
        self, path: Path, description: Description, videos: pa.Table, shots: pa.Table
    ) -> None:
        self.path = path
        self.description = description
        self.videos = videos
        self.every_shot = shots
        """All shots, including those too short to contain a frame."""
        self.shots = shots.filter(pc.greater(shots["num_frames"], 0)).combine_chunks()
        """The shots with frames, sorted by (video, shot); a shot's *row* is its position here."""
        self._place()

    def _place(self) -> None:
        self._part_of = self.shots["part"].to_numpy()
        self._group_of = self.shots["row_group"].to_numpy()
        self._length_of = self.shots["num_frames"].to_numpy()
        self._parts = Parts(self.path, self.description)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._place()

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Open a store folder.

        Raises:
            StoreError: There is no store, it is of another version, or something in it is missing
                or damaged.
        """
        path = Path(path)
        description = read_description(path)
        videos, shots = read_tables(path, description)
        for part in description.parts():
            name = part_name(part)
            if reason := wrong_size(path / name, description.files[name]):
                raise damaged(path, f"{name}: {reason}")
        return cls(path, description, videos, shots)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of ingest that determine which frames are kept."""
        return dict(self.description.settings)

    @property
    def totals(self) -> dict[str, Any]:
        """The accounting: files seen, ok, partial and quarantined, shots, frames, hours, bytes."""
        return msgspec.structs.asdict(self.description.totals)

    @property
    def content_hash(self) -> str:
        """Hash of settings and data: two stores with equal hashes contain the same frames."""
        return self.description.content_hash

    def frames_of_shot(self, row: int) -> list[Frame]:
        """Return all frames of a shot in temporal order; `row` is its position in `shots`.

        Raises:
            IndexError: There is no such shot.
            StoreError: A part is missing or damaged.
        """
        part, first, length = self._position(row)
        pairs = []
        for group, count in enumerate(group_lengths(length), start=first):
            pairs += self._parts.frames(part, group, count)
        return [Frame(index, seconds, jpeg) for index, (seconds, jpeg) in enumerate(pairs)]

    def encoded(self, row: int, indices: Sequence[int]) -> list[bytes]:
        """Return the JPEG bytes of some frames of a shot, in the requested order.

        Args:
            row: Position of the shot in `shots`.
            indices: Indices of frames in the shot, from 0.

        Raises:
            IndexError: The shot or a frame does not exist.
            StoreError: A part is missing or damaged.
        """
        part, first, length = self._position(row)
        if any(not 0 <= index < length for index in indices):
            raise IndexError(f"shot {row} has frames 0 to {length - 1}, asked for {list(indices)}")
        found: dict[int, bytes] = {}
        for group in sorted({index // FRAMES_PER_GROUP for index in indices}):
            start = group * FRAMES_PER_GROUP
            count = min(FRAMES_PER_GROUP, length - start)
            asked = [index for index in indices if start <= index < start + count]
            places = [index - start for index in asked]
            found |= zip(asked, self._parts.jpegs(part, first + group, count, places), strict=True)
        return [found[index] for index in indices]

    def _position(self, row: int) -> tuple[int, int, int]:
        """Return part, first row group and number of frames of a shot."""
        if row < 0:
            raise IndexError(f"shots are counted from 0, got {row}")
        return int(self._part_of[row]), int(self._group_of[row]), int(self._length_of[row])

    def close(self) -> None:
        """Close the parts that are open in this process; reading opens them again."""
        self._parts.close()

    def damage(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[Damage]:
        """Read every byte of the parts and compare it with what was recorded when it was written.

        The tables were verified when the store was opened.

        Args:
            progress: Called with the number of bytes of each part that was read.
        """
        rows_of: dict[int, list[int]] = {part: [] for part in self.description.parts()}
        for row, part in enumerate(self._part_of.tolist()):
            rows_of[part].append(row)
        for part, rows in rows_of.items():
            name = part_name(part)
            entry = self.description.files[name]
            reason = difference(self.path / name, entry)
            # Without checksums any frame may be wrong.
            is_unknown = bool(reason) and entry.footer_crc32 is None
            unreadable = [row for row in rows if is_unknown or not self._is_sound(row)]
            if reason or unreadable:
                yield Damage(name, reason or "its frames are wrong", self._videos_of(unreadable))
            self.close()
            progress(entry.num_bytes)

    def _is_sound(self, row: int) -> bool:
        part, first, length = self._position(row)
        shot = {name: self.shots[name][row].as_py() for name in ("video", "shot")}
        try:
            for group, count in enumerate(group_lengths(length)):
                start = group * FRAMES_PER_GROUP
                expected = GroupFrames(**shot, first=start, num_frames=count)
                self._parts.whole(part, first + group, expected)
        except StoreError:
            return False
        return True

    def _videos_of(self, rows: Sequence[int]) -> list[str]:
        return sorted({self.shots["video"][row].as_py() for row in rows})

    def verify(self) -> None:
        """Read every byte and compare it with the hashes that were recorded.

        Raises:
            StoreError: A file is missing or differs, or a shot does not contain its frames.
        """
        for found in self.damage():
            raise damaged(self.path, f"{found.name}: {found.reason}")
