"""The manifest of a task's folder: where its files came from, and the hash of each.

`NAME/manifest.json` is written by the doors that make a folder. Folders without one are as good;
nothing is known of them beyond what they hold.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from footage.errors import ConfigError

FILE: Final = "manifest.json"
SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Where a folder came from."""

    origin: str
    """In words, with the version."""
    marks: tuple[str, ...]
    """What differs from the exact protocol."""
    files: Mapping[str, str]
    """SHA-256 of each file by its path below the folder, lists included."""


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a folder that is not in its final place yet."""
    content = {"schema_version": SCHEMA_VERSION, **asdict(manifest)}
    (folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where there is none.

    Raises:
        ConfigError: It is damaged or of another version.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"version {content['schema_version']}, expected {SCHEMA_VERSION}")
        files = {str(name): str(digest) for name, digest in content["files"].items()}
        marks = tuple(str(mark) for mark in content["marks"])
        return Manifest(origin=str(content["origin"]), marks=marks, files=files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error!r}", "fetch the folder again, or remove that file"
        ) from error


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differing(folder: Path, manifest: Manifest) -> list[str]:
    """Files of the manifest that are missing or have another content."""
    return [
        name
        for name, expected in manifest.files.items()
        if not (folder / name).is_file() or digest(folder / name) != expected
    ]
