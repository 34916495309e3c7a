"""A remote file of known size, read through the cache."""

import io
from typing import Final

from footage.io.cache import RangeCache

TAIL_BYTES: Final = 64 * 2**10
"""Size of the end that is read in one request, because Parquet readers start there [ours]."""


class RangeFile(io.RawIOBase):
    """A remote file with random access; each read is one request, or none if it is cached.

    Args:
        ranges: The cache of the folder.
        name: Path in the folder.
        size: Size of the file in bytes.
    """

    def __init__(self, ranges: RangeCache, name: str, size: int) -> None:
        super().__init__()
        self._ranges = ranges
        self._name = name
        self._size = size
        self._position = 0
        self._tail = b""

    def readable(self) -> bool:
        """Return that the file can be read."""
        return True

    def seekable(self) -> bool:
        """Return that the position can be changed."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def is_in_tail(self, position: int) -> bool:
        """Return whether a position is in the end that is read in one request."""
        return position >= self._size - TAIL_BYTES

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes from the current position; all remaining ones by default."""
        start = self._position
        end = self._size if size is None or size < 0 else min(self._size, start + size)
        if end <= start:
            return b""
        if self.is_in_tail(start):
            first_of_tail = max(0, self._size - TAIL_BYTES)
            self._tail = self._tail or self._ranges.read(
                self._name, first_of_tail, self._size - first_of_tail
            )
            data = self._tail[start - first_of_tail : end - first_of_tail]
        else:
            data = self._ranges.read(self._name, start, end - start)
        self._position = end
        return data
