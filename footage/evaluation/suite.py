"""What a suite of labelled tasks is to whoever judges a model on it; nothing is read here."""

from dataclasses import dataclass
from pathlib import Path

from footage.evaluation.dataset import Part


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteTask:
    """One task of a suite: three lists of image files and labels that never mix."""

    name: str
    """As in its suite's table, e.g. "dsprites_loc"."""
    group: str
    """natural, specialized, structured; other for a task that no table knows."""
    num_classes: int
    """Declared; the head never follows from labels seen."""
    train: Part
    """train800."""
    val: Part
    """val200."""
    test: Part
    """The whole test split."""
    marks: tuple[str, ...] = ()
    """What differs from the exact protocol, e.g. "lossy JPEG dump", "Hugging Face order"."""
    images: str = ""
    """Digest of images and labels; empty before they were read."""
    fitted_images: str = ""
    """The same of training and validation part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """The tasks of one folder."""

    name: str
    """vtab-1k, pocket, or a folder's own name."""
    path: Path
    tasks: tuple[SuiteTask, ...]
    missing: tuple[str, ...]
    """Names of the suite's tasks that are not there; never averaged away."""
