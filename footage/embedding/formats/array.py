"""A NumPy array of features, and a Parquet file with its rows.

    embeddings.npy            float32, N x D, little endian; for np.load(..., mmap_mode="r")
    embeddings.rows.parquet   the table without features; its column `row` is the row in the array

The array is moved into place before the table, and its first rows never change while the table
exists. After a kill between the two, the table still describes the array: rows that the table does
not list are ignored, and the next append drops them. The metadata of the table contains a digest of
the rows that it lists, so that an append recognises an array of another table.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from footage.embedding.config import EmbedConfig
from footage.embedding.formats.base import BATCH_ROWS, EMBEDDING, Contents, Format
from footage.embedding.formats.parquet import new_file, read
from footage.errors import ConfigError
from footage.io import copies, files

DIGEST: Final = b"footage.array_sha256"
"""Metadata key of the SHA-256 of the vectors that the table lists, as bytes in the array."""
ROW: Final = "row"
"""Name of the column with the row in the array; null if there are no features."""
_COPIED_ROWS: Final = 4096


class Array(Format):
    """Features as a NumPy array, with a table of its rows next to it."""

    suffix = ".npy"

    @property
    def rows(self) -> Path:
        """The table of the rows."""
        return copies.companion(self.path)

    def check(self, config: EmbedConfig) -> None:
        """Check that there is one vector per row."""
        if config.patches:
            raise ConfigError(
                "--patches cannot be written to a .npy file, which has one vector per row",
                "choose an --out that ends in .parquet or .lance",
            )

    def exists(self) -> bool:
        """Whether one of the files exists; one without the other may be left over from a kill."""
        found = [path.exists() for path in (self.path, self.rows)]
        was_killed = self.path.with_name(f".{self.path.name}.parts").exists()
        return all(found) or (any(found) and not was_killed)

    @property
    def copied_bytes(self) -> int:
        """An append rewrites both files."""
        return self.path.stat().st_size + self.rows.stat().st_size

    def contents(self) -> Contents:
        """Read inputs and metadata of the table, and check that it belongs to the array."""
        found = read(self.rows)
        expected = (pq.read_metadata(self.rows).metadata or {}).get(DIGEST, b"").decode()
        if not expected:
            raise ConfigError(
                f"{str(self.rows)!r} was not written by this version of footage embed",
                "choose another --out, or add --overwrite to replace it",
            )
        digest = hashlib.sha256()
        for vectors in self._listed_vectors():
            digest.update(vectors.data)
        if digest.hexdigest() != expected:
            raise ConfigError(
                f"{str(self.path)!r} does not contain the features that {self.rows.name} lists",
                "restore both files from the same copy, or add --overwrite to compute them again",
            )
        return found

    def write(self, groups: Iterator[pa.Table], schema: pa.Schema, *, append: bool) -> None:
        """Write both files under temporary names, and move the array into place first."""
        own = _schema(schema)
        digest = hashlib.sha256()
        with contextlib.ExitStack() as stack:
            table = stack.enter_context(files.atomic_write(self.rows))
            array = stack.enter_context(files.atomic_write(self.path))  # moved first
            with new_file(table, own) as writer, array.open("w+b") as file:
                width = schema.field(EMBEDDING).type.list_size
                start, num_rows = _write_header(file, 0, width), 0
                if append:
                    self._copy_table(writer)
                for vectors in self._listed_vectors() if append else ():
                    vectors.tofile(file)
                    digest.update(vectors.data)
                    num_rows += len(vectors)
                for group in groups:
                    vectors = _vectors(group)
                    vectors.tofile(file)
                    digest.update(vectors.data)
                    writer.write_table(_table(group, num_rows, own))
                    num_rows += len(vectors)
                file.seek(0)
                end = _write_header(file, num_rows, width)
                assert end == start, "the header's length must not depend on the number of rows"
                writer.add_key_value_metadata({DIGEST: digest.hexdigest()})
            if not append:  # an old table never describes a new array
                copies.remove(self.rows)

    def _copy_table(self, writer: pq.ParquetWriter) -> None:
        with pq.ParquetFile(self.rows) as old:
            for batch in old.iter_batches(batch_size=BATCH_ROWS * _COPIED_ROWS):
                writer.write_batch(batch)

    def _listed_vectors(self) -> Iterator[Float[np.ndarray, "N D"]]:
        """Read the rows of the array that the table lists."""
        with pq.ParquetFile(self.rows) as table:
            batches = table.iter_batches(columns=[ROW])
            num_rows = sum(len(batch) - batch[ROW].null_count for batch in batches)
        try:
            vectors = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{str(self.path)!r} cannot be read as an array: {error}",
                "add --overwrite to compute it again",
            ) from error
        for first in range(0, num_rows, _COPIED_ROWS):
            yield np.ascontiguousarray(vectors[first : min(first + _COPIED_ROWS, num_rows)])

    def usage(self) -> str:
        """A memory-mapped array."""
        return f"import numpy as np; print(np.load({str(self.path)!r}, mmap_mode='r').shape)"


def _schema(schema: pa.Schema) -> pa.Schema:
    """The columns of the table."""
    return schema.remove(schema.get_field_index(EMBEDDING)).append(pa.field(ROW, pa.int64()))


def _write_header(file: BinaryIO, num_rows: int, width: int) -> int:
    """Write the header, which NumPy pads for any number of rows, and return the end of it."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, width)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _vectors(group: pa.Table) -> Float[np.ndarray, "N D"]:
    column = group[EMBEDDING].combine_chunks()
    width = column.type.list_size
    found: Float[np.ndarray, "N D"] = column.drop_null().flatten().to_numpy().reshape(-1, width)
    return found


def _table(group: pa.Table, first: int, schema: pa.Schema) -> pa.Table:
    """Replace the features of a group with row numbers in the array."""
    has_vector = group[EMBEDDING].is_valid().to_numpy()
    numbers: Int[np.ndarray, " N"] = first + np.cumsum(has_vector) - 1
    column = pa.array(numbers, pa.int64(), mask=~has_vector)
    return group.drop_columns([EMBEDDING]).append_column(schema.field(ROW), column).cast(schema)
