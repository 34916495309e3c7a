"""Write the folder of a task from any source.

Images are written in order to `images/PART/000000.png`. The folder is written under a temporary
name, read back and compared with its row, and then moved into place.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from footage.errors import ConfigError
from footage.io import files
from footage.suites.task_spec import TaskRow
from footage.suites.vtab import manifest
from footage.suites.vtab.folder import BOTH, TEST, TRAIN, VAL, open_folder_task


class Labelled(NamedTuple):
    """One image file and its class."""

    content: bytes
    suffix: str
    """File suffix, such as `.png`."""
    label: int


class Parts(NamedTuple):
    """The images of the three parts, produced on demand."""

    train: Iterable[Labelled]
    val: Iterable[Labelled]
    test: Iterable[Labelled]


_LISTS: Final = (TRAIN, VAL, TEST)


def write_task(
    out: Path,
    row: TaskRow,
    parts: Parts,
    *,
    origin: str,
    marks: tuple[str, ...] = (),
    advance: Callable[[float], None] = lambda _: None,
) -> Path:
    """Write the folder of one task.

    Args:
        out: The folder of the suite.
        row: The required content of the folder.
        parts: Its images.
        origin: A description of their source.
        marks: Differences from the exact protocol.
        advance: Called with 1 after each image, for a progress bar.

    Raises:
        ConfigError: The folder already exists, or the written folder does not match the row.
        OutputError: The folder cannot be written.
    """
    place = out / row.name
    if place.exists():
        raise ConfigError(f"{place} already exists", "remove it to write it again")
    with files.atomic_folder(place) as folder:
        lines = {
            name: _write_part(folder, name, images, advance)
            for name, images in zip(_LISTS, parts, strict=True)
        }
        lines[BOTH] = lines[TRAIN] + lines[VAL]
        for name, listed in lines.items():
            (folder / name).write_text("".join(listed), encoding="utf-8")
        open_folder_task(folder, row)
        written = sorted(path for path in folder.rglob("*") if path.is_file())
        hashes = {path.relative_to(folder).as_posix(): files.sha256(path) for path in written}
        manifest.write(folder, manifest.Manifest(origin=origin, marks=marks, files=hashes))
    return place


def _write_part(
    folder: Path, name: str, images: Iterable[Labelled], advance: Callable[[float], None]
) -> list[str]:
    below = f"images/{Path(name).stem}"
    (folder / below).mkdir(parents=True)
    lines = []
    for number, image in enumerate(images):
        path = f"{below}/{number:06}{image.suffix}"
        (folder / path).write_bytes(image.content)
        lines.append(f"{path} {image.label}\n")
        advance(1)
    return lines
