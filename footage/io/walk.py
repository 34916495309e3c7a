"""Walk a folder for files of some kind: every command finds its input this way.

Hidden files and folders are skipped. Links to folders are followed, and each folder is visited
once, so loops end. A link to a folder that contains the walked one is not followed: it would lead
to files that are not below it. Files below real folders come before those that are reachable only
by a link, so their names do not depend on links.
"""

import dataclasses
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


@dataclasses.dataclass(slots=True)
class Skipped:
    """What was not wanted below a folder; complete when the walk has ended."""

    num_hidden: int = 0
    """Hidden files and folders."""
    other_suffixes: Counter[str] = dataclasses.field(default_factory=Counter)
    """Files of other kinds, counted by suffix."""
    unreadable: list[str] = dataclasses.field(default_factory=list)
    """Folders that could not be listed, each with the reason."""

    def __str__(self) -> str:
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


class Walk(NamedTuple):
    """The files found below a folder."""

    files: list[Path]
    """The wanted files, sorted by path."""
    skipped: Skipped


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
    skipped = Skipped()
    return Walk(sorted(map(Path, walked(root, is_wanted, skipped))), skipped)


def walked(root: Path, is_wanted: Callable[[str], bool], skipped: Skipped) -> Iterator[str]:
    """Yield the paths of the files below a folder that have a wanted name, in any order.

    Args:
        root: The folder; its own name may be hidden.
        is_wanted: Whether a file counts, by its name.
        skipped: Counts everything else.
    """
    visited = {_identity(parent.stat()) for parent in root.resolve().parents}
    waiting: list[str] = [str(root)]
    links: deque[str] = deque()
    while waiting or links:
        folder = waiting.pop() if waiting else links.popleft()
        folders: list[str] = []
        linked: list[str] = []
        try:
            identity = _identity(os.stat(folder))
            if identity in visited:
                continue
            visited.add(identity)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        skipped.num_hidden += 1
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_symlink() and os.path.isdir(entry.path):
                        linked.append(entry.path)
                    elif is_wanted(entry.name):
                        yield entry.path
                    else:
                        skipped.other_suffixes[Path(entry.name).suffix.lower()] += 1
        except OSError as error:
            skipped.unreadable.append(f"{folder}: {error.strerror}")
        waiting += sorted(folders)
        links += sorted(linked)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def text(path: str | Path) -> str:
    """Convert a path to text that any file can contain; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
