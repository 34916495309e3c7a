"""The parts of a frame store: written with checksums of every frame, verified when they are read.

A part's footer, which holds the position of every row group, also holds the CRC-32 of every JPEG
and of the times of every row group. The CRC-32 of the footer itself is in `store.json`. So all
returned data is verified, at the cost of one CRC-32 of the returned bytes.
"""

import collections
import dataclasses
import functools
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from footage.errors import StoreError
from footage.io import files
from footage.io.cache import RangeCache
from footage.io.copies import naming_urls
from footage.io.range_file import RangeFile
from footage.io.remote import RemoteFolder, is_temporary
from footage.io.retry import retried
from footage.store.description import (
    SCHEMA_VERSION,
    Checksum,
    FileEntry,
    difference,
    unreadable,
    wrong_size,
)
from footage.store.parts import PartList

OPEN_PARTS = 16
"""Number of parts that a reader keeps open: the footer of a full part takes a few megabytes."""
CHECKSUMS_KEY = b"footage.checksums"
_MAGIC = b"PAR1"
_CHUNK = 8 * 2**20
Value = TypeVar("Value")

FRAMES_SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("shot", pa.int32()),
        ("index", pa.int32()),
        ("seconds", pa.float64()),
        ("jpeg", pa.binary()),
    ]
)


class Checksums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Checksums of the frames of a file."""

    jpeg: list[list[Checksum]]
    """CRC-32 of each JPEG, by row group."""
    seconds: list[Checksum]
    """CRC-32 of the times of each row group, as little-endian 64-bit floats."""


_DECODER = msgspec.json.Decoder(Checksums)


class FramesWriter:
    """Write frames as Parquet, one table per row group, with their checksums in the footer.

    JPEG does not compress further, and plain pages can be located without decoding others.
    """

    def __init__(self, path: Path, version: int = SCHEMA_VERSION) -> None:
        self._path = path
        self._has_checksums = version > 1
        self._jpeg: list[list[int]] = []
        self._seconds: list[int] = []
        with files.output_errors(path):
            self._writer = pq.ParquetWriter(
                path,
                FRAMES_SCHEMA,
                compression="NONE",
                use_dictionary=False,
                write_statistics=False,
                write_page_checksum=self._has_checksums,
            )

    def write(self, table: pa.Table) -> None:
        """Write the next row group."""
        self._jpeg.append([zlib.crc32(jpeg) for jpeg in table["jpeg"].to_pylist()])
        self._seconds.append(_crc32_of_seconds(table))
        with files.output_errors(self._path):
            self._writer.write_table(table)

    @property
    def num_groups(self) -> int:
        """Row groups written so far."""
        return len(self._seconds)

    def checksums(self) -> bytes:
        """Return the checksums of the frames written so far, in the format of the footer."""
        return msgspec.json.encode(Checksums(self._jpeg, self._seconds))

    def finish(self, metadata: dict[bytes, bytes] | None = None) -> None:
        """Write the footer, with more metadata if there is any, and force the file to disk."""
        with files.output_errors(self._path):
            if self._has_checksums:
                added = {CHECKSUMS_KEY: self.checksums(), **(metadata or {})}
                self._writer.add_key_value_metadata(added)
            self._writer.close()
            files.sync(self._path)

    def close(self) -> None:
        """Close the file without finishing it, if it is not finished."""
        with files.output_errors(self._path):
            self._writer.close()


def _crc32_of_seconds(table: pa.Table) -> int:
    return zlib.crc32(table["seconds"].to_numpy().astype("<f8").tobytes())


class GroupFrames(NamedTuple):
    """The frames that a row group must contain."""

    video: str
    shot: int
    first: int
    """Index in the shot of the first of them."""
    num_frames: int

    def identities(self) -> list[tuple[str, int, int]]:
        """Video, shot and index of each frame."""
        indices = range(self.first, self.first + self.num_frames)
        return [(self.video, self.shot, index) for index in indices]


@dataclasses.dataclass(frozen=True)
class FramesFile:
    """An open file of frames."""

    file: pq.ParquetFile
    checksums: Checksums | None
    """None in files of version 1, whose frames cannot be verified."""

    def __enter__(self) -> "FramesFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    @classmethod
    def open(
        cls,
        path: Path | RangeFile,
        footer_crc32: int | None = None,
        *,
        every_page: bool = False,
    ) -> "FramesFile":
        """Open a file and verify its footer, if its checksum is known.

        Args:
            path: A Parquet file of frames, local or remote.
            footer_crc32: Checksum of its footer; None does not verify it.
            every_page: Also verify the checksums of whole pages, for a reader of all columns.

        Raises:
            ValueError: The file is not a complete Parquet file, or its footer is damaged.
            OSError: It cannot be read.
        """
        footer = read_footer(path)
        if footer_crc32 is not None and zlib.crc32(footer) != footer_crc32:
            raise ValueError("its footer is damaged")
        metadata = _metadata(footer)
        text = (metadata.metadata or {}).get(CHECKSUMS_KEY)
        checksums = None if text is None else _DECODER.decode(text)
        if checksums is None and footer_crc32 is not None:
            raise ValueError("it has no checksums")
        file = pq.ParquetFile(
            path,
            metadata=metadata,
            pre_buffer=False,  # one column of one row group is one read, without other threads
            page_checksum_verification=every_page,
        )
        return cls(file, checksums)

    def read(self, group: int, num_rows: int, columns: Sequence[str]) -> pa.Table:
        """Read some columns of a row group that has `num_rows` frames; times are verified.

        Raises:
            ValueError: The row group is not what was written.
            OSError: It cannot be read.
        """
        table = self.file.read_row_group(group, columns=list(columns), use_threads=False)
        expected = [FRAMES_SCHEMA.field(name) for name in columns]
        if list(table.schema) != expected or table.num_rows != num_rows:
            raise ValueError(f"row group {group} does not have the expected columns and rows")
        if self.checksums is not None:
            if group >= len(self.checksums.seconds) or len(self.checksums.jpeg[group]) != num_rows:
                raise ValueError(f"row group {group} does not have {num_rows} checksums")
            if "seconds" in columns and _crc32_of_seconds(table) != self.checksums.seconds[group]:
                raise ValueError(f"the times in row group {group} are not what was written")
        return table

    def jpegs(self, group: int, num_rows: int, places: Sequence[int]) -> list[bytes]:
        """Return some JPEGs of a row group, verified, in the requested order.

        Raises:
            ValueError: The row group is not what was written.
            OSError: It cannot be read.
        """
        return self._jpegs(self.read(group, num_rows, ["jpeg"]), group, places)

    def frames(self, group: int, num_rows: int) -> list[tuple[float, bytes]]:
        """Return the times and JPEGs of a row group, verified; raises what `jpegs` raises."""
        table = self.read(group, num_rows, ["seconds", "jpeg"])
        jpegs = self._jpegs(table, group, range(num_rows))
        return list(zip(table["seconds"].to_pylist(), jpegs, strict=True))

    def whole(self, group: int, expected: GroupFrames) -> pa.Table:
        """Return all columns of a row group; raises what `jpegs` raises."""
        table = self.read(group, expected.num_frames, FRAMES_SCHEMA.names)
        self._jpegs(table, group, range(expected.num_frames))
        columns = (table[name].to_pylist() for name in ("video", "shot", "index"))
        if list(zip(*columns, strict=True)) != expected.identities():
            raise ValueError(f"row group {group} belongs to another shot")
        return table

    def _jpegs(self, table: pa.Table, group: int, places: Sequence[int]) -> list[bytes]:
        column = table["jpeg"]
        jpegs: list[bytes] = [column[place].as_py() for place in places]
        for place, jpeg in zip(places, jpegs, strict=True):
            expected = self.checksums.jpeg[group][place] if self.checksums else None
            if jpeg is None or (expected is not None and zlib.crc32(jpeg) != expected):
                raise ValueError(f"frame {place} of row group {group} is not what was written")
        return jpegs


def _metadata(footer: bytes) -> pq.FileMetaData:
    return pq.read_metadata(pa.BufferReader(_MAGIC + footer))


def read_footer(path: Path | RangeFile) -> bytes:
    """Read the end of a Parquet file: metadata, its length and the magic number.

    Raises:
        ValueError: The file is not a complete Parquet file.
        OSError: It cannot be read.
    """
    if isinstance(path, RangeFile):
        return _footer_in(path)
    if not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        return _footer_in(file)


def _footer_in(file: BinaryIO | RangeFile) -> bytes:
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little") + 8
    if tail[4:] != _MAGIC or length + len(_MAGIC) > size:
        raise ValueError("it is not a complete Parquet file")
    file.seek(size - length)
    return file.read(length)


def frames_entry(path: Path, version: int = SCHEMA_VERSION) -> FileEntry:
    """Describe a finished part for `store.json`."""
    footer = zlib.crc32(read_footer(path)) if version > 1 else None
    return FileEntry(path.stat().st_size, files.sha256(path), footer)


UNREADABLE = (OSError, ValueError, MemoryError, pa.ArrowException)
"""Exceptions raised by reading a damaged file of frames."""


class Parts:
    """The parts of a store, each opened on first use."""

    def __init__(self, path: Path, parts: PartList, remote: RemoteFolder | None = None) -> None:
        self._path = path
        self._list = parts
        self._remote = remote
        self._ranges = RangeCache(remote.url, remote.read) if remote else None
        self._open: collections.OrderedDict[int, FramesFile] = collections.OrderedDict()

    def jpegs(self, part: int, group: int, count: int, places: Sequence[int]) -> list[bytes]:
        """Read some JPEGs of a row group of `count` frames, in the requested order.

        Raises:
            StoreError: The part is missing or damaged.
        """
        return self._read(part, lambda file: file.jpegs(group, count, places))

    def frames(self, part: int, group: int, count: int) -> list[tuple[float, bytes]]:
        """Read times and JPEGs of a row group of `count` frames; raises what `jpegs` raises."""
        return self._read(part, lambda file: file.frames(group, count))

    def whole(self, part: int, group: int, expected: GroupFrames) -> pa.Table:
        """Read all columns of a row group; raises what `jpegs` raises."""
        return self._read(part, lambda file: file.whole(group, expected))

    def _read(self, part: int, use: Callable[[FramesFile], Value]) -> Value:
        name = self._list.name(part)
        try:
            with naming_urls():
                return self._read_twice(part, name, use)
        except StoreError:
            self._forget(part)
            raise

    def _read_twice(self, part: int, name: str, use: Callable[[FramesFile], Value]) -> Value:
        """Read a part; if cached bytes are damaged, read them again from the remote store."""
        for is_last in (self._ranges is None, True):
            try:
                return retried(
                    lambda: use(self._file(part)),
                    str(self._path / name),
                    lambda: self._forget(part),
                )
            except UNREADABLE as error:
                self._forget(part)
                if self._ranges is not None:
                    self._ranges.forget(name)
                if is_last:
                    raise unreadable(self._path, name, error) from error
        raise AssertionError("unreachable")

    def _file(self, part: int) -> FramesFile:
        if part in self._open:
            self._open.move_to_end(part)
            return self._open[part]
        while len(self._open) >= OPEN_PARTS:
            self._open.popitem(last=False)[1].file.close()
        name, entry = self._list.name(part), self._list.entry(part)
        source: Path | RangeFile = self._path / name
        if self._ranges is not None:
            source = RangeFile(self._ranges, name, entry.num_bytes)
        elif reason := wrong_size(self._path / name, entry):
            raise ValueError(reason)
        self._open[part] = FramesFile.open(source, entry.footer_crc32)
        return self._open[part]

    def difference(self, part: int) -> str:
        """Describe how a part differs from what was written; empty if it does not."""
        name, entry = self._list.name(part), self._list.entry(part)
        if self._remote is None:
            return difference(self._path / name, entry)
        digest = hashlib.sha256()
        try:
            for start in range(0, entry.num_bytes, _CHUNK):
                length = min(_CHUNK, entry.num_bytes - start)
                digest.update(self._remote.read(name, start, length))
        except StoreError as error:
            if is_temporary(error):
                raise
            return error.message
        is_same = digest.hexdigest() == entry.sha256
        return "" if is_same else "its content is not what was written"

    def prefetch(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Start to read the JPEGs of some row groups of a remote store; do not wait.

        Args:
            wanted: Part and row group of each.
        """
        by_part: dict[int, list[int]] = {}
        for part, group in wanted:
            by_part.setdefault(part, []).append(group)
        if self._ranges is not None:
            for part, groups in by_part.items():
                self._ranges.prefetch(functools.partial(self._fetch, self._ranges, part, groups))

    def _fetch(self, ranges: RangeCache, part: int, groups: Sequence[int]) -> None:
        name = self._list.name(part)
        file = RangeFile(ranges, name, self._list.entry(part).num_bytes)
        metadata = _metadata(read_footer(file))
        for group in groups:
            column = metadata.row_group(group).column(FRAMES_SCHEMA.get_field_index("jpeg"))
            start, length = column.data_page_offset, column.total_compressed_size
            if not file.is_in_tail(start):
                ranges.prefetch(functools.partial(ranges.read, name, start, length))

    def _forget(self, part: int) -> None:
        if part in self._open:
            self._open.pop(part).file.close()

    def close(self) -> None:
        """Close the parts that are open in this process; reading opens them again."""
        while self._open:
            self._open.popitem()[1].file.close()
