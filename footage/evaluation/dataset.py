"""A labelled data set on disk, and its one split into train, validation and test.

    FOLDER/cat/1.jpg           one subfolder per class: split here, seeded, 60 / 20 / 20 per class
    FOLDER/train/cat/1.jpg     the data set's own splits: train/, val/ and test/ with class folders
    LIST.txt                   lines `path label`, `path<tab>label` or `path,label`; paths are
                               relative to the list

The split is made once here, for every model and protocol, and every result contains a description
of it. This module does not decode images; `features` does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Int

from footage.errors import ConfigError
from footage.images.common import (
    TEST_NAMES,
    TRAIN_NAMES,
    VAL_NAMES,
    check_number_of_classes,
    class_order,
    named_subfolder,
    some,
)
from footage.images.folders import read_classes, read_list
from footage.io.walk import text
from footage.seeding import generator

VAL_SHARE: Final = 0.2
TEST_SHARE: Final = 0.2


class Part(NamedTuple):
    """One part of a split: image files and their class numbers."""

    paths: tuple[Path, ...]
    labels: Int[np.ndarray, " N"]


OTHER: Final = "other"
"""Group of a task outside the suite's table; the averages of a suite with a table exclude it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A labelled data set with a fixed split: three separate lists of image files."""

    name: str
    """Name of the folder or list; in a suite, as in its table, such as "dsprites_loc"."""
    num_classes: int
    """The declared number, so that the size of the head does not depend on the labels present."""
    train: Part
    """Examples to fit a classifier on."""
    val: Part
    """Examples to select settings on."""
    test: Part
    """Examples that are used once, at the end."""
    split: str
    """Description of how the three parts were made."""
    classes: tuple[str, ...] = ()
    """Class names in the order of their numbers; empty if they are unknown."""
    group: str = OTHER
    """Group of the task in its suite, such as natural, or other."""
    deviations: tuple[str, ...] = ()
    """Differences from the exact protocol, such as "lossy JPEG dump"."""
    images: str = ""
    """Digest of images and labels; empty before they are read."""
    fitted_images: str = ""
    """Digest of the images and labels of the training and validation parts only."""

    @property
    def num_images(self) -> int:
        """Total number of images in the three parts."""
        return len(self.train.paths) + len(self.val.paths) + len(self.test.paths)


def open_task(path: str | Path, seed: int = 0) -> Task:
    """Open the task that a folder or a list file describes.

    Args:
        path: One of the three forms in the module's docstring.
        seed: Seed of the split if the data set does not have its own split.

    Raises:
        ConfigError: The path does not exist, there are fewer than two classes, a class is too small
            to be split, or listed files are missing.
    """
    source = Path(path)
    if source.is_file():
        return _stratified_task(text(source.stem), read_list(source), seed)
    if not source.is_dir():
        raise ConfigError(
            f"labelled folder or list not found: {str(source)!r}",
            "pass a folder with one subfolder per class, or a list file",
        )
    name = text(source.resolve().name)
    train = named_subfolder(source, TRAIN_NAMES)
    val = named_subfolder(source, VAL_NAMES)
    test = named_subfolder(source, TEST_NAMES)
    if train is not None and (val is not None or test is not None):
        return _task_with_own_splits(name, train, val, test, seed)
    return _stratified_task(name, read_classes(source), seed)


# --- splitting ---------------------------------------------------------------------------------


def _stratified_task(name: str, classes: dict[str, list[Path]], seed: int) -> Task:
    check_number_of_classes(name, len(classes))
    small = [f"{label} ({len(paths)})" for label, paths in classes.items() if len(paths) < 3]
    if small:
        raise ConfigError(
            f"{name} has classes with fewer than 3 images: {some(small)}",
            "train, validation and test need one image each; add images or remove the class",
        )
    order = class_order(classes)
    parts: tuple[list[_Item], list[_Item], list[_Item]] = ([], [], [])
    for label, class_name in enumerate(order):
        paths = _shuffled(classes[class_name], seed, label)
        num_test = max(1, round(TEST_SHARE * len(paths)))
        num_val = max(1, round(VAL_SHARE * len(paths)))
        cuts = (len(paths) - num_test - num_val, len(paths) - num_test)
        for part, chosen in zip(parts, np.split(np.arange(len(paths)), cuts), strict=True):
            part.extend((paths[index], label) for index in chosen)
    train, val, test = (_part(items) for items in parts)
    rule = f"60/20/20 per class, seed {seed}"
    return _task(name, order, train, val, test, rule)


def _task_with_own_splits(
    name: str, train: Path, val: Path | None, test: Path | None, seed: int
) -> Task:
    read = {part: read_classes(part) for part in (train, val, test) if part is not None}
    order = class_order(read[train])
    check_number_of_classes(name, len(order))
    unknown = sorted({label for classes in read.values() for label in classes} - set(order))
    if unknown:
        raise ConfigError(
            f"{name} has classes without a training image: {some(unknown)}",
            f"add a folder with images for each class to {train.name}/",
        )
    numbered = {part: _numbered(classes, order) for part, classes in read.items()}
    rule = "own " + ", ".join(f"{part.name}/" for part in read)
    kept: list[_Item] = numbered[train]
    drawn: list[_Item]
    if val is None or test is None:
        kept, drawn = _draw_validation(numbered[train], seed)
        unseen = test if test is not None else val
        assert unseen is not None  # open_task requires one of the two
        rule += f"; {unseen.name}/ is the test part, 20 % of {train.name}/ the validation part"
        rule += f", seed {seed}"
        test_items = numbered[unseen]
    else:
        drawn, test_items = numbered[val], numbered[test]
    return _task(name, order, _part(kept), _part(drawn), _part(test_items), rule)


def _task(
    name: str, classes: tuple[str, ...], train: Part, val: Part, test: Part, split: str
) -> Task:
    return Task(
        name=name,
        num_classes=len(classes),
        classes=classes,
        train=train,
        val=val,
        test=test,
        split=split,
    )


_Item = tuple[Path, int]


def _numbered(classes: dict[str, list[Path]], order: tuple[str, ...]) -> list[_Item]:
    number = {class_name: label for label, class_name in enumerate(order)}
    return [(path, number[name]) for name in sorted(classes) for path in classes[name]]


def _draw_validation(items: list[_Item], seed: int) -> tuple[list[_Item], list[_Item]]:
    """Return the training items, and a fifth of each class of two or more for validation."""
    kept: list[_Item] = []
    drawn: list[_Item] = []
    for label in sorted({label for _, label in items}):
        paths = _shuffled([path for path, other in items if other == label], seed, label)
        num_val = max(1, round(VAL_SHARE * len(paths))) if len(paths) > 1 else 0
        drawn += [(path, label) for path in paths[:num_val]]
        kept += [(path, label) for path in paths[num_val:]]
    if not drawn:
        raise ConfigError(
            "no validation images can be drawn: every class has one training image",
            "add a val/ folder",
        )
    return kept, drawn


def _shuffled(paths: list[Path], seed: int, label: int) -> list[Path]:
    """A seeded order that does not depend on the order in which the files were listed."""
    ordered = sorted(paths)
    permutation = generator("labelled split", seed, label).permutation(len(ordered))
    return [ordered[index] for index in permutation]


def _part(items: list[_Item]) -> Part:
    return Part(
        paths=tuple(path for path, _ in items),
        labels=np.array([label for _, label in items], dtype=np.int64),
    )
