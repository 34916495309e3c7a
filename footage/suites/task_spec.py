"""The required content of a task folder."""

from dataclasses import dataclass
from typing import Literal

Group = Literal[
    "natural", "specialized", "structured", "instances", "robustness", "in-domain", "other"
]

Pixels = Literal["lossless", "jpeg", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRow:
    """One row of a suite's table: the properties needed to read and check a folder."""

    name: str
    """Name of the task and of its folder."""
    group: Group
    num_classes: int
    """Number of classes of the task; the thousand images may show fewer (SUN397: 325 of 397)."""
    num_test: int
    """Number of images of the whole test split."""
    num_train: int = 800
    num_val: int = 200
    pixels: Pixels = "unknown"
    """Encoding of the images in the source; JPEG copies of a lossless source are not exact."""
