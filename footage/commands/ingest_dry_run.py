"""`footage ingest --dry-run`: estimate the time and disk space of an ingest."""

import dataclasses
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from footage import arguments
from footage.arguments import Location, Locations
from footage.commands.requirements import Requirements, duration, size
from footage.errors import ConfigError
from footage.ingestion import planning, sample, target
from footage.ingestion.config import IngestConfig
from footage.ingestion.sample import Estimate
from footage.ingestion.sources import Source, find
from footage.ingestion.tasks import executor_for, left_to_do
from footage.ingestion.worker import SourceTask, UnitTask
from footage.io import files
from footage.io.copies import naming_urls
from footage.metrics.intervals import wilson
from footage.processes import shards
from footage.processes.executors import Executor
from footage.sandbox import policy
from footage.store.places import Place, place_of
from footage.store.reader import Store
from footage.video.detectors.base import DETECTORS

COMPARED_BYTES = 2**30
"""Local files of equal size are compared if their total size is at most this [ours]."""
_TO_MEASURE = "for an estimate: more --workers, a faster machine, or a selection of shorter videos"


class Work(NamedTuple):
    """What an ingest has to do."""

    sources: Sequence[Source]
    """All sources."""
    unchanged: int
    """Number of sources that the store contains already."""
    units: dict[int, tuple[SourceTask, ...]]
    """The remaining units."""
    copies: str
    """Number of duplicates, as text."""

    @property
    def left(self) -> list[SourceTask]:
        """The remaining sources."""
        return [one for unit in self.units.values() for one in unit]


class Sample(NamedTuple):
    """The measured videos, and the number of videos in the sample."""

    measured: list[tuple[sample.Drawn, sample.Cost]]
    tried: int

    @property
    def rejected(self) -> Counter[str]:
        """Reasons of the videos that would be quarantined."""
        return Counter(cost.rejected for _, cost in self.measured if cost.rejected)

    def total(self, quantity: str) -> Estimate:
        """The estimated total of a field of `Cost`."""
        return sample.total(self.measured, quantity)


def dry_run(
    paths: Locations,
    out: Location,
    config: IngestConfig | None = None,
    *,
    executor: Executor | None = None,
    seconds: float = sample.SECONDS,
) -> Requirements:
    """Ingest a sample of the videos into a temporary folder; nothing is written to `out`.

    Args:
        paths: Files, folders (searched recursively) or fsspec URLs.
        out: The store that would be written or extended.
        config: Ingest settings.
        executor: Runs the sample; by default, processes on this machine.
        seconds: No video is started after this time; those still running after twice this time
            are abandoned.

    Raises:
        FootageError: Nothing was found.
        StoreError: The store is damaged, or was created with other settings.
    """
    config = arguments.settings(config, IngestConfig)
    if config.merge:
        raise ConfigError(
            "--merge decodes nothing that --dry-run could measure", "remove one of the options"
        )
    DETECTORS.find(config.detector)
    place = place_of(arguments.location(out, "out"))
    sources = find(arguments.locations(paths, "paths"))
    with naming_urls():
        target.check_content(place)
        place.pull()
        existing = target.existing(place)
        if not target.has_lost_settings(place, existing):
            target.check_settings(place, existing, config)
        work = _work(place, existing, sources, config)
    found = _sample(work, config, executor, seconds)
    rows = _rows_of_work(work)
    free = files.free_bytes(place.path) if place.remote is None else math.inf
    if not found.tried:
        return Requirements([*rows, ("fits", "yes", "nothing has to be decoded")], [], True)
    if not found.measured:
        how = f"none of {found.tried} videos could be decoded in time"
        rows += [("sample", "0 videos", how), ("fits", "unknown", "")]
        return Requirements(rows, [_TO_MEASURE], False)
    disk = found.total("stored_bytes")
    fits = disk.highest <= free
    rows += _rows_of_sample(work, found, config)
    room = f"{size(free)} free at --out" if place.remote is None else "in the object store"
    rows.append(("store", f"{size(disk.total)} {disk.relative}", room))
    rows.append(("fits", "yes" if fits else "no" if disk.total > free else "not certain", ""))
    changes = _changes(found, disk, free, config, is_new=existing is None)
    return Requirements(rows, changes, fits)


def _work(
    place: Place, existing: Store | None, sources: Sequence[Source], config: IngestConfig
) -> Work:
    copies = "0"

    def copies_of(candidates: Sequence[Source], known: planning.Known) -> Mapping[str, str]:
        nonlocal copies
        similar = _of_equal_size(candidates, known)
        if any(one.url for one in similar) or _bytes(similar) > COMPARED_BYTES:
            copies = f"at most {len(similar):,}"
            return {}
        found = planning.duplicates(candidates, known)
        copies = f"{len(found):,}"
        return found

    if target.has_lost_settings(place, existing):
        plan = planning.plan(sources, {}, {}, copies_of)
    else:
        plan = left_to_do(place, existing, sources, config, copies_of, changes_nothing=True)
    units = plan.units
    if config.shard:
        shard = shards.parse_shard(config.shard)
        units = {number: unit for number, unit in units.items() if shard.takes(number)}
    return Work(sources, len(plan.unchanged), units, copies)


def _of_equal_size(candidates: Sequence[Source], known: planning.Known) -> list[Source]:
    sizes = Counter(one.num_bytes for one in candidates)
    sizes.update({one.num_bytes for videos in known.values() for one in videos})
    return [one for one in candidates if one.num_bytes and sizes[one.num_bytes] > 1]


def _bytes(sources: Iterable[Source]) -> int:
    return sum(one.num_bytes for one in sources)


def _decoded(work: Work) -> list[Source]:
    return [one.source for one in work.left if not one.duplicate_of]


def _sample(work: Work, config: IngestConfig, executor: Executor | None, seconds: float) -> Sample:
    count = max(sample.VIDEOS, min(config.workers, 4 * sample.VIDEOS))
    drawn = sample.draw(_decoded(work), count)
    if not drawn:
        return Sample([], 0)
    with tempfile.TemporaryDirectory(prefix="footage-") as folder:
        unit = UnitTask(
            (), Path(folder), config.extraction, config.detector, config.limits,
            config.require_sandbox or policy.requires_all(),
        )  # fmt: skip
        here = dataclasses.replace(config, executor="local")
        tasks = [unit._replace(sources=(SourceTask(one.source),)) for one in drawn]
        executor = executor or executor_for(tasks, here)
        return Sample(sample.costs(drawn, unit, executor, seconds), len(drawn))


def _rows_of_work(work: Work) -> list[tuple[str, str, str]]:
    new = [one.source for one in work.left if not one.known]
    changed = [one.source for one in work.left if one.known]
    rows = [
        ("sources", f"{len(work.sources):,}", size(_bytes(work.sources))),
        ("unchanged", f"{work.unchanged:,}", "in the store"),
        ("new", f"{len(new):,}", size(_bytes(new))),
    ]
    if changed:
        how = f"{size(_bytes(changed))}; not decoded if their hashes are unchanged"
        rows.append(("changed", f"{len(changed):,}", how))
    rows.append(("duplicates", work.copies, "not decoded; files of equal size are compared"))
    rows.append(("units", f"{len(work.units):,}", "tasks that can run at the same time"))
    return rows


def _rows_of_sample(work: Work, found: Sample, config: IngestConfig) -> list[tuple[str, str, str]]:
    measured = [cost for _, cost in found.measured]
    of = f"of {found.tried} tried, " if found.tried > len(measured) else ""
    cpu, decoded = found.total("cpu_seconds"), sum(one.seconds for one in measured)
    how = f"{of}{size(sum(one.num_bytes for one in measured))}, {duration(decoded)} of work"
    rows = [
        ("sample", f"{len(measured)} videos", f"{how}, spread over the sizes"),
        ("CPU time", f"{duration(cpu.total)} {cpu.relative}", "on this machine"),
        _row_of_time(work, found, config),
        _row_of_rejected(work, found),
    ]
    video = found.total("video_seconds")
    rows.append(("video", f"{duration(video.total)} {video.relative}", "decoded"))
    for quantity in ("shots", "frames"):
        estimate = found.total(quantity)
        rows.append((quantity, f"{estimate.total:,.0f} {estimate.relative}", "stored"))
    return rows


def _row_of_time(work: Work, found: Sample, config: IngestConfig) -> tuple[str, str, str]:
    seconds = found.total("seconds")
    cluster = config.ray_address or os.environ.get("RAY_ADDRESS", "")
    if config.executor == "ray" and cluster:
        value = f"{duration(seconds.total)} {seconds.relative}"
        return ("total time", value, "to be divided by the number of cores of the Ray cluster")
    workers = max(1, min(config.workers, len(work.units)))
    longest = max(sum(one.source.num_bytes for one in unit) for unit in work.units.values())
    every = _bytes(one.source for one in work.left)
    share = max(1 / workers, longest / every if every else 0.0)
    value = f"{duration(seconds.total * share)} {seconds.relative}"
    limit = ", limited by the largest video" if share > 1.01 / workers else ""
    return ("total time", value, f"with {workers} workers{limit}")


def _row_of_rejected(work: Work, found: Sample) -> tuple[str, str, str]:
    empty = sum(not one.num_bytes and not one.url for one in _decoded(work))
    reasons = found.rejected
    number = len(found.measured)
    interval = wilson(reasons.total() / number, number)
    how = f"95 % interval, from {reasons.total()} of {number} sampled videos"
    how += f"; {empty:,} empty files"
    how += "".join(f"; {count} x {reason}" for reason, count in reasons.most_common(3))
    return ("quarantined", f"{interval.low:.0%} to {interval.high:.0%}", how)


def _changes(
    found: Sample, disk: Estimate, free: int | float, config: IngestConfig, *, is_new: bool
) -> list[str]:
    changes = []
    if disk.highest > free:
        rate = math.floor(100 * config.frames_per_second * free / disk.highest) / 100
        settings = f"--frames-per-second {rate:g}, a smaller --short-side, or " if is_new else ""
        need = size(disk.highest)
        changes.append(f"less disk: {settings}an --out on a disk with {need} free")
    fraction = found.rejected.total() / len(found.measured)
    if fraction > config.max_quarantined_fraction:
        changes.append(
            "many files would be quarantined: fix or remove them, or raise"
            f" --max-quarantined-fraction ({config.max_quarantined_fraction:g})"
        )
    return changes
