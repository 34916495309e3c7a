"""Rewrite the damaged parts of a store from intact frames and from videos ingested again."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from footage.io import files
from footage.store import manifest
from footage.store.description import FileEntry
from footage.store.frames import FramesWriter, GroupFrames, Parts, frames_entry
from footage.store.parts import part_name
from footage.store.places import WORK, Place
from footage.store.reader import Store
from footage.store.records import ShotRecord, Unit, VideoRecord, write_unit
from footage.store.tables import FRAMES_PER_GROUP, group_lengths


class FreshVideo(NamedTuple):
    """A video that was ingested again."""

    record: VideoRecord
    shots: list[ShotRecord]
    part: Path
    first_group: int


def write_again(store: Store, parts: Sequence[int], fresh: Mapping[str, FreshVideo]) -> None:
    """Replace some parts; also the tables and `store.json`, if a part differs from before."""
    is_exact = True
    files.make_folder(store.path / WORK)
    for part in parts:
        name, old = store.parts.name(part), store.parts.entry(part)
        path = store.path / WORK / "part.parquet"
        shots = _shots_of_part(store, part)
        places = _write_part(store, part, shots, fresh, path, 1 if old.footer_crc32 is None else 2)
        new = frames_entry(path, 1 if old.footer_crc32 is None else 2)
        if new == old:
            with files.output_errors(store.path / name):
                path.replace(store.path / name)
                files.sync((store.path / name).parent)
            continue
        is_exact = False
        Place(store.path).publish(path, part_name(new.sha256))
        _record(store, new, shots, places, fresh)
    if not is_exact:
        about = store.description
        settings = manifest.Settings(about.settings, about.limits, about.versions)
        manifest.commit(store.path, settings, even_if_repeated=True)
        for part in parts:
            if store.parts.name(part) not in Store.open(store.path).parts.names():
                files.remove(store.path / store.parts.name(part))


def _shots_of_part(store: Store, part: int) -> dict[str, list[dict[str, Any]]]:
    """Return the shots with frames in a part by video, in storage order."""
    rows = np.flatnonzero(store.shots["part"].to_numpy() == part)
    table = store.shots.take(pa.array(rows)).sort_by("row_group")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        found.setdefault(row["video"], []).append(row)
    return found


def _write_part(
    store: Store,
    part: int,
    shots: Mapping[str, Sequence[Mapping[str, Any]]],
    fresh: Mapping[str, FreshVideo],
    path: Path,
    version: int,
) -> dict[str, int]:
    """Write a part from intact and fresh frames; return the first row group of each video."""
    writer = FramesWriter(path, version)
    stored = Parts(store.path, store.parts)
    places = {}
    try:
        for video, rows in shots.items():
            places[video] = writer.num_groups
            tables = (
                _fresh_groups(fresh[video])
                if video in fresh
                else _stored_groups(stored, part, rows)
            )
            for table in tables:
                writer.write(table)
        writer.finish()
    finally:
        writer.close()
        stored.close()
    return places


def _fresh_groups(fresh: FreshVideo) -> Iterator[pa.Table]:
    with pq.ParquetFile(fresh.part, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, use_threads=False)


def _stored_groups(
    parts: Parts, part: int, rows: Sequence[Mapping[str, Any]]
) -> Iterator[pa.Table]:
    for row in rows:
        for group, count in enumerate(group_lengths(row["num_frames"])):
            first = group * FRAMES_PER_GROUP
            expected = GroupFrames(row["video"], row["shot"], first, count)
            yield parts.whole(part, row["row_group"] + group, expected)


def _record(
    store: Store,
    entry: FileEntry,
    shots: Mapping[str, Sequence[Mapping[str, Any]]],
    places: Mapping[str, int],
    fresh: Mapping[str, FreshVideo],
) -> None:
    """Record all videos of a part that differs from before, like a unit."""
    ids = pa.array(list(shots), pa.string())
    rows = store.videos.filter(pc.is_in(store.videos["video"], ids)).to_pylist()
    path_of = {row["video"]: row["path"] for row in rows}
    known = {row["video"]: VideoRecord(**row) for row in rows}
    every = store.every_shot.filter(pc.is_in(store.every_shot["video"], ids))
    own: dict[str, list[ShotRecord]] = {video: [] for video in shots}
    for row in sorted(every.to_pylist(), key=lambda row: (row["video"], row["shot"])):
        own[row["video"]].append(ShotRecord(*(row[name] for name in ShotRecord._fields)))
    videos = []
    for video, first in places.items():
        record, of_video = known[video], own[video]
        if video in fresh:
            record = dataclasses.replace(fresh[video].record, path=path_of[video])
            of_video = fresh[video].shots
        groups, group = [], first
        for shot in of_video:
            groups.append(group)
            group += len(group_lengths(shot.num_frames))
        videos.append((record, of_video, groups))
    write_unit(store.path, Unit(entry, store.description.limits, []), videos)
