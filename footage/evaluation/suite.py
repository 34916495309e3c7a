"""A suite: the tasks of one folder, and the missing ones. This module does not read files."""

from dataclasses import dataclass
from pathlib import Path

from footage.evaluation.dataset import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """The tasks of one folder."""

    name: str
    """vtab-1k, pocket, pocket-video, or the folder's own name."""
    path: Path
    tasks: tuple[Task, ...]
    missing: tuple[str, ...]
    """Names of the suite's tasks that are missing; no average hides them."""
