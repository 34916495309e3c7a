"""A labelled data set on disk, and its one split into train, validation and test.

    FOLDER/cat/1.jpg           one subfolder per class: split here, seeded, 60 / 20 / 20 per class
    FOLDER/train/cat/1.jpg     the data set's own splits: train/, val/ and test/ with class folders
    LIST.txt                   lines `path label`, `path<tab>label` or `path,label`, relative to it

The split is decided here once, for every model and protocol, and is written in words into every
result. Nothing is decoded here: `features` reads the pixels.
"""

import csv
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Int

from footage.errors import ConfigError
from footage.evaluation.images import find_images, is_image_name
from footage.randomness import generator

log = logging.getLogger(__name__)

TRAIN_NAMES: Final = ("train", "training")
VAL_NAMES: Final = ("val", "valid", "validation")
TEST_NAMES: Final = ("test", "testing")

VAL_SHARE: Final = 0.2
TEST_SHARE: Final = 0.2

NAMED_IN_ERRORS: Final = 5
"""How many offenders an error names before it says how many more there are."""


class Part(NamedTuple):
    """One part of a split: image files and their class numbers."""

    paths: tuple[Path, ...]
    labels: Int[np.ndarray, " N"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A labelled data set whose split is settled."""

    name: str
    """The folder's or the list's name."""
    classes: tuple[str, ...]
    """Class names; a label is a position in it."""
    train: Part
    """What a classifier may fit."""
    val: Part
    """What settings may be selected on."""
    test: Part
    """What is read once, at the end."""
    split: str
    """The rule by which the three parts came about, in words."""

    @property
    def num_images(self) -> int:
        """Images in all three parts together."""
        return len(self.train.paths) + len(self.val.paths) + len(self.test.paths)


def open_task(path: str | Path, seed: int = 0) -> Task:
    """The task that a folder or a list file describes.

    Args:
        path: One of the three forms that the module describes.
        seed: Of the split, where the data set brings none of its own.

    Raises:
        ConfigError: nothing is there, there are fewer than two classes, a class is too small to be
            split, or listed files are missing.
    """
    source = Path(path)
    if source.is_file():
        return _stratified_task(source.stem, _read_list(source), seed)
    if not source.is_dir():
        raise ConfigError(
            f"no labelled folder or list at {source}", "give one subfolder per class or a list file"
        )
    name = source.resolve().name
    train = _named_subfolder(source, TRAIN_NAMES)
    val = _named_subfolder(source, VAL_NAMES)
    test = _named_subfolder(source, TEST_NAMES)
    if train is not None and (val is not None or test is not None):
        return _task_with_own_splits(name, train, val, test, seed)
    return _stratified_task(name, _read_classes(source), seed)


# --- reading -----------------------------------------------------------------------------------


def _named_subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    found = [entry for entry in folder.iterdir() if entry.is_dir() and entry.name.lower() in names]
    return found[0] if found else None


def _read_classes(folder: Path) -> dict[str, list[Path]]:
    """Images by class, where every subfolder is a class; its own subfolders belong to it."""
    classes: dict[str, list[Path]] = {}
    loose = 0
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            classes[entry.name] = find_images(entry)
        elif is_image_name(entry):
            loose += 1
    empty = [name for name, paths in classes.items() if not paths]
    if empty:
        raise ConfigError(
            f"no images in {len(empty)} of {len(classes)} class folders of {folder}: {some(empty)}",
            "each subfolder must hold one class; remove those which are not classes",
        )
    if loose:
        log.warning("%d images lie in %s outside any class folder and are not used", loose, folder)
    return classes


def _read_list(path: Path) -> dict[str, list[Path]]:
    """Images by class from a list file, in the order of the list."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    lines = [line for line in lines if line.strip()]
    if lines and lines[0].replace(" ", "").lower() in ("path,label", "path\tlabel", "file,label"):
        lines = lines[1:]
    if not lines:
        raise ConfigError(f"{path} lists no images", "write one `path label` a line")
    separate = _separator(lines[0], path)
    classes: dict[str, list[Path]] = {}
    missing: list[str] = []
    seen: dict[Path, str] = {}
    for number, line in enumerate(lines, start=1):
        fields = separate(line)
        if len(fields) != 2 or not fields[1].strip():
            raise ConfigError(
                f"line {number} of {path} is not `path label`: {line[:80]!r}",
                "separate the two by a tab, a comma or a space",
            )
        image, label = path.parent / fields[0].strip(), fields[1].strip()
        if not image.is_file():
            missing.append(fields[0])
        elif seen.setdefault(image, label) != label:
            raise ConfigError(f"{path} gives {fields[0]} two labels: {seen[image]} and {label}")
        classes.setdefault(label, []).append(image)
    if missing:
        raise ConfigError(
            f"{len(missing)} of {len(lines)} files in {path} do not exist: {some(missing)}",
            "paths are relative to the list",
        )
    return {label: list(dict.fromkeys(images)) for label, images in classes.items()}


class _Separator(NamedTuple):
    """How one line of a list becomes a path and a label; paths may hold the other separators."""

    name: str

    def __call__(self, line: str) -> list[str]:
        if self.name == "tab":
            return line.rstrip("\n").rsplit("\t", 1)
        if self.name == "comma":
            return next(csv.reader([line], skipinitialspace=True))
        return line.rsplit(None, 1)


def _separator(line: str, path: Path) -> _Separator:
    """The separator by which the list's first line names a file that exists."""
    candidates = [_Separator(name) for name in ("tab", "comma", "space")]
    for separate in candidates:
        fields = separate(line)
        if len(fields) == 2 and (path.parent / fields[0].strip()).is_file():
            return separate
    raise ConfigError(
        f"the first line of {path} names no existing file: {line[:80]!r}",
        "write `path label` on each line, paths relative to the list",
    )


# --- splitting ---------------------------------------------------------------------------------


def _stratified_task(name: str, classes: dict[str, list[Path]], seed: int) -> Task:
    _check_number_of_classes(name, len(classes))
    small = [f"{label} ({len(paths)})" for label, paths in classes.items() if len(paths) < 3]
    if small:
        raise ConfigError(
            f"{name} has classes with fewer than 3 images: {some(small)}",
            "train, validation and test need one each; add images or remove the class",
        )
    order = _class_order(classes)
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
    return Task(name=name, classes=order, train=train, val=val, test=test, split=rule)


def _task_with_own_splits(
    name: str, train: Path, val: Path | None, test: Path | None, seed: int
) -> Task:
    read = {part: _read_classes(part) for part in (train, val, test) if part is not None}
    order = _class_order(read[train])
    _check_number_of_classes(name, len(order))
    unknown = sorted({label for classes in read.values() for label in classes} - set(order))
    if unknown:
        raise ConfigError(
            f"{name} has classes without a training image: {some(unknown)}",
            f"give each class a folder in {train.name}/",
        )
    numbered = {part: _numbered(classes, order) for part, classes in read.items()}
    rule = "own " + ", ".join(f"{part.name}/" for part in read)
    kept: list[_Item] = numbered[train]
    drawn: list[_Item]
    if val is None or test is None:
        kept, drawn = _draw_validation(numbered[train], seed)
        judged = test if test is not None else val
        assert judged is not None  # open_task comes here only with one of the two
        rule += f"; {judged.name}/ is the test part, 20 % of {train.name}/ the validation part"
        rule += f", seed {seed}"
        test_items = numbered[judged]
    else:
        drawn, test_items = numbered[val], numbered[test]
    return Task(
        name=name,
        classes=order,
        train=_part(kept),
        val=_part(drawn),
        test=_part(test_items),
        split=rule,
    )


_Item = tuple[Path, int]


def _numbered(classes: dict[str, list[Path]], order: tuple[str, ...]) -> list[_Item]:
    number = {class_name: label for label, class_name in enumerate(order)}
    return [(path, number[name]) for name in sorted(classes) for path in classes[name]]


def _draw_validation(items: list[_Item], seed: int) -> tuple[list[_Item], list[_Item]]:
    """The items that stay for training and a fifth of each class of two or more for validation."""
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


def _class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names sorted as numbers when all of them are, so that class 10 follows class 9."""
    listed = list(names)
    if all(name.isascii() and name.isdigit() for name in listed):
        return tuple(sorted(listed, key=lambda name: (int(name), name)))
    return tuple(sorted(listed))


def _check_number_of_classes(name: str, num_classes: int) -> None:
    if num_classes < 2:
        found = "one class" if num_classes else "no classes"
        raise ConfigError(
            f"{name} has {found}; at least two are needed",
            "give the folder that holds one subfolder per class, or a list with several labels",
        )


def some(names: list[str]) -> str:
    """The first few of many names, for a message."""
    shown = ", ".join(names[:NAMED_IN_ERRORS])
    more = len(names) - NAMED_IN_ERRORS
    return f"{shown} and {more} more" if more > 0 else shown
