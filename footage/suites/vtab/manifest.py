"""The manifest of a task's folder: where its files came from, and the hash of each.

`NAME/manifest.json` is written by the doors that make a folder. Folders without one are as good;
nothing is known of them beyond what they hold.
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
    """Where a folder came from."""

    origin: Text
    """In words, with the version."""
    marks: tuple[Text, ...]
    """What differs from the exact protocol."""
    files: Mapping[str, Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]]
    """SHA-256 of each file by its path below the folder, lists included."""


class _File(Manifest, frozen=True):
    """Content of a file."""

    schema_version: Count


MANIFEST: Final = Document[Manifest](
    schema=_File,
    name="a manifest",
    error=ConfigError,
    hint="fetch the folder again, or remove that file",
    version_key="schema_version",
    versions=(SCHEMA_VERSION,),
)


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a folder that is not in its final place yet."""
    content = {"schema_version": SCHEMA_VERSION, **msgspec.to_builtins(manifest)}
    MANIFEST.write(folder / FILE, content)


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where there is none.

    Raises:
        ConfigError: It is damaged or of another version.
    """
    path = folder / FILE
    return MANIFEST.read(path) if path.exists() else None


def differing(folder: Path, manifest: Manifest) -> list[str]:
    """Files of the manifest that are missing or have another content."""
    return [name for name, expected in manifest.files.items() if _hash(folder / name) != expected]


def _hash(path: Path) -> str:
    """SHA-256 of a file; empty if there is none, even if its name is invalid."""
    try:
        return files.sha256(path) if path.is_file() else ""
    except (OSError, ValueError):  # too long for a name, or a zero byte in it
        return ""
