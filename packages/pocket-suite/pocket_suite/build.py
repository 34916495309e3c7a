"""Builds the suite: every image from the seed, in the folder layout of VTAB-1k, with hashes.

    OUT/manifest.json                          seed, versions, sources, licences, what is missing
    OUT/sprite-location/images/test/000000.png
    OUT/sprite-location/train800.txt           lines `images/train800/000000.png 3`
    OUT/sprite-location/val200.txt  train800val200.txt  test.txt
    OUT/sprite-location/sources.txt            lines `images/... what the image was made of`
    OUT/sprite-location/manifest.json          the hash of each of these files

A task is drawn aside and moved to its place when it is whole; a task in its place is not drawn
again, so the same command goes on where it was stopped.
"""

import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from footage.errors import ConfigError, FootageError
from footage.processes.executors import LocalProcesses
from footage.suites.pocket import COUNTS, SOURCES, TASKS, Part, PocketRow
from footage.suites.vtab import manifest
from pocket_suite import debian
from pocket_suite.debian import MissingSourceError
from pocket_suite.drawing import PARTS, SOURCE_SEPARATOR, Painter, png
from pocket_suite.painters import CLOSERS, OPENERS

log = logging.getLogger(__name__)

MANIFEST: Final = "manifest.json"
SCHEMA_VERSION: Final = 1
REVISION: Final = 1
"""Raised when the same seed gives other images than before."""

_WORK: Final = ".work"
_CHUNK: Final = 50
"""Images that a worker process draws before it reports."""


class Chunk(NamedTuple):
    """Images of one task that one process draws in one go."""

    task: str
    seed: int
    assets: Path
    folder: Path
    part: Part
    numbers: range


class Drawn(NamedTuple):
    """One written image."""

    name: str
    label: int
    source: str
    sha256: str


class Built(NamedTuple):
    """What a build left behind."""

    path: Path
    tasks: tuple[str, ...]
    """Tasks that are there, in the order of the table."""
    missing: dict[str, str]
    """Tasks that could not be drawn, each with the reason."""


def build(
    out: str | Path,
    *,
    tasks: Sequence[str] = (),
    seed: int = 0,
    workers: int = 1,
    packages: str | Path = "",
    most: int = max(COUNTS.values()),
) -> Built:
    """Draw the tasks that are not there yet; one whose source is not to be had is left out.

    Args:
        out: The suite's folder.
        tasks: Names of tasks; all that count without any.
        seed: Of everything that is drawn.
        workers: Processes that draw.
        packages: A folder of Debian packages; what it lacks is fetched into `out` for the while.
        most: Images of a part that are drawn; fewer than it has give a miniature for tests.

    Raises:
        ConfigError: A task is unknown, or the folder has a suite of other settings or is no suite.
        FootageError: A package is damaged.
    """
    root = Path(out)
    rows = _rows(tasks)
    noted = _begin(root, {"seed": seed, "revision": REVISION, "most_images_of_a_part": most})
    work = root / _WORK
    for row in rows:
        if row.name in noted["tasks"]:
            continue
        start = time.monotonic()
        try:
            sources = _provide(row, work, str(packages))
            drawn = _draw(row, work, seed, workers, most)
        except MissingSourceError as error:
            log.warning("%s is left out: %s", row.name, error.message)
            log.warning("to have it: %s", error.hint)
            noted["missing"][row.name] = f"{error.message}; {error.hint}"
        else:
            noted["sources"] |= sources
            noted["missing"].pop(row.name, None)
            noted["tasks"][row.name] = _entry(row, root / row.name)
            log.info("%s: %d images, %.0f s", row.name, drawn, time.monotonic() - start)
        _note(root, noted)
    shutil.rmtree(work, ignore_errors=True)
    there = tuple(row.name for row in TASKS if row.name in noted["tasks"])
    return Built(
        root,
        there,
        {
            row.name: noted["missing"].get(row.name, "not asked for")
            for row in TASKS
            if row.name not in there and (row.name in noted["missing"] or not row.dropped)
        },
    )


def _rows(tasks: Sequence[str]) -> list[PocketRow]:
    known = [row.name for row in TASKS]
    unknown = [name for name in tasks if name not in known]
    if unknown:
        raise ConfigError(
            f"there is no pocket task {', '.join(unknown)}", f"tasks: {', '.join(known)}"
        )
    return [row for row in TASKS if (row.name in tasks if tasks else not row.dropped)]


# --- the suite's manifest -----------------------------------------------------------------------


def _begin(root: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The manifest to go on with: that of the folder, or a new one."""
    path = root / MANIFEST
    if path.is_file():
        noted = _read(path)
        if noted["settings"] != settings:
            raise ConfigError(
                f"{root} was built with {_words(noted['settings'])}, not {_words(settings)}",
                "choose another --out, or the same settings",
            )
        return noted
    if root.exists() and any(entry.name != _WORK for entry in root.iterdir()):
        raise ConfigError(f"{root} is not empty and is no pocket suite", "choose another --out")
    root.mkdir(parents=True, exist_ok=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": "pocket",
        "settings": settings,
        "versions": _versions(),
        "sources": {},
        "tasks": {},
        "missing": {},
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        noted: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if noted["suite"] == "pocket" and noted["schema_version"] == SCHEMA_VERSION:
            return noted
    except (ValueError, KeyError, TypeError):
        pass  # it is somebody else's
    raise ConfigError(f"{path} is not that of a pocket suite", "choose another --out")


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _versions() -> dict[str, str]:
    """The packages that decide pixels."""
    names = ["footage", "numpy", "opencv-python-headless", "pillow"]
    return {name: importlib.metadata.version(name) for name in names}


def _note(root: Path, noted: dict[str, Any]) -> None:
    order = [row.name for row in TASKS]
    for part in ("tasks", "missing"):
        noted[part] = dict(sorted(noted[part].items(), key=lambda item: order.index(item[0])))
    noted["sources"] = dict(sorted(noted["sources"].items()))
    aside = root / (MANIFEST + ".partial")
    aside.write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")
    os.replace(aside, root / MANIFEST)


def _entry(row: PocketRow, folder: Path) -> dict[str, Any]:
    """What the suite's manifest says of a task."""
    return {
        "group": row.group,
        "num_classes": row.num_classes,
        "mirrors": row.mirrors,
        "sources": list(row.needs),
        "manifest_sha256": debian.sha256(folder / manifest.FILE),
    }


# --- sources ------------------------------------------------------------------------------------


def _provide(row: PocketRow, work: Path, packages: str) -> dict[str, dict[str, str]]:
    """Unpack what a task needs into `assets/PACKAGE`, and say what it was."""
    found = {}
    assets = work / "assets"
    for name in row.needs:
        source = SOURCES[name]
        if source.kind == "python":
            found[name] = {"version": _python_version(name), "licence": source.licence}
            continue
        given = debian.find(name, Path(packages)) if packages else None
        deb = given or debian.fetch(name, work / "debs")
        if not (assets / name).is_dir():
            aside = assets / f"{name}.partial"
            shutil.rmtree(aside, ignore_errors=True)
            log.info("unpacking %s", deb.name)
            debian.unpack(deb, source.members, aside)
            os.replace(aside, assets / name)
        found[name] = {"file": deb.name, "sha256": debian.sha256(deb), "licence": source.licence}
    return found


def _python_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingSourceError(
            f"the Python package {name} is not installed", "pip install 'footage[pocket]'"
        ) from error


# --- one task -----------------------------------------------------------------------------------


def _draw(row: PocketRow, work: Path, seed: int, workers: int, most: int) -> int:
    """Draw a whole task aside and move it to its place; return how many images it has."""
    folder = work / row.name
    shutil.rmtree(folder, ignore_errors=True)
    for part in PARTS:
        (folder / "images" / part).mkdir(parents=True)
    counts = {part: min(count, most) for part, count in row.counts.items()}
    chunks = [
        Chunk(row.name, seed, work / "assets", folder, part, numbers)
        for part in PARTS
        for numbers in _ranges(counts[part])
    ]
    images = dict(_run(chunks, workers))
    drawn = {
        part: [one for chunk in chunks if chunk.part == part for one in images[chunk]]
        for part in PARTS
    }
    _check(row, drawn)
    _write_lists(folder, row, drawn)
    os.replace(folder, work.parent / row.name)
    return sum(counts.values())


def _ranges(count: int) -> list[range]:
    return [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]


def _run(chunks: list[Chunk], workers: int) -> Iterator[tuple[Chunk, list[Drawn]]]:
    closer = CLOSERS.get(chunks[0].task)
    if workers == 1 or closer is not None:
        # A process of a pool is killed in the end; what it had started would live on.
        try:
            for chunk in chunks:
                yield chunk, draw_chunk(chunk)
        finally:
            if closer is not None:
                closer()
        return
    for outcome in LocalProcesses(workers).run(draw_chunk, chunks):
        if outcome.failure:
            raise FootageError(
                f"{outcome.task.task} could not be drawn: {outcome.failure}",
                "try again with --workers 1",
            )
        yield outcome.task, outcome.result


def draw_chunk(chunk: Chunk) -> list[Drawn]:
    """Draw and write the images of a chunk; the work of one process."""
    painter = _painter(chunk.task, chunk.seed, chunk.assets)
    found = []
    for number in chunk.numbers:
        example = painter(chunk.part, number)
        name = f"images/{chunk.part}/{number:06d}.png"
        content = png(example.pixels)
        (chunk.folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        found.append(Drawn(name, example.label, example.source, digest))
    return found


@functools.lru_cache(maxsize=1)
def _painter(task: str, seed: int, assets: Path) -> Painter:
    return OPENERS[task](seed, assets)


def _check(row: PocketRow, drawn: Mapping[Part, Sequence[Drawn]]) -> None:
    """What must hold of every task, however it is drawn; anything else is our bug."""
    part_of: dict[str, Part] = {}
    for part, images in drawn.items():
        for image in images:
            assert 0 <= image.label < row.num_classes, image
            for source in image.source.split(SOURCE_SEPARATOR):
                assert part_of.setdefault(source, part) == part, f"{source} is in two parts"


def _write_lists(folder: Path, row: PocketRow, drawn: Mapping[Part, Sequence[Drawn]]) -> None:
    lists = dict(drawn) | {"train800val200": [*drawn["train800"], *drawn["val200"]]}
    everything = [image for part in PARTS for image in drawn[part]]
    texts = {
        f"{name}.txt": "".join(f"{image.name} {image.label}\n" for image in images)
        for name, images in lists.items()
    }
    texts["sources.txt"] = "".join(f"{image.name} {image.source}\n" for image in everything)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = {image.name: image.sha256 for image in everything}
    files |= {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    manifest.write(
        folder,
        manifest.Manifest(origin=f"footage pocket build, {row.name}", marks=(), files=files),
    )
