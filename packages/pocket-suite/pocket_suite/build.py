"""Build a suite: render all images from a seed, in the folder layout of VTAB-1k, with hashes.

    OUT/manifest.json                          seed, versions, sources, licences, missing tasks
    OUT/sprite-location/images/test/000000.png
    OUT/sprite-location/train800.txt           lines `images/train800/000000.png 3`
    OUT/sprite-location/val200.txt  train800val200.txt  test.txt
    OUT/sprite-location/sources.txt            lines `images/... sources of the image`
    OUT/sprite-location/manifest.json          the hash of each of these files

A task is drawn in a temporary folder and moved into place when it is complete. Existing tasks are
not drawn again, so rerunning the command resumes it.
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

from footage.errors import ConfigError, FootageError, UnknownNameError
from footage.io.files import exclusive, write_text
from footage.processes.executors import EXECUTORS, Executor, ExecutorSettings
from footage.suites import pocket, pocket_video
from footage.suites.pocket import COUNTS, SOURCES, Part, PocketRow
from footage.suites.vtab import manifest as task_manifest
from pocket_suite import debian
from pocket_suite.debian import MissingSourceError
from pocket_suite.drawing import PARTS, SOURCE_SEPARATOR, TaskRenderer, png
from pocket_suite.propagation import write_clip
from pocket_suite.renderers import CLOSE_RENDERER, OPEN_RENDERER

log = logging.getLogger(__name__)

MANIFEST: Final = "manifest.json"
SCHEMA_VERSION: Final = 1
REVISION: Final = 1
"""Incremented when the same seed gives different images."""

SUITES: Final[dict[str, tuple[PocketRow, ...]]] = {
    "pocket": pocket.TASKS,
    pocket_video.NAME: (*pocket_video.TASKS, pocket_video.CLIPS),
}
"""The suites that can be built, and their tables."""

_WORK: Final = ".work"
_LOCK: Final = ".lock"
_CHUNK: Final = 50
"""Number of images per chunk of work."""


class Chunk(NamedTuple):
    """A chunk of work: images of one task that one process draws."""

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
    """The result of a build."""

    path: Path
    tasks: tuple[str, ...]
    """Tasks that exist, in the order of the table."""
    missing: dict[str, str]
    """Tasks that could not be drawn, each with the reason."""


def build(  # noqa: PLR0913
    out: str | Path,
    *,
    suite: str = "pocket",
    tasks: Sequence[str] = (),
    seed: int = 0,
    workers: int = 1,
    packages: str | Path = "",
    most: int = max(COUNTS.values()),
    executor: str = "local",
    ray_address: str = "",
) -> Built:
    """Draw the tasks that do not exist yet; a task whose source is unavailable is skipped.

    Args:
        out: The suite's folder.
        suite: One of `SUITES`.
        tasks: Names of tasks; empty draws all tasks of the suite.
        seed: Seed of all random draws.
        workers: Number of worker processes.
        packages: Folder of Debian packages; missing ones are downloaded temporarily into `out`.
        most: Maximum number of images per split; small values give a miniature for tests.
        executor: Name of the executor that draws the images.
        ray_address: Address of a Ray cluster, for the executor `ray`.

    Raises:
        ConfigError: A suite or task is unknown, or the folder contains something else or a suite
            with other settings.
        BusyError: Another process is building in the folder.
        FootageError: A package is damaged.
    """
    root = Path(out)
    if suite not in SUITES:
        raise UnknownNameError("suite", suite, SUITES)
    table = SUITES[suite]
    rows = _rows(table, tasks)
    settings = ExecutorSettings(workers=workers, ray_address=ray_address)
    runs = None if executor == "local" and workers == 1 else EXECUTORS.find(executor)(settings)
    with exclusive(root / _LOCK, root):
        manifest = _begin(
            root, suite, {"seed": seed, "revision": REVISION, "most_images_of_a_part": most}
        )
        work = root / _WORK
        for row in rows:
            if row.name in manifest["tasks"]:
                continue
            start = time.monotonic()
            try:
                sources = _provide(row, work, str(packages))
                drawn = _draw(row, work, seed, runs, most)
            except MissingSourceError as error:
                log.warning("%s is skipped: %s", row.name, error.message)
                log.warning("to add it: %s", error.hint)
                manifest["missing"][row.name] = f"{error.message}; {error.hint}"
            else:
                manifest["sources"] |= sources
                manifest["missing"].pop(row.name, None)
                manifest["tasks"][row.name] = _entry(row, root / row.name)
                log.info("%s: %d images, %.0f s", row.name, drawn, time.monotonic() - start)
            _write_manifest(root, table, manifest)
        shutil.rmtree(work, ignore_errors=True)
    existing = tuple(row.name for row in table if row.name in manifest["tasks"])
    return Built(
        root,
        existing,
        {
            row.name: manifest["missing"].get(row.name, "not requested")
            for row in table
            if row.name not in existing and (row.name in manifest["missing"] or not row.dropped)
        },
    )


def _rows(table: Sequence[PocketRow], tasks: Sequence[str]) -> list[PocketRow]:
    known = [row.name for row in table]
    unknown = [name for name in tasks if name not in known]
    if unknown:
        raise UnknownNameError("task", unknown[0], known)
    return [row for row in table if (row.name in tasks if tasks else not row.dropped)]


# --- the suite's manifest -----------------------------------------------------------------------


def _begin(root: Path, suite: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of the folder, or a new one."""
    path = root / MANIFEST
    if path.is_file():
        manifest = _read(path, suite)
        if manifest["settings"] != settings:
            raise ConfigError(
                f"{root} was built with {_words(manifest['settings'])}, not {_words(settings)}",
                "choose another --out, or the same settings",
            )
        return manifest
    if root.exists() and any(entry.name not in (_WORK, _LOCK) for entry in root.iterdir()):
        raise ConfigError(f"{root} is not empty and is not a {suite} suite", "choose another --out")
    root.mkdir(parents=True, exist_ok=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": suite,
        "settings": settings,
        "versions": _versions(),
        "sources": {},
        "tasks": {},
        "missing": {},
    }


def _read(path: Path, suite: str) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if manifest["suite"] == suite and manifest["schema_version"] == SCHEMA_VERSION:
            return manifest
    except (ValueError, KeyError, TypeError):
        pass  # it is another file
    raise ConfigError(f"{path} is not the manifest of a {suite} suite", "choose another --out")


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _versions() -> dict[str, str]:
    """Return the versions of the packages that determine pixels."""
    names = ["footage", "numpy", "opencv-python-headless", "pillow"]
    return {name: importlib.metadata.version(name) for name in names}


def _write_manifest(root: Path, table: Sequence[PocketRow], manifest: dict[str, Any]) -> None:
    order = [row.name for row in table]
    for part in ("tasks", "missing"):
        manifest[part] = dict(sorted(manifest[part].items(), key=lambda item: order.index(item[0])))
    manifest["sources"] = dict(sorted(manifest["sources"].items()))
    write_text(root / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def _entry(row: PocketRow, folder: Path) -> dict[str, Any]:
    """Return the entry of a task in the suite's manifest."""
    return {
        "group": row.group,
        "num_classes": row.num_classes,
        "mirrors": row.mirrors,
        "sources": list(row.needs),
        "manifest_sha256": debian.sha256(folder / task_manifest.FILE),
    }


# --- sources ------------------------------------------------------------------------------------


def _provide(row: PocketRow, work: Path, packages: str) -> dict[str, dict[str, str]]:
    """Unpack the packages of a task into `assets/PACKAGE`; return descriptions of them."""
    sources = {}
    assets = work / "assets"
    for name in row.needs:
        source = SOURCES[name]
        if source.kind == "python":
            sources[name] = {"version": _python_version(name), "licence": source.licence}
            continue
        given = debian.find(name, Path(packages)) if packages else None
        deb = given or debian.fetch(name, work / "debs")
        if not (assets / name).is_dir():
            partial = assets / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            log.info("unpacking %s", deb.name)
            debian.unpack(deb, source.members, partial)
            os.replace(partial, assets / name)
        sources[name] = {"file": deb.name, "sha256": debian.sha256(deb), "licence": source.licence}
    return sources


def _python_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingSourceError(
            f"the Python package {name} is not installed", "pip install 'pocket-suite[doom]'"
        ) from error


# --- one task -----------------------------------------------------------------------------------


def _draw(row: PocketRow, work: Path, seed: int, executor: Executor | None, most: int) -> int:
    """Draw a task in a temporary folder and move it into place; return its number of images."""
    folder = work / row.name
    shutil.rmtree(folder, ignore_errors=True)
    if row == pocket_video.CLIPS:
        return _draw_clips(row, folder, seed, executor, most)
    for part in PARTS:
        (folder / "images" / part).mkdir(parents=True)
    counts = {part: min(count, most) for part, count in row.counts.items()}
    chunks = [
        Chunk(row.name, seed, work / "assets", folder, part, numbers)
        for part in PARTS
        for numbers in _ranges(counts[part])
    ]
    images = dict(_run(chunks, executor))
    drawn = {
        part: [image for chunk in chunks if chunk.part == part for image in images[chunk]]
        for part in PARTS
    }
    _check(row, drawn)
    _write_lists(folder, row, drawn)
    os.replace(folder, work.parent / row.name)
    return sum(counts.values())


def _draw_clips(
    row: PocketRow, folder: Path, seed: int, executor: Executor | None, most: int
) -> int:
    """Draw the clips with masks; return their number."""
    folder.mkdir(parents=True)
    numbers = range(min(row.num_test, most))
    clips = [
        Chunk(row.name, seed, folder.parent / "assets", folder, "test", range(number, number + 1))
        for number in numbers
    ]
    written = sorted(file for _, found in _run(clips, executor) for file in found)
    files = {file.name: file.sha256 for file in written}
    origin = f"footage pocket build, {row.name}"
    task_manifest.write(folder, task_manifest.Manifest(origin=origin, marks=(), files=files))
    os.replace(folder, folder.parent.parent / row.name)
    return len(numbers)


def _ranges(count: int) -> list[range]:
    return [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]


def _run(chunks: list[Chunk], executor: Executor | None) -> Iterator[tuple[Chunk, list[Drawn]]]:
    """Draw chunks with an executor; None draws them in this process."""
    close_renderer = CLOSE_RENDERER.get(chunks[0].task)
    if executor is None or close_renderer is not None:
        # Processes of a pool are killed at the end; programs that they started would keep running.
        try:
            for chunk in chunks:
                yield chunk, draw_chunk(chunk)
        finally:
            if close_renderer is not None:
                close_renderer()
        return
    for outcome in executor.run(draw_chunk, chunks):
        if outcome.failure:
            raise FootageError(
                f"{outcome.task.task} could not be drawn: {outcome.failure}",
                "try again with --workers 1",
            )
        yield outcome.task, outcome.result


def draw_chunk(chunk: Chunk) -> list[Drawn]:
    """Draw and write the images of a chunk, or a clip; runs in a worker process."""
    if chunk.task == pocket_video.CLIPS.name:
        files = write_clip(chunk.seed, chunk.assets, chunk.folder, chunk.numbers[0])
        return [Drawn(file.name, 0, "", file.sha256) for file in files]
    renderer = _renderer(chunk.task, chunk.seed, chunk.assets)
    drawn = []
    for number in chunk.numbers:
        example = renderer(chunk.part, number)
        name = f"images/{chunk.part}/{number:06d}.png"
        content = png(example.pixels)
        (chunk.folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        drawn.append(Drawn(name, example.label, example.source, digest))
    return drawn


@functools.lru_cache(maxsize=1)
def _renderer(task: str, seed: int, assets: Path) -> TaskRenderer:
    return OPEN_RENDERER[task](seed, assets)


def _check(row: PocketRow, drawn: Mapping[Part, Sequence[Drawn]]) -> None:
    """Check the invariants of every task; a violation is a bug."""
    part_of: dict[str, Part] = {}
    for part, images in drawn.items():
        for image in images:
            assert 0 <= image.label < row.num_classes, image
            for source in image.source.split(SOURCE_SEPARATOR):
                assert part_of.setdefault(source, part) == part, f"{source} is in two splits"


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
    task_manifest.write(
        folder,
        task_manifest.Manifest(origin=f"footage pocket build, {row.name}", marks=(), files=files),
    )
