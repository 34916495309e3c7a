"""Divide sources into units, which depend on the sources alone, and leave out what is stored.

A unit is a task, a part and a record: 4 to 64 files or 16 MB of them in order of their names; a
larger file is a unit of its own. A killed run has recorded whole units, so the remaining ones are
those of an uninterrupted run, and any number of workers writes the same parts.

Files with the same bytes are stored once. Only files of equal size are compared: first their ends,
then their hashes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from footage.ingestion.sources import Source, batches, opened
from footage.ingestion.worker import SourceTask, video_id

UNIT_VIDEOS = (4, 64)
"""Fewest and most files of a full unit of small files."""
LEAST_UNITS = 64
"""Units have few files until there are this many units, so that few videos keep many cores busy."""
UNIT_BYTES = 16 * 2**20
"""A unit ends with the file with which it reaches this size, in bytes."""
_END_BYTES = 64 * 2**10
_CHUNK = 4 * 2**20


class KnownVideo(NamedTuple):
    """A video that is stored, or recorded by a finished unit."""

    video: str
    num_bytes: int
    content_hash: str
    stamp: str
    """Stamp of the source at that time; empty if it is unknown."""


Known = Mapping[str, Sequence[KnownVideo]]
"""Videos by the name of their source."""
Copies = Callable[[Sequence[Source], Known], Mapping[str, str]]
"""Returns the id of the original for the name of each source that is a duplicate."""


def known_videos(videos: pa.Table, stamps: pa.Table, *, retry_quarantined: bool) -> Known:
    """Return the videos that need not be ingested again while their sources are unchanged.

    Args:
        videos: Rows of `videos.arrow`. Files that could not be read are left out.
        stamps: Stamps of the sources, with the columns `name`, `stamp` and `video`.
        retry_quarantined: Whether to leave quarantined videos out, as after a change of limits.
    """
    keep = pc.not_equal(videos["content_hash"], "")
    if retry_quarantined:
        keep = pc.and_(keep, pc.not_equal(videos["status"], "quarantined"))
    kept = videos.select(["video", "num_bytes", "content_hash"]).filter(keep)
    stamp_of = dict(zip(stamps["video"].to_pylist(), stamps["stamp"].to_pylist(), strict=True))
    known: dict[str, list[KnownVideo]] = defaultdict(list)
    for video, num_bytes, content_hash in zip(
        *(kept[name].to_pylist() for name in kept.column_names), strict=True
    ):
        one = KnownVideo(video, num_bytes, content_hash, stamp_of.get(video, ""))
        known[video.rsplit("#", 1)[0]].append(one)
    return known


def units(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """Divide sources, sorted by name, into units."""
    least, most = UNIT_VIDEOS
    num_videos = min(max(least, -(-len(sources) // LEAST_UNITS)), most)
    return batches(sources, num_videos, UNIT_BYTES)


def is_unchanged(source: Source, known: Iterable[KnownVideo]) -> str:
    """Return the id of the known video that a source still contains, without reading the source.

    A remote file without a stamp is recognised by its size; a local one has to be hashed.
    """
    for one in known:
        if source.stamp and one.stamp:
            if source.stamp == one.stamp:
                return one.video
        elif source.url and one.num_bytes == source.num_bytes:
            return one.video
    return ""


class Plan(NamedTuple):
    """What an ingest has to do."""

    units: dict[int, tuple[SourceTask, ...]]
    """The units that are left, by their position among all units of the ingest."""
    num_units: int
    """Number of all units of the ingest."""
    unchanged: list[str]
    """Ids of the videos of all other sources."""


def plan(
    sources: Sequence[Source],
    stored: Known,
    finished: Known,
    copies_of: Copies | None = None,
) -> Plan:
    """Return the units that are left, with what is known about each source.

    Args:
        sources: All sources, sorted by name.
        stored: Videos in the store.
        finished: Videos of finished units that no manifest lists yet.
        copies_of: Finds duplicates; by default `duplicates`, which reads files.
    """
    unchanged, candidates = [], []
    for source in sources:
        video = is_unchanged(source, stored.get(source.name, ()))
        if video:
            unchanged.append(video)
        else:
            candidates.append(source)
    copies = (copies_of or duplicates)(candidates, stored)
    left = {}
    every = list(units(candidates))
    for position, unit in enumerate(every):
        tasks = []
        for source in unit:
            own = finished.get(source.name, ())
            if video := is_unchanged(source, own):
                unchanged.append(video)
                continue
            ids = tuple(one.video for one in (*stored.get(source.name, ()), *own))
            tasks.append(SourceTask(source, ids, copies.get(source.name, "")))
        if tasks:
            left[position] = tuple(tasks)
    return Plan(left, len(every), unchanged)


# --- duplicates ----------------------------------------------------------------------------------


def duplicates(sources: Sequence[Source], known: Known) -> dict[str, str]:
    """Return the id of the original of each source with the bytes of another video, by name.

    The original is a stored video, or else the first source by name. A file that cannot be read is
    no duplicate; the worker records the reason.
    """
    stored: dict[int, dict[str, str]] = defaultdict(dict)
    own_names = {source.name for source in sources}
    for name, videos in known.items():
        for one in videos:
            if one.content_hash and name not in own_names:
                stored[one.num_bytes].setdefault(one.content_hash, one.video)
    by_size: dict[int, list[Source]] = defaultdict(list)
    for source in sources:
        by_size[source.num_bytes].append(source)
    found: dict[str, str] = {}
    by_size.pop(0, None)  # pipes and empty files
    for num_bytes, group in by_size.items():
        candidates = group if num_bytes in stored else _with_equal_ends(group)
        originals = dict(stored.get(num_bytes, {}))
        for source in candidates:
            digest = _digest(source)
            if digest in originals:
                found[source.name] = originals[digest]
            elif digest:
                originals[digest] = video_id(source.name, digest)
    return found


def _with_equal_ends(sources: Sequence[Source]) -> list[Source]:
    """Return the sources of which another has the same first and last bytes."""
    if len(sources) < 2:
        return []
    groups: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        groups[_digest(source, ends_only=True)].append(source)
    return [one for ends, group in groups.items() if ends and len(group) > 1 for one in group]


def _digest(source: Source, *, ends_only: bool = False) -> str:
    """SHA-256 of a source, or of its first and last bytes; empty if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with opened(source) as file:
            if ends_only:
                digest.update(file.read(_END_BYTES))
                file.seek(max(0, source.num_bytes - _END_BYTES))
                digest.update(file.read(_END_BYTES))
            else:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
    except Exception:  # file systems raise their own errors; the worker will report what is wrong
        return ""
    return digest.hexdigest()
