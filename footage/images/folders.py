"""Labelled images as plain files: one folder per class, or a list of paths and labels."""

import csv
import logging
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from footage.errors import ConfigError
from footage.images.common import (
    ONLY_TRAIN,
    TEST_NAMES,
    TRAIN_NAMES,
    VAL_NAMES,
    Found,
    checked_names,
    entries,
    named_subfolder,
    some,
)
from footage.images.decode import find_images, is_image_name, open_regular, read_descriptor
from footage.images.limits import ImageError

log = logging.getLogger(__name__)

LONGEST_LINE: Final = 100_000
"""Maximum number of characters per line of a list."""

_HEADERS: Final = ("path,label", "path\tlabel", "file,label")

_FORM: Final = "write one `path label` per line, paths relative to the list"


class Files(NamedTuple):
    """Images in separate files."""

    folder: Path
    names: pa.Array
    """Paths relative to the folder."""

    def read(self, row: int) -> bytes:
        """Return the bytes of one image file."""
        name = str(self.names[row])
        with open_regular(self.folder / name) as file:
            return read_descriptor(file.fileno(), name)


def open_folders(folder: Path) -> Found:
    """Open one folder per class; if `train/` is next to `val/` or `test/`, the classes of `train/`.

    Raises:
        ConfigError: A class folder contains no images.
    """
    train = named_subfolder(folder, TRAIN_NAMES)
    own_splits = train is not None and named_subfolder(folder, VAL_NAMES + TEST_NAMES) is not None
    if train is None or not own_splits:
        return _files("class folders", folder, read_classes(folder))
    log.info("%s has its own splits: %s, which is %s/", folder, ONLY_TRAIN, train.name)
    return _files(f"class folders in {train.name}/", train, read_classes(train))


def open_list(path: Path) -> Found:
    """Open a list of paths and labels.

    Raises:
        ConfigError: The list is not valid, is empty, or names files that do not exist.
    """
    return _files("a list of files", path.parent, read_list(path))


def _files(kind: str, folder: Path, classes: dict[str, list[Path]]) -> Found:
    files = [path for paths in classes.values() for path in paths]
    names = checked_names([_below(path, folder) for path in files], folder)
    return Found(
        kind=kind,
        names=names,
        class_names=[label for label, paths in classes.items() for _ in paths],
        sizes=_sizes(files),
        source=Files(folder, names),
    )


def _sizes(files: list[Path]) -> Int[np.ndarray, " N"]:
    sizes, faults = [], []
    for path in files:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                faults.append(f"{path} (not a regular file)")
            sizes.append(status.st_size)
        except OSError as error:
            faults.append(f"{path} ({error.strerror})")
    if faults:
        raise ConfigError(
            f"{len(faults)} of {len(files)} images cannot be read: {some(faults)}",
            "fix or remove them; skipping them silently would change the training data",
        )
    return np.array(sizes, dtype=np.int64)


def _below(path: Path, folder: Path) -> str:
    """Return the path relative to the folder; a list may contain files elsewhere."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def read_classes(folder: Path) -> dict[str, list[Path]]:
    """Find images by class; every subfolder is a class, including its own subfolders.

    Raises:
        ConfigError: A class folder contains no images, or links to the images of another class.
    """
    classes: dict[str, list[Path]] = {}
    loose = 0
    for entry in entries(folder):
        if entry.is_dir() and not entry.name.startswith("."):
            classes[entry.name] = find_images(entry)
        elif is_image_name(entry.name):
            loose += 1
    empty = [name for name, paths in classes.items() if not paths]
    if empty:
        raise ConfigError(
            f"no images in {len(empty)} of {len(classes)} class folders of {folder}: {some(empty)}",
            "each subfolder must contain one class; remove those that are not classes",
        )
    _check_apart(folder, classes)
    if loose:
        log.warning("%d images lie in %s outside any class folder and are not used", loose, folder)
    return classes


def _check_apart(folder: Path, classes: dict[str, list[Path]]) -> None:
    """Refuse a folder that two classes contain by links: its images would have two labels."""
    owners: dict[str, str] = {}
    for name, paths in classes.items():
        for inside in dict.fromkeys(path.parent for path in paths):
            other = owners.setdefault(os.path.realpath(inside), name)
            if other != name:
                raise ConfigError(
                    f"the class folders {other!r} and {name!r} in {folder} both contain the images"
                    f" in {inside}",
                    "remove the link to that folder from one of them",
                )


def read_list(path: Path) -> dict[str, list[Path]]:
    """Read images by class from a list file, in the order of the list.

    Raises:
        ConfigError: The list is not valid, is empty, or names files that do not exist.
    """
    lines = [(number, line) for number, line in enumerate(_lines(path), 1) if line.strip()]
    if lines and lines[0][1].replace(" ", "").lower() in _HEADERS:
        lines = lines[1:]
    if not lines:
        raise ConfigError(f"{path} lists no images", _FORM)
    separate = _separator(lines[0][1], path)
    classes: dict[str, list[Path]] = {}
    missing: list[str] = []
    seen: dict[Path, str] = {}
    for number, line in lines:
        if len(line) > LONGEST_LINE:
            raise ConfigError(
                f"line {number} of {path} has {len(line):,} characters, at most {LONGEST_LINE:,}"
                " are allowed",
                _FORM,
            )
        fields = separate(line)
        if len(fields) != 2 or not fields[1].strip():
            raise ConfigError(
                f"line {number} of {path} is not `path label`: {line[:80]!r}",
                "separate the two with a tab, a comma or a space",
            )
        image, label = path.parent / fields[0].strip(), fields[1].strip()
        if not _is_file(image):
            missing.append(fields[0])
        elif seen.setdefault(image, label) != label:
            raise ConfigError(
                f"{path} gives {fields[0]!r} two labels: {seen[image]!r} and {label!r}",
                "remove one of its lines",
            )
        classes.setdefault(label, []).append(image)
    if missing:
        raise ConfigError(
            f"{len(missing)} of {len(lines)} files in {path} do not exist: {some(missing)}",
            "paths are relative to the list; their parent folders must be readable",
        )
    return {label: list(dict.fromkeys(images)) for label, images in classes.items()}


def _lines(path: Path) -> list[str]:
    """Split a text file into lines at line feeds only: names may contain other separators."""
    try:
        with open_regular(path) as file:
            text = read_descriptor(file.fileno(), str(path)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a list in UTF-8: {error.reason}", _FORM) from error
    except ImageError as error:
        raise ConfigError(error.message, _FORM) from error
    return [line.removesuffix("\r") for line in text.split("\n")]


def _is_file(path: Path) -> bool:
    """Return whether a path leads to a file; False for a path that is not valid."""
    try:
        return path.is_file()
    except OSError:
        return False


class _Separator(NamedTuple):
    """Splits a line of a list into path and label; paths may contain the other separators."""

    name: str

    def __call__(self, line: str) -> list[str]:
        if self.name == "tab":
            return line.rsplit("\t", 1)
        if self.name == "comma":
            try:
                return next(csv.reader([line], skipinitialspace=True), [])
            except csv.Error:
                return []
        return line.rsplit(None, 1)


def _separator(line: str, path: Path) -> _Separator:
    """Return the separator with which the list's first line names an existing file."""
    candidates = [_Separator(name) for name in ("tab", "comma", "space")]
    for separate in candidates:
        fields = separate(line)
        if len(fields) == 2 and _is_file(path.parent / fields[0].strip()):
            return separate
    raise ConfigError(
        f"the first line of {path} does not name an existing file: {line[:80]!r}", _FORM
    )
