"""Walk a folder for files of some kind: every command finds its input this way.

Hidden files and folders are skipped. Links to folders are followed, and each folder is visited
once, so loops end. A link to a folder that contains the walked one is not followed: it would lead
to files that are not below it. Files below real folders come before those that are reachable only
by a link, so their names do not depend on links.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Walk(NamedTuple):
    """The files found below a folder."""

    files: list[Path]
    """The wanted files, sorted by path."""
    num_hidden: int
    """Hidden files and folders, which were skipped."""
    other_suffixes: Counter[str]
    """Files of other kinds, counted by suffix."""
    unreadable: list[str]
    """Folders that could not be listed, each with the reason."""

    def skipped(self) -> str:
        """Describe what was skipped; empty if nothing was."""
        parts = []
        if self.other_suffixes:
            count = sum(self.other_suffixes.values())
            parts.append(f"{count} of other types ({suffixes(self.other_suffixes)})")
        if self.num_hidden:
            parts.append(f"{self.num_hidden} hidden")
        if self.unreadable:
            parts.append(f"{len(self.unreadable)} unreadable folders ({self.unreadable[0]})")
        return ", ".join(parts)


def suffixes(counts: Counter[str]) -> str:
    """Return the most common suffixes with their counts, such as ".gif 12, .txt 3"."""
    most = [f"{suffix or 'no suffix'} {count}" for suffix, count in counts.most_common(5)]
    return ", ".join(most) + (", ..." if len(counts) > 5 else "")


def walk(root: Path, is_wanted: Callable[[str], bool]) -> Walk:
    """Find the files below a folder that have a wanted name.

    Args:
        root: The folder; its own name may be hidden.
        is_wanted: Whether a file counts, by its name.
    """
    found = Walk([], 0, Counter(), [])
    visited = {_identity(parent.stat()) for parent in root.resolve().parents}
    waiting: list[Path] = [root]
    links: list[Path] = []
    hidden = 0
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        try:
            identity = _identity(folder.stat())
            if identity in visited:
                continue
            visited.add(identity)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            found.unreadable.append(f"{folder}: {error.strerror}")
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                hidden += 1
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif path.is_dir():
                links.append(path)
            elif is_wanted(entry.name):
                found.files.append(path)
            else:
                found.other_suffixes[path.suffix.lower()] += 1
    found.files.sort()
    return found._replace(num_hidden=hidden)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def text(path: str | Path) -> str:
    """Convert a path to text that any file can contain; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
