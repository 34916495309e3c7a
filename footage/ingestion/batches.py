"""Divide files into batches by number and size."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int


class Batches(NamedTuple):
    """Batches of files, which are numbered from 0."""

    rows: Int[np.ndarray, " N"]
    """The files, batch after batch."""
    starts: Int[np.ndarray, " B"]
    """Where each batch starts in `rows`; the last value is the length of `rows`."""

    def batch(self, number: int) -> Int[np.ndarray, " K"]:
        """Return the files of a batch."""
        rows: Int[np.ndarray, " K"] = self.rows[self.starts[number] : self.starts[number + 1]]
        return rows

    def take(self, numbers: Int[np.ndarray, " K"]) -> "Batches":
        """Return some of the batches."""
        lengths = np.diff(self.starts)
        chosen = np.zeros(len(lengths), dtype=bool)
        chosen[numbers] = True
        return Batches(self.rows[np.repeat(chosen, lengths)], _starts(lengths[chosen]))

    def only(self, is_wanted: Bool[np.ndarray, " F"]) -> "tuple[Batches, Int[np.ndarray, ' K']]":
        """Leave files out; return the batches that are not empty then, and their numbers.

        Args:
            is_wanted: Per file.
        """
        kept = is_wanted[self.rows]
        ends = np.concatenate([[0], np.cumsum(kept)])[self.starts]
        lengths = np.diff(ends)
        numbers = np.flatnonzero(lengths)
        return Batches(self.rows[kept], _starts(lengths[numbers])), numbers

    def sums(self, values: Int[np.ndarray, " F"]) -> Int[np.ndarray, " K"]:
        """Return the sum of a value of each file, per batch."""
        sums: Int[np.ndarray, " K"] = np.diff(_starts(values[self.rows])[self.starts])
        return sums


def _starts(lengths: Int[np.ndarray, " K"]) -> Int[np.ndarray, " L"]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def batches(num_bytes: Int[np.ndarray, " N"], most_files: int, most_bytes: int) -> Batches:
    """Divide files into batches, which depend on the sizes of the files alone.

    A batch has its place where its last file is. The last one may have room for more files.

    Args:
        num_bytes: Size of each file, in order.
        most_files: Largest number of files in a batch.
        most_bytes: A batch ends with the file that reaches this size; a file of at least this size
            is a batch of its own.
    """
    is_large = num_bytes >= most_bytes
    small = np.flatnonzero(~is_large)
    sums = _starts(num_bytes[small])
    ends = [0]
    while ends[-1] < len(small):
        start = ends[-1]
        full = int(np.searchsorted(sums, sums[start] + most_bytes))
        ends.append(min(start + most_files, full, len(small)))
    places = small[np.array(ends[1:], dtype=np.int64) - 1]
    if len(ends) > 1:
        is_full = ends[-1] - ends[-2] == most_files or sums[-1] - sums[ends[-2]] >= most_bytes
        places[-1] = places[-1] if is_full else len(num_bytes)
    large = np.flatnonzero(is_large)
    places = np.concatenate([places, large])
    lengths = np.concatenate([np.diff(ends), np.ones(len(large), dtype=np.int64)])
    order = np.argsort(np.repeat(places, lengths), kind="stable")
    rows = np.concatenate([small, large])[order]
    return Batches(rows, _starts(lengths[np.argsort(places)]))
