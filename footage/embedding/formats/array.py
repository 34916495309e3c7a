"""A NumPy array of features, and a Parquet file with its rows.

    embeddings.npy            float32, N x D, little endian; for np.load(..., mmap_mode="r")
    embeddings.rows.parquet   the table without features; its column `row` is the row in the array

The array is moved into place before the table, and its first rows never change while the table
exists. After a kill between the two, the table still describes the array: rows that the table does
not list are ignored, and the next append drops them.
"""

import contextlib
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
        """Read inputs and metadata of the table."""
        return read(self.rows)

    def write(self, groups: Iterator[pa.Table], schema: pa.Schema, *, append: bool) -> None:
        """Write both files under temporary names, and move the array into place first."""
        own = _schema(schema)
        with contextlib.ExitStack() as stack:
            table = stack.enter_context(files.atomic_write(self.rows))
            array = stack.enter_context(files.atomic_write(self.path))  # moved first
            with new_file(table, own) as writer, array.open("w+b") as file:
                width = schema.field(EMBEDDING).type.list_size
                start = _write_header(file, 0, width)
                num_rows = self._copy(writer, file, width) if append else 0
                for group in groups:
                    vectors = _vectors(group)
                    vectors.tofile(file)
                    writer.write_table(_table(group, num_rows, own))
                    num_rows += len(vectors)
                file.seek(0)
                end = _write_header(file, num_rows, width)
                assert end == start, "the header's length must not depend on the number of rows"
            if not append:
                files.remove(self.rows)  # an old table never describes a new array

    def _copy(self, writer: pq.ParquetWriter, file: BinaryIO, width: int) -> int:
        """Copy the rows that the table lists, and return their number in the array."""
        num_rows = 0
        with pq.ParquetFile(self.rows) as old:
            for batch in old.iter_batches(batch_size=BATCH_ROWS * _COPIED_ROWS):
                num_rows += len(batch) - batch[ROW].null_count
                writer.write_batch(batch)
        try:
            vectors = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{str(self.path)!r} cannot be read as an array: {error}",
                "add --overwrite to compute it again",
            ) from error
        if vectors.dtype != np.float32 or vectors.shape[1:] != (width,) or len(vectors) < num_rows:
            raise ConfigError(
                f"{str(self.path)!r} is a {vectors.dtype} array of shape {vectors.shape}, but"
                f" {self.rows.name} lists {num_rows} rows of {width} features",
                "add --overwrite to compute it again",
            )
        for first in range(0, num_rows, _COPIED_ROWS):
            vectors[first : min(first + _COPIED_ROWS, num_rows)].tofile(file)
        return num_rows

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
