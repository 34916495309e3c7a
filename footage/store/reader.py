"""The frame store: ingest writes it to disk, and all later commands read it.

    STORE/store.json                       settings, totals, hashes of the tables; written last
    STORE/manifests/000001/videos.arrow    one row per input file, with its status
    STORE/manifests/000001/shots.arrow     one row per shot: its times and where its frames are
    STORE/manifests/000001/parts.arrow     one row per part: its size and hashes
    STORE/frames/ab/part-abcd....parquet   one row per frame: video, shot, index, seconds, jpeg
    STORE/copies/                          second copies of store.json and of the tables

Parts are uncompressed and their row groups never contain frames of two shots, so one shot is one
small read. Earlier manifests are kept. `docs/reference/store.md` describes every column.
`footage.store.manifest` writes such folders.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from footage.errors import StoreError
from footage.io.copies import naming_urls
from footage.io.remote import is_temporary
from footage.store.columns import column
from footage.store.description import (
    Description,
    damaged,
    description_of,
    wrong_size,
)
from footage.store.frames import GroupFrames, Parts
from footage.store.places import Place, place_of
from footage.store.tables import (
    FRAMES_PER_GROUP,
    Tables,
    group_lengths,
    map_tables,
    num_kept,
    read_tables,
)


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

    Opening verifies `store.json` and the tables, which are memory-mapped. Parts are opened on first
    use. Another process to which a store is sent opens it by path. Every frame is compared with its
    recorded checksum before it is returned (stores of version 1 have no checksums for frames).
    """

    def __init__(
        self, place: Place, description: Description, tables: Tables, folder: Path | None = None
    ) -> None:
        self.path = place.path
        """The store folder, or the local copy of a remote store's tables."""
        self._place = place
        self._folder = folder
        self.description = description
        self.videos = tables.videos
        """One row per input file, sorted by id."""
        self.every_shot = tables.shots
        """All shots; those too short to contain a frame come last."""
        self.shots = tables.shots.slice(0, num_kept(tables.shots))
        """The shots with frames, sorted by (video, shot); a shot's *row* is its position here."""
        self.parts = tables.parts
        self._part_of = column(self.shots, "part")
        self._group_of = column(self.shots, "row_group")
        self._length_of = column(self.shots, "num_frames")
        self._files = Parts(place.path, tables.parts, place.remote)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_again, (self._place.location, self.description, self._folder)

    @property
    def location(self) -> str:
        """The URL of a remote store, or the absolute path of a local one."""
        return self._place.location if self._place.remote else str(self.path.resolve())

    @classmethod
    def open(cls, store: str | Path | Place, content_hash: str = "") -> "Store":
        """Open a store.

        Args:
            store: The store folder, as a path or URL.
            content_hash: The content hash of an earlier manifest, from before the store grew;
                empty for the newest.

        Raises:
            StoreError: There is no store, it is of another version, or something in it is missing
                or damaged.
        """
        place = place_of(store)
        with naming_urls():
            place.fetch_description(content_hash)
            description, folder = description_of(place.path, content_hash)
            place.fetch_tables(description, folder)
            tables = read_tables(place.path, description, folder=folder)
            if place.remote is None:
                for name, entry in tables.parts.entries():
                    if reason := wrong_size(place.path / name, entry):
                        raise damaged(place.path, f"{name}: {reason}")
        return cls(place, description, tables, folder)

    @staticmethod
    def content_hash_of(store: str | Path, content_hash: str = "") -> str:
        """Return the content hash of a store or of an earlier manifest, without opening the store.

        Raises:
            StoreError: The store does not exist or does not contain that manifest.
        """
        place = place_of(store)
        with naming_urls():
            place.fetch_description(content_hash)
            return description_of(place.path, content_hash)[0].content_hash

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
            pairs += self._files.frames(part, group, count)
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
            found |= zip(asked, self._files.jpegs(part, first + group, count, places), strict=True)
        return [found[index] for index in indices]

    def prefetch(self, rows: Iterable[int], frames: Iterable[Sequence[int]]) -> None:
        """Start to read frames of a remote store that `encoded` will return later; do not wait.

        Args:
            rows: Positions of shots in `shots`.
            frames: Indices of frames in each shot.
        """
        if self._place.remote is None:
            return
        wanted = []
        for row, indices in zip(rows, frames, strict=True):
            part, first, _ = self._position(row)
            groups = {int(index) // FRAMES_PER_GROUP for index in indices}
            wanted += [(part, first + group) for group in groups]
        self._files.prefetch(wanted)

    def _position(self, row: int) -> tuple[int, int, int]:
        """Return part, first row group and number of frames of a shot."""
        if row < 0:
            raise IndexError(f"shots are counted from 0, got {row}")
        return int(self._part_of[row]), int(self._group_of[row]), int(self._length_of[row])

    def close(self) -> None:
        """Close the parts that are open in this process; reading opens them again."""
        self._files.close()

    def damage(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[Damage]:
        """Read every byte of the parts and compare it with what was recorded when it was written.

        The tables were verified when the store was opened.

        Args:
            progress: Called with the number of bytes of each part that was read.

        Raises:
            StoreError: The network, the service or the credentials of a remote store failed.
        """
        order = np.argsort(self._part_of, kind="stable")
        starts = np.searchsorted(self._part_of[order], np.arange(len(self.parts) + 1))
        for part, (name, entry) in enumerate(self.parts.entries()):
            rows = order[starts[part] : starts[part + 1]].tolist()
            reason = self._files.difference(part)
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
                self._files.whole(part, first + group, expected)
        except StoreError as error:
            if self._place.remote and is_temporary(error):
                raise
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


def _opened_again(location: str, description: Description, folder: Path | None) -> Store:
    """Open a store that another process of this run has verified."""
    place = place_of(location)
    read = map_tables if description.schema_version > 2 else read_tables
    return Store(place, description, read(place.path, description, folder=folder), folder)
