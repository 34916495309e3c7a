"""The manifest of a task's folder: the source of its files, and the hash of each.

Exports and imports write `NAME/manifest.json`. A folder without one is valid, but its source is
unknown and its files cannot be verified.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from footage.errors import ConfigError
from footage.evaluation.fields import Count, Record, Text
from footage.io import files
from footage.io.documents import Document

FILE: Final = "manifest.json"
SCHEMA_VERSION: Final = 1


class Manifest(Record, frozen=True):
    """The source and the hashes of a folder."""

    origin: Text
    """Description of the source, with its version."""
    marks: tuple[Text, ...]
    """Differences from the exact protocol."""
    files: Mapping[str, Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]]
    """SHA-256 of each file by its relative path, including lists."""


class _File(Manifest, frozen=True):
    """Content of `manifest.json`."""

    schema_version: Count


MANIFEST: Final = Document[Manifest](
    schema=_File,
    name="a manifest",
    error=ConfigError,
    hint="download the folder again, or remove that file",
    version_key="schema_version",
    versions=(SCHEMA_VERSION,),
)


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a folder that has not been moved into place yet."""
    content = {"schema_version": SCHEMA_VERSION, **msgspec.to_builtins(manifest)}
    MANIFEST.write(folder / FILE, content)


def read(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None if it has none.

    Raises:
        ConfigError: The manifest is damaged or has another version.
    """
    path = folder / FILE
    return MANIFEST.read(path) if path.exists() else None


def differing(folder: Path, manifest: Manifest) -> list[str]:
    """List the files of the manifest that are missing or have different content."""
    return [name for name, expected in manifest.files.items() if _hash(folder / name) != expected]


def _hash(path: Path) -> str:
    """Hash a file with SHA-256; empty if it does not exist or its name is not valid."""
    try:
        return files.sha256(path) if path.is_file() else ""
    except (OSError, ValueError):  # the name is too long or contains a zero byte
        return ""
