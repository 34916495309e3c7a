"""Check all files of a frame store, and restore what is damaged.

`store.json` and the tables are restored from their second copies. A part is rewritten from its
intact frames and from the videos of its damaged frames, which are ingested again. If decoding gives
the same frames, the part has the same bytes and the store the same content hash.
"""

import dataclasses
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from footage.errors import StoreError
from footage.ingestion.part_repair import FreshVideo, write_again
from footage.ingestion.source_table import Source
from footage.ingestion.sources import find
from footage.ingestion.worker import SourceTask, UnitTask, ingest_unit
from footage.io import files
from footage.io.documents import read_bytes
from footage.processes.executors import LocalProcesses
from footage.store.description import (
    MANIFESTS,
    NAME,
    PARTS,
    Description,
    difference,
    read_description,
)
from footage.store.parts import SCHEMA as PARTS_SCHEMA
from footage.store.parts import part_name
from footage.store.places import COPIES, WORK, Place
from footage.store.reader import Damage, Store
from footage.store.records import (
    ShotRecord,
    VideoRecord,
    finished_units,
)
from footage.store.tables import map_table, read_tables
from footage.video.extract import Extraction
from footage.video.sandbox import Limits

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
_SCRATCH = f"{WORK}/repair"


class Checked(NamedTuple):
    """The result of checking a store."""

    description: Description
    damage: list[Damage]
    store: Store | None
    """None if neither the tables nor their copies can be read."""


class Repaired(NamedTuple):
    """The result of a repair."""

    restored: list[str]
    """Names of the files that were restored."""
    lost: dict[str, str]
    """Videos that could not be ingested again, each with the reason."""


# --- checking ------------------------------------------------------------------------------------


def check(path: Path, progress: Progress = lambda *_: None) -> Checked:
    """Read every byte of a store, and list all files that are missing or damaged.

    Args:
        path: The store folder.
        progress: Called for each part with its number of bytes and that of all parts.

    Raises:
        StoreError: There is no store, or neither `store.json` nor its copy can be read.
    """
    description, damage = _description(path)
    damage += _damaged_manifest(path, description)
    damage += _damaged_tables(path, description)
    store = _opened(path, description)
    if store is not None:
        total = store.parts.num_bytes
        damage += store.damage(lambda num_bytes: progress(num_bytes, total))
        damage += _unlisted(path, store)
    return Checked(description, damage, store)


def _unlisted(path: Path, store: Store) -> Iterator[Damage]:
    """Yield the parts that no manifest lists."""
    listed = set(store.parts.names())
    for table in (path / MANIFESTS).glob(f"*/{PARTS}"):
        try:
            listed |= set(map_table(table, PARTS_SCHEMA)["name"].to_pylist())
        except (OSError, ValueError, pa.ArrowException):
            log.warning("%s cannot be read", table)
    for part in sorted((path / "frames").rglob("part-*.parquet")):
        name = part.relative_to(path).as_posix()
        if name not in listed:
            yield Damage(name, f"it is not listed in {PARTS}; move it out of the store", [])


def _description(path: Path) -> tuple[Description, list[Damage]]:
    """Read `store.json`, or its copy if necessary."""
    copy = path / COPIES / NAME
    try:
        description = read_description(path)
    except StoreError as error:
        if not copy.exists():
            raise
        return read_description(path / COPIES), [
            Damage(NAME, error.message.rpartition(" is damaged: ")[2], [])
        ]
    if description.schema_version > 1 and _bytes(copy) != _bytes(path / NAME):
        return description, [Damage(f"{COPIES}/{NAME}", f"it is not a copy of {NAME}", [])]
    return description, []


def _damaged_manifest(path: Path, description: Description) -> Iterator[Damage]:
    """Check the `store.json` of the manifest, which readers of later versions need."""
    name = description.folder(Path()) / NAME
    if description.manifest and not _is_description(path / name.parent, description):
        yield Damage(name.as_posix(), f"it is not a copy of {NAME}", [])


def _bytes(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError:
        return b""


def _folders(path: Path, description: Description) -> list[str]:
    """Return the folders of the tables and of their copies, below the store."""
    own = description.folder(path).relative_to(path).as_posix()
    return [own] if description.schema_version == 1 else [own, COPIES]


def _damaged_tables(path: Path, description: Description) -> Iterator[Damage]:
    for folder in _folders(path, description):
        for name in description.tables:
            place = Path(folder, name)
            if reason := difference(path / place, description.files[name]):
                yield Damage(place.as_posix(), reason, [])


def _opened(path: Path, description: Description) -> Store | None:
    for folder in _folders(path, description):
        try:
            tables = read_tables(path, description, folder=path / folder)
            return Store(Place(path), description, tables)
        except StoreError:
            continue
    return None


# --- repairing -----------------------------------------------------------------------------------


def repair(path: Path, found: Checked, paths: Sequence[str], workers: int) -> Repaired:
    """Restore the damaged files of a store; call it while holding the store's lock.

    A part is rewritten only if all its damaged videos are found and can be decoded.

    Args:
        path: The store folder.
        found: The result of `check`.
        paths: Files, folders or URLs to search for the original videos.
        workers: Number of worker processes.

    Raises:
        FootageError: Nothing was found in `paths`, or something cannot be written.
    """
    restored = [
        one.name for one in found.damage if _restore_from_copy(path, one.name, found.description)
    ]
    number = {
        name: part for part, name in enumerate(found.store.parts.names() if found.store else [])
    }
    damaged = {number[one.name]: one for one in found.damage if one.name in number}
    if found.store is None or not damaged:
        return Repaired(restored, {})
    wanted = {video for one in damaged.values() for video in one.videos}
    try:
        fresh, lost = _ingest_again(found.store, wanted, paths, workers)
        whole = {part: one for part, one in damaged.items() if fresh.keys() >= set(one.videos)}
        write_again(found.store, list(whole), fresh)
    finally:
        files.remove(path / WORK)
    return Repaired(restored + [one.name for one in whole.values()], lost)


def _restore_from_copy(path: Path, name: str, description: Description) -> bool:
    """Restore `store.json`, a table, or a copy of them from the other one."""
    plain = Path(name).name
    if plain not in (NAME, *description.tables) or description.schema_version == 1:
        return False
    own = Path(".") if plain == NAME else description.folder(path).relative_to(path)
    other = path / (own if Path(name).parent.name == COPIES else COPIES) / plain
    if plain == NAME:
        is_sound = _is_description(other.parent, description)
    else:
        is_sound = not difference(other, description.files[plain])
    if is_sound:
        with files.atomic_write(path / name) as temporary:
            shutil.copyfile(other, temporary)
    return is_sound


def _is_description(folder: Path, description: Description) -> bool:
    try:
        return read_description(folder) == description
    except StoreError:
        return False


def _ingest_again(
    store: Store, wanted: set[str], paths: Sequence[str], workers: int
) -> tuple[dict[str, FreshVideo], dict[str, str]]:
    """Ingest some videos of a store into a scratch folder; return these and the lost ones."""
    listed = store.videos.filter(pc.is_in(store.videos["video"], pa.array(wanted, pa.string())))
    rows = {row["video"]: row for row in listed.to_pylist()}
    by_size: dict[int, list[Source]] = {}
    for source in find(list(paths)) if paths and rows else []:
        by_size.setdefault(source.num_bytes, []).append(source)
    sources = {video: _match(row, by_size.get(row["num_bytes"], [])) for video, row in rows.items()}
    tasks = {video: _task(store, video, source) for video, source in sources.items() if source}
    if tasks:
        log.info("videos to ingest again: %d", len(tasks))
    failures = {}
    executor = LocalProcesses(min(workers, len(tasks)))
    for outcome in executor.run(ingest_unit, list(tasks.values())):
        failure = outcome.result.results[0].failure if outcome.result else outcome.failure
        failures[outcome.task.sources] = failure
    found = _found_again(store.path / _SCRATCH)
    lost = {}
    for video, row in rows.items():
        reason = "the video was not found"
        if video in tasks:
            reason = failures[tasks[video].sources] or _problem(row, found.get(video))
        if reason:
            lost[video] = reason
            found.pop(video, None)
    return found, lost


def _problem(row: Mapping[str, Any], fresh: FreshVideo | None) -> str:
    if fresh is None or fresh.record.content_hash != row["content_hash"]:
        return "its content has changed"
    return fresh.record.reason if fresh.record.status == "quarantined" else ""


def _found_again(scratch: Path) -> dict[str, FreshVideo]:
    """Return the videos that were ingested into a scratch folder; each is a unit of its own."""
    found = {}
    for unit in finished_units(scratch):
        part = scratch / part_name(unit.unit.part.sha256) if unit.unit.part else scratch
        for row in unit.videos.to_pylist():
            columns = unit.shots.select(ShotRecord._fields).to_pylist()
            shots = [ShotRecord(**shot) for shot in columns]
            found[row["video"]] = FreshVideo(VideoRecord(**row), shots, part, 0)
    return found


def _match(row: Mapping[str, Any], candidates: Sequence[Source]) -> Source | None:
    """Return the source file of a video, at any path; URLs are identified by name."""
    name = _name(row["video"])
    for source in sorted(candidates, key=lambda source: source.name != name):
        if source.url:
            if source.name == name:
                return source
        elif row["content_hash"] == _sha256(source.location):
            return source
    return None


def _name(video: str) -> str:
    return video.rsplit("#", 1)[0]


def _sha256(location: str) -> str:
    try:
        return files.sha256(Path(location))
    except OSError:
        return ""


def _task(store: Store, video: str, source: Source) -> UnitTask:
    settings = store.settings
    detector = settings.pop("detector", "adaptive")
    names = {field.name for field in dataclasses.fields(Limits)}
    limits: dict[str, Any] = {
        name: value for name, value in store.description.limits.items() if name in names
    }
    try:
        extraction = Extraction(**settings)
    except TypeError as error:
        raise StoreError(
            f"the settings of the store at {str(store.path)!r} are not those of this version",
            "repair it with the version of footage that wrote it",
        ) from error
    return UnitTask(
        sources=(SourceTask(source._replace(name=_name(video), stamp="")),),
        store=store.path.absolute() / _SCRATCH,
        settings=extraction,
        detector=detector,
        limits=Limits(**limits),
    )
