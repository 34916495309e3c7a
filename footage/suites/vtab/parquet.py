"""Import a task from Hugging Face Parquet files, with a different image subset than TFDS.

    FOLDER/train-00000-of-00002.parquet      in any subfolders; the name determines the part
    FOLDER/validation-00000-of-00001.parquet
    FOLDER/test-00000-of-00001.parquet

The rows are ordered differently from the records of TFDS, so the thousand images differ: the first
800 of the training part, and the first 200 of the validation part or, if there is none, the last
200 of the training part. The manifest and every result are marked accordingly. Image files are
copied unchanged; their labels must be those of the task.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from footage.errors import ConfigError
from footage.images.common import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, Found, class_order
from footage.images.tables import open_parquet
from footage.suites.task_spec import TaskRow
from footage.suites.vtab.writing import Labelled, Parts, write_task

ORDER: Final = "Hugging Face order"

SHOWN_CLASSES: Final = 0.5
"""The training images must show more than this fraction of the classes. With TFDS, it is 0.78 for
SUN397; rows that are sorted by class show very few classes."""

_SUFFIXES: Final = {b"\x89PN": ".png", b"\xff\xd8\xff": ".jpg", b"RIF": ".webp"}
"""File suffixes by the first three bytes."""


class Rows(NamedTuple):
    """Some rows of a part, in order."""

    found: Found
    places: range

    @property
    def names(self) -> list[str]:
        """The class name of each row."""
        return self.found.class_names[self.places.start : self.places.stop]


def import_parquet(
    folder: str | Path,
    row: TaskRow,
    out: Path,
    *,
    advance: Callable[[float], None] = lambda _: None,
) -> Path:
    """Write the folder of one task from the Parquet files of its data set.

    Classes named by numbers keep them; others are numbered in alphabetical order.

    Args:
        folder: Folder with the files of at least a training and a test part.
        row: The task.
        out: The folder of the suite.
        advance: Called with 1 after each image, for a progress bar.

    Raises:
        ConfigError: A part is missing, too small or without labels, the number of test images is
            wrong, or rows are sorted by class.
    """
    source = Path(folder)
    parts = _chosen(source, row)
    number = _numbering(source, row, parts)
    return write_task(
        out,
        row,
        Parts(*(_images(source, rows, number) for rows in parts)),
        origin=f"Parquet files of {source.resolve().name}",
        marks=(ORDER,),
        advance=advance,
    )


def _chosen(folder: Path, row: TaskRow) -> list[Rows]:
    """Select the rows of the training, validation and test part."""
    train, val, test = (_part(folder, names) for names in (TRAIN_NAMES, VAL_NAMES, TEST_NAMES))
    if train is None or test is None:
        raise ConfigError(
            f"{folder} has no Parquet files named like a "
            f"{'training' if train is None else 'test'} part",
            "download all parts and keep their names: train-*.parquet, test-*.parquet",
        )
    size = len(train.class_names)
    if val is None:
        held_out = Rows(train, range(max(0, size - row.num_val), size))
        size = held_out.places.start
    else:
        held_out = Rows(val, range(min(row.num_val, len(val.class_names))))
    chosen = [
        Rows(train, range(min(row.num_train, size))),
        held_out,
        Rows(test, range(len(test.class_names))),
    ]
    expected = (row.num_train, row.num_val, row.num_test)
    sizes = tuple(len(rows.places) for rows in chosen)
    if sizes != expected:
        raise ConfigError(
            f"{folder} has {sizes} training, validation and test images, {row.name} has {expected}",
            "its parts are not those of the original data set: use another copy",
        )
    return chosen


def _part(folder: Path, names: tuple[str, ...]) -> Found | None:
    files = [
        path
        for path in sorted(folder.rglob("*.parquet"))
        if {*names} & {*re.findall("[a-z]+", path.relative_to(folder).as_posix().lower())}
    ]
    return open_parquet(folder, files) if files else None


def _numbering(folder: Path, row: TaskRow, parts: list[Rows]) -> dict[str, int]:
    """Number the classes."""
    names = class_order({name for rows in parts for name in rows.names})
    if "" in names:
        raise ConfigError(f"{folder} has rows without a label", "use a copy with all labels")
    digits = all(name.isascii() and name.isdigit() for name in names)
    numbers = [int(name) if digits else place for place, name in enumerate(names)]
    shown = len(set(parts[0].names))
    if max(numbers) >= row.num_classes or len(set(numbers)) != len(numbers):
        raise ConfigError(
            f"{folder} has classes up to {names[-1]!r}, {row.name} has {row.num_classes}",
            "its labels are not those of the task: use another copy",
        )
    if shown <= SHOWN_CLASSES * row.num_classes:
        raise ConfigError(
            f"the first {row.num_train} rows of {folder} have {shown} of {row.num_classes} classes",
            "they are sorted by class: use another copy, or `footage vtab export`",
        )
    return dict(zip(names, numbers, strict=True))


def _images(folder: Path, rows: Rows, number: dict[str, int]) -> Iterator[Labelled]:
    for place, name in zip(rows.places, rows.names, strict=True):
        try:
            content = rows.found.source.read(place)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{rows.found.names[place]} of {folder} cannot be read: {error}",
                "download it again",
            ) from error
        suffix = _SUFFIXES.get(content[:3])
        if suffix is None:
            raise ConfigError(
                f"{rows.found.names[place]} of {folder} is not a PNG, JPEG or WebP file: it begins "
                f"with {content[:4]!r}",
                "use another copy",
            )
        yield Labelled(content, suffix, number[name])
