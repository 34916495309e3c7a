"""What a folder must hold to be a certain task."""

from dataclasses import dataclass
from typing import Literal

Group = Literal["natural", "specialized", "structured", "other"]

Pixels = Literal["lossless", "jpeg", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRow:
    """One row of a suite's table, as far as reading and checking a folder needs it."""

    name: str
    """Also the folder's name."""
    group: Group
    num_classes: int
    """Of the task, not of its thousand images: SUN397 shows 325 of 397."""
    num_test: int
    """Images of the whole test split."""
    num_train: int = 800
    num_val: int = 200
    pixels: Pixels = "unknown"
    """How the source stores them; JPEG files of a lossless source are no longer its images."""
