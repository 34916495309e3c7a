"""Interfaces and rules that all layouts of labelled images share."""

import collections
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from footage.errors import ConfigError

log = logging.getLogger(__name__)

TRAIN_NAMES: Final = ("train", "training")
VAL_NAMES: Final = ("val", "valid", "validation")
TEST_NAMES: Final = ("test", "testing")
ONLY_TRAIN: Final = "only the training split is used"

NAMED_IN_ERRORS: Final = 5
"""Number of names that an error lists before it only counts the rest."""


@runtime_checkable
class Source(Protocol):
    """Access to the bytes of images: plain data for workers that opens files when read."""

    def read(self, row: int) -> bytes:
        """Return the bytes of one image file.

        Raises:
            OSError: The file that contains them is missing or damaged.
            ValueError: The image has no bytes.
        """


class Found(NamedTuple):
    """The labelled images of one layout, before their classes are numbered."""

    kind: str
    """Description of the layout."""
    names: pa.Array
    """Unique names of the images, as returned by `checked_names`."""
    class_names: list[str]
    """Class name of each image; empty if it has no label."""
    sizes: Int[np.ndarray, " K"]
    """Number of bytes of each image; in Parquet, of each row group."""
    source: Source


def entries(folder: Path) -> list[Path]:
    """List the entries of a folder, sorted by name.

    Raises:
        ConfigError: The folder cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError(
            f"'{folder}' cannot be listed: {error.strerror}", "check its permissions"
        ) from error


def some(names: list[str]) -> str:
    """Join the first few of many names, for a message."""
    shown = ", ".join(names[:NAMED_IN_ERRORS])
    more = len(names) - NAMED_IN_ERRORS
    return f"{shown} and {more} more" if more > 0 else shown


def checked_names(names: Sequence[str], path: Path) -> pa.Array:
    """Convert names to an array that is cheap to send to a worker process.

    Raises:
        ConfigError: A name occurs twice, or cannot be listed in UTF-8 as `name<tab>class`.
    """
    odd = [repr(name) for name in names if not is_listable(name)]
    if odd:
        raise ConfigError(
            f"{len(odd)} of {len(names)} images in {path} have names with tabs, line ends or "
            f"characters that are not UTF-8: {some(odd)}",
            "rename them",
        )
    array = pa.array(names, type=pa.large_string())
    if pc.count_distinct(array).as_py() != len(array):
        counts = collections.Counter(names)
        twice = [name for name, count in counts.items() if count > 1]
        raise ConfigError(
            f"{path} lists {len(twice)} image names more than once: {some(twice)}",
            "list each name once",
        )
    return array


def is_listable(name: str) -> bool:
    """Return whether a UTF-8 list of one `name<tab>class` per line can contain a name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not {"\t", "\n", "\r"} & set(name)


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names, as numbers if all of them are, so that class 10 follows class 9."""
    listed = list(names)
    if all(name.isascii() and name.isdigit() for name in listed):
        return tuple(sorted(listed, key=lambda name: (int(name), name)))
    return tuple(sorted(listed))


def check_number_of_classes(name: str, num_classes: int) -> None:
    """Refuse data with too few classes to train a classifier.

    Raises:
        ConfigError: There are fewer than two classes.
    """
    if num_classes < 2:
        found = "one class" if num_classes else "no classes"
        raise ConfigError(
            f"{name} has {found}; at least two are needed",
            "pass the folder that contains one subfolder per class, or a list with several labels",
        )


def named_subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the first subfolder whose lower-case name is one of these."""
    found = [entry for entry in entries(folder) if entry.name.lower() in names and entry.is_dir()]
    return found[0] if found else None


def shards(folder: Path, suffix: str) -> list[Path]:
    """Find files with a suffix in a folder, or in subfolders named `data` or like a split.

    If some are named like the training split and others like a validation or test split, only
    those of the training split are returned. Files are sorted by path.
    """
    homes = [folder]
    for entry in entries(folder):
        if entry.name.lower() in ("data", *TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES) and entry.is_dir():
            homes.append(entry)
    found = sorted(
        path
        for home in homes
        for path in entries(home)
        if path.suffix.lower() == suffix and not path.name.startswith(".") and path.is_file()
    )
    words = {path: _words(path.relative_to(folder)) for path in found}
    train = [path for path in found if words[path] & {*TRAIN_NAMES}]
    held_out = [path for path in found if words[path] & {*VAL_NAMES, *TEST_NAMES}]
    if not train or not held_out:
        return found
    log.info("%s has its own splits: %s, %d files", folder, ONLY_TRAIN, len(train))
    return train


def _words(path: Path) -> set[str]:
    """Split a path into words such as `train`, `00000`, `of`, `00002`."""
    text = path.as_posix().lower()
    return set("".join(each if each.isalnum() else " " for each in text).split())
