"""The list of the parts of a store: the name, size and hashes of each file of frames.

A part is named after the hash of its content, so two workers that write the same frames write the
same file. The names are spread over 256 folders.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from footage.store.description import FileEntry

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("num_bytes", pa.int64()),
        ("sha256", pa.string()),
        ("footer_crc32", pa.int64()),
    ]
)
"""Columns of `parts.arrow`; the checksum of the footer is null in stores of version 1."""
NAME_PATTERN = r"^frames/([0-9a-f]{2}/part-[0-9a-f]{32}|part-\d{5,9})\.parquet$"


def part_name(sha256: str) -> str:
    """Name of a part below the store's folder, by the hash of its content."""
    return f"frames/{sha256[:2]}/part-{sha256[:32]}.parquet"


class PartList(NamedTuple):
    """The parts of a store; a shot names its part by its position here."""

    table: pa.Table

    @classmethod
    def of(cls, entries: Mapping[str, FileEntry]) -> "PartList":
        """Return the list of some files, in order of their names."""
        rows = [
            {
                "name": name,
                "num_bytes": entry.num_bytes,
                "sha256": entry.sha256,
                "footer_crc32": entry.footer_crc32,
            }
            for name, entry in sorted(entries.items())
        ]
        return cls(pa.Table.from_pylist(rows, schema=SCHEMA))

    def __len__(self) -> int:
        """Return the number of parts."""
        return int(self.table.num_rows)

    def name(self, part: int) -> str:
        """Return the path of a part below the store's folder."""
        return str(self.table["name"][part].as_py())

    def entry(self, part: int) -> FileEntry:
        """Return the size and hashes of a part."""
        columns = ("num_bytes", "sha256", "footer_crc32")
        return FileEntry(*(self.table[column][part].as_py() for column in columns))

    def names(self) -> list[str]:
        """Return the names of all parts."""
        names: list[str] = self.table["name"].to_pylist()
        return names

    def entries(self) -> Iterator[tuple[str, FileEntry]]:
        """Yield the name and the entry of each part."""
        for part in range(len(self)):
            yield self.name(part), self.entry(part)

    @property
    def num_bytes(self) -> int:
        """Size of all parts."""
        return int(pc.sum(self.table["num_bytes"], min_count=0).as_py())

    def problem(self) -> str:
        """Describe what is wrong with the list; empty if nothing is."""
        names = self.table["name"]
        if not pc.all(pc.match_substring_regex(names, NAME_PATTERN), min_count=0).as_py():
            return "a part has a name that footage does not write"
        if len(self) > 1 and pc.count_distinct(names).as_py() != len(self):
            return "a part is listed twice"
        return ""
