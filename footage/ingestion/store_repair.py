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

from footage.errors import StoreError
from footage.ingestion.sources import Source, find
from footage.ingestion.worker import IngestTask, ingest_one
from footage.io import files
from footage.io.documents import read_bytes
from footage.processes.executors import LocalProcesses
from footage.store.commit import COPIES, Content, VideoFrames, next_version, seal, write_part
from footage.store.description import (
    NAME,
    SHOTS,
    VIDEOS,
    Description,
    difference,
    part_name,
    part_number,
    read_description,
)
from footage.store.frames import Parts
from footage.store.reader import Damage, Store
from footage.store.tables import read_tables
from footage.store.writer import (
    DamagedWorkError,
    ShotRecord,
    WorkFile,
    frames_of_work,
    groups_of,
    read_work,
    work_path,
)
from footage.video.extract import Extraction
from footage.video.sandbox import Limits

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


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
    damage += _damaged_tables(path, description)
    store = _opened(path, description)
    if store is not None:
        total = sum(description.files[part_name(part)].num_bytes for part in description.parts())
        damage += store.damage(lambda num_bytes: progress(num_bytes, total))
    else:
        names = map(part_name, description.parts())
        reasons = {name: difference(path / name, description.files[name]) for name in names}
        damage += [Damage(name, reason, []) for name, reason in reasons.items() if reason]
    for part in sorted((path / "frames").glob("part-*.parquet")):
        name = part.relative_to(path).as_posix()
        if name not in description.files:
            damage.append(Damage(name, f"it is not listed in {NAME}; move it out of the store", []))
    return Checked(description, damage, store)


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


def _bytes(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError:
        return b""


def _damaged_tables(path: Path, description: Description) -> Iterator[Damage]:
    folders = ["", f"{COPIES}/"] if description.schema_version > 1 else [""]
    for folder in folders:
        for name in (VIDEOS, SHOTS):
            if reason := difference(path / folder / name, description.files[name]):
                yield Damage(folder + name, reason, [])


def _opened(path: Path, description: Description) -> Store | None:
    for folder in (path, path / COPIES):
        try:
            return Store(path, description, *read_tables(folder, description))
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
    parts = [
        one
        for one in found.damage
        if one.name.startswith("frames/") and one.name in found.description.files
    ]
    if found.store is None or not parts:
        return Repaired(restored, {})
    wanted = {video for one in parts for video in one.videos}
    fresh, lost = _ingest_again(found.store, wanted, paths, workers)
    parts = [one for one in parts if fresh.keys() >= set(one.videos)]
    try:
        _write_again(found.store, parts, fresh)
    except DamagedWorkError as error:
        raise StoreError(f"a repaired video was damaged: {error}", "check the disk") from error
    files.remove(path / ".work")
    return Repaired(restored + [one.name for one in parts], lost)


def _restore_from_copy(path: Path, name: str, description: Description) -> bool:
    """Restore `store.json`, a table, or a copy of them from the other one."""
    plain = name.removeprefix(f"{COPIES}/")
    if plain not in (NAME, VIDEOS, SHOTS) or description.schema_version == 1:
        return False
    other = path / plain if plain != name else path / COPIES / name
    if plain == NAME:
        is_sound = read_description(other.parent) == description
    else:
        is_sound = not difference(other, description.files[plain])
    if is_sound:
        with files.atomic_write(path / name) as temporary:
            shutil.copyfile(other, temporary)
    return is_sound


def _ingest_again(
    store: Store, wanted: set[str], paths: Sequence[str], workers: int
) -> tuple[dict[str, WorkFile], dict[str, str]]:
    """Ingest some videos of a store into its work folder; return these and the lost ones."""
    rows = {row["video"]: row for row in store.videos.to_pylist() if row["video"] in wanted}
    by_size: dict[int, list[Source]] = {}
    for source in find(list(paths)) if paths and rows else []:
        by_size.setdefault(source.num_bytes, []).append(source)
    sources = {video: _match(row, by_size.get(row["num_bytes"], [])) for video, row in rows.items()}
    tasks = {video: _task(store, video, source) for video, source in sources.items() if source}
    if tasks:
        log.info("videos to ingest again: %d", len(tasks))
    failures = {}
    for outcome in LocalProcesses(min(workers, len(tasks))).run(ingest_one, list(tasks.values())):
        failures[outcome.task.source] = (
            outcome.result.failure if outcome.result else outcome.failure
        )
    fresh: dict[str, WorkFile] = {}
    lost = {}
    for video, row in rows.items():
        reason = "the video was not found"
        if video in tasks:
            reason = failures[tasks[video].source] or _use(store, video, row, fresh)
        if reason:
            lost[video] = reason
    return fresh, lost


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


def _task(store: Store, video: str, source: Source) -> IngestTask:
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
    return IngestTask(
        source=source._replace(name=_name(video)),
        store=store.path.absolute(),
        settings=extraction,
        detector=detector,
        limits=Limits(**limits),
        known=(),
    )


def _use(store: Store, video: str, row: Mapping[str, Any], fresh: dict[str, WorkFile]) -> str:
    """Add the finished work on a video to `fresh`; return a reason if it cannot be used."""
    try:
        work = read_work(work_path(store.path, video))
    except DamagedWorkError:
        return "its content has changed"
    if work.record.status == "quarantined" or work.record.content_hash != row["content_hash"]:
        return work.record.reason or "its content has changed"
    record = dataclasses.replace(work.record, path=row["path"])
    fresh[video] = work._replace(record=record)
    return ""


def _write_again(store: Store, parts: Sequence[Damage], fresh: Mapping[str, WorkFile]) -> None:
    """Replace some parts; also the tables and `store.json`, if a part differs from before."""
    if not parts:
        return
    content = Content.of(store)
    content.videos = [
        fresh[row["video"]].row if row["video"] in fresh else row for row in content.videos
    ]
    is_exact = True
    with next_version(store.path) as folder:
        for one in parts:
            part = part_number(one.name)
            rows = [row for row in content.shots if row["part"] == part]
            old = store.description.files[one.name]
            version = 1 if old.footer_crc32 is None else 2
            videos = _videos_of_part(store, rows, fresh)
            new_rows, new = write_part(folder, part, videos, version)
            content.shots = [row for row in content.shots if row["part"] != part] + new_rows
            content.parts.pop(one.name)
            content.parts |= {one.name: new} if new else {}
            is_exact &= new == old
        if not is_exact:
            about = store.description
            seal(folder, content, about.settings, about.limits, about.versions)


def _videos_of_part(
    store: Store, rows: Sequence[Mapping[str, Any]], fresh: Mapping[str, WorkFile]
) -> Iterator[VideoFrames]:
    """Yield the videos of a part in order: intact ones from the store, others ingested again."""
    parts = Parts(store.path, store.description)
    for video in sorted({row["video"] for row in rows}):
        if video in fresh:
            yield VideoFrames(video, fresh[video].shots, frames_of_work(fresh[video]))
            continue
        own = [row for row in rows if row["video"] == video]
        shots = [ShotRecord(*(row[name] for name in ShotRecord._fields)) for row in own]
        yield VideoFrames(video, shots, _stored_groups(parts, video, own, shots))
    parts.close()


def _stored_groups(
    parts: Parts, video: str, rows: Sequence[Mapping[str, Any]], shots: Sequence[ShotRecord]
) -> Iterator[pa.Table]:
    part, first = rows[0]["part"], rows[0]["row_group"]
    for group, expected in enumerate(groups_of(video, shots), start=first):
        yield parts.whole(part, group, expected)
