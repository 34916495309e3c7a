"""Read and write JSON documents: every JSON file that footage opens goes through here.

A `Document` names a schema (a `msgspec.Struct` with bounded fields) and the error that a bad file
raises. Reading checks size, syntax, checksum, version, and every field. Writing is atomic and adds
a checksum, so that any reader detects a flipped bit.
"""

import errno
import functools
import hashlib
import json
import logging
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from footage.errors import FootageError
from footage.io import files
from footage.io.retry import retried

Content = TypeVar("Content")

log = logging.getLogger(__name__)

CHECKSUM = "checksum"
"""Key that contains the checksum of the rest of an object; files of earlier versions have none."""
MOST_BYTES = 64 * 2**20
_CHUNK = 2**20


@dataclass(frozen=True, kw_only=True)
class Document(Generic[Content]):
    """One kind of JSON file: its schema, its name in messages, and the error for a bad one."""

    schema: Any
    """Type for `msgspec.convert`, which returns `Content`."""
    name: str
    """Singular noun with its article, such as "a run record"."""
    error: type[FootageError] = FootageError
    hint: str
    """Hint on how to fix a damaged file."""
    version_key: str = ""
    """Top-level key of the version; empty for documents without one."""
    versions: tuple[int, ...] = ()
    """Versions that can be read."""
    migrate: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Converts the content of an earlier version; returns the same object if it is current."""
    most_bytes: int = MOST_BYTES
    """A larger file is refused before it is read."""

    def read(self, path: Path) -> Content:
        """Read one document from a file.

        Raises:
            FootageError: The file is missing, or does not match the schema.
        """
        return self.parse(self._bytes(path), str(path))

    def parse(self, data: bytes | str, name: str) -> Content:
        """Read one document from bytes; `name` is its name in errors."""
        content, is_earlier = self._parsed(data, name)
        if is_earlier:
            _notice(name)
        return content

    def read_lines(self, path: Path, *, appended: bool = True) -> list[Content]:
        """Read a file of one document per line.

        Args:
            path: The file.
            appended: Whether it was written line by line. Then a last line without a newline was
                cut off by a kill and is dropped; otherwise it is damage.
        """
        lines = self._bytes(path).split(b"\n")
        if lines[-1] and not appended:
            raise self._bad(str(path), "its last line has no newline")
        parsed = [
            self._parsed(line, f"line {number} of {path}")
            for number, line in enumerate(lines[:-1], start=1)
        ]
        if any(is_earlier for _, is_earlier in parsed):
            _notice(str(path))
        return [content for content, _ in parsed]

    def write(self, path: Path, value: Any, *, replace: bool = True) -> None:  # noqa: ANN401
        """Write one document as indented JSON with a checksum.

        Args:
            path: The file.
            value: Any content of the schema.
            replace: Whether to replace an existing file; otherwise it is kept.

        Raises:
            OutputError: The file cannot be written.
        """
        text = json.dumps(self._signed(value), indent=1, allow_nan=False) + "\n"
        files.write_text(path, text, replace=replace)

    def line(self, value: Any) -> str:  # noqa: ANN401
        """Format one document as a line of JSON with a checksum and a newline."""
        return json.dumps(self._signed(value), allow_nan=False) + "\n"

    def write_lines(self, path: Path, values: Iterable[Any]) -> None:
        """Write a file of one document per line."""
        files.write_text(path, "".join(self.line(value) for value in values))

    def _parsed(self, data: bytes | str, name: str) -> tuple[Content, bool]:
        """One document, and whether it was converted from an earlier version."""
        try:
            value = current = msgspec.json.decode(data)
            if isinstance(value, dict):
                self._check(value, name)
                current = self.migrate(value) if self.migrate else value
            content: Content = msgspec.convert(current, self.schema, strict=True)
        except (ValueError, LookupError, RecursionError, TypeError) as error:
            raise self._bad(name, _reason(error)) from error
        return content, current is not value

    def _signed(self, value: Any) -> dict[str, Any]:  # noqa: ANN401
        plain = msgspec.to_builtins(value)
        return {**plain, CHECKSUM: checksum(plain)}

    def _check(self, value: dict[str, Any], name: str) -> None:
        """Compare checksum and version, and take the checksum out."""
        expected = value.pop(CHECKSUM, None)
        if expected is not None and expected != checksum(value):
            raise ValueError(
                f"its checksum does not match; if you edited it on purpose, remove {CHECKSUM!r}"
            )
        if not self.version_key:
            return
        version = value.get(self.version_key)
        if isinstance(version, int) and version not in self.versions:
            readable = ", ".join(map(str, self.versions))
            raise self.error(
                f"{name} has version {version}; this version of footage reads {readable}",
                "use the version of footage that wrote it"
                if version > max(self.versions)
                else self.hint,
            )

    def _bytes(self, path: Path) -> bytes:
        try:
            return retried(lambda: read_bytes(path, self.most_bytes), str(path))
        except OSError as error:
            raise self._bad(str(path), error.strerror or str(error)) from error

    def _bad(self, name: str, reason: str) -> FootageError:
        return self.error(f"{name!r} cannot be read as {self.name}: {reason}", self.hint)


def read_bytes(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file; a pipe, a device or a larger file is not read.

    Raises:
        OSError: It cannot be read; `strerror` names the reason.
    """
    with open(path, "rb", opener=files.without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = bytearray()
        while len(data) <= most_bytes and (more := file.read(_CHUNK)):  # in pieces: it is reserved
            data += more
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"larger than {most_bytes:,} bytes")
    return bytes(data)


def read_list(path: Path, most_bytes: int = MOST_BYTES) -> list[str]:
    """Return the lines of a list file in UTF-8, without their ends; see `read_bytes`.

    Raises:
        OSError: It cannot be read; `strerror` names the reason.
    """
    try:
        text = read_bytes(path, most_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OSError(errno.EILSEQ, f"not UTF-8 at byte {error.start}") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def checksum(value: Mapping[str, Any]) -> str:
    """Checksum of a JSON object, independent of the order of its keys and of white space."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


@functools.lru_cache
def _notice(name: str) -> None:
    log.info("%s was written by an earlier version of footage; converted on reading", name)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return " ".join(str(error).split())
