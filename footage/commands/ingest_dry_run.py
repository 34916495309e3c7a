"""`footage ingest --dry-run`: estimate the time and disk space of an ingest."""

import dataclasses
import math
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from footage import arguments
from footage.arguments import Location, Locations
from footage.commands.requirements import Requirements, duration, size
from footage.errors import ConfigError
from footage.ingestion import known_videos, planning, sample, target
from footage.ingestion.config import IngestConfig
from footage.ingestion.duplicates import duplicates, of_equal_size
from footage.ingestion.sample import Estimate
from footage.ingestion.source_table import SourceTable
from footage.ingestion.sources import find
from footage.ingestion.tasks import executor_for, has_urls, left_to_do
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

    plan: planning.Plan
    """All sources, and the units that are left."""
    copies: str
    """Number of duplicates, as text."""

    @property
    def left(self) -> SourceTable:
        """The remaining sources."""
        return self.plan.sources.take(self.plan.units.rows)

    @property
    def decoded(self) -> SourceTable:
        """The remaining sources that are not known to be duplicates."""
        left = self.left
        names = pa.array(list(self.plan.copies), pa.large_string())
        return left.take(np.flatnonzero(~pc.is_in(left.names, value_set=names).to_numpy(False)))


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


def _work(place: Place, existing: Store | None, sources: SourceTable, config: IngestConfig) -> Work:
    copies = "0"

    def copies_of(candidates: SourceTable, known: pa.Table) -> Mapping[str, str]:
        nonlocal copies
        similar = candidates.take(of_equal_size(candidates, known))
        is_remote = pc.any(pc.not_equal(similar.table["url"], ""), min_count=0).as_py()
        if is_remote or similar.total_bytes > COMPARED_BYTES:
            copies = f"at most {len(similar):,}"
            return {}
        found = duplicates(candidates, known)
        copies = f"{len(found):,}"
        return found

    if target.has_lost_settings(place, existing):
        nothing = known_videos.SCHEMA.empty_table()
        plan = planning.plan(sources, nothing, nothing, copies_of)
    else:
        plan = left_to_do(place, existing, sources, config, copies_of, changes_nothing=True)
    return Work(plan.of_shard(shards.parse_shard(config.shard)) if config.shard else plan, copies)


def _sample(work: Work, config: IngestConfig, executor: Executor | None, seconds: float) -> Sample:
    count = max(sample.VIDEOS, min(config.workers, 4 * sample.VIDEOS))
    drawn = sample.draw(work.decoded, count)
    if not drawn:
        return Sample([], 0)
    with tempfile.TemporaryDirectory(prefix="footage-") as folder:
        unit = UnitTask(
            (), Path(folder), config.extraction, config.detector, config.limits,
            config.require_sandbox or policy.requires_all(),
        )  # fmt: skip
        here = dataclasses.replace(config, executor="local")
        tasks = [unit._replace(sources=(SourceTask(one.source),)) for one in drawn]
        is_remote = has_urls(work.plan)
        executor = executor or executor_for(len(tasks), here, is_remote=is_remote)
        return Sample(sample.costs(drawn, unit, executor, seconds), len(drawn))


def _rows_of_work(work: Work) -> list[tuple[str, str, str]]:
    plan = work.plan
    is_known = plan.matches.has_any(plan.units.rows)
    num_bytes, num_changed = work.left.num_bytes, int(is_known.sum())
    rows = [
        ("sources", f"{len(plan.sources):,}", size(plan.sources.total_bytes)),
        ("unchanged", f"{len(plan.unchanged):,}", "in the store"),
        ("new", f"{len(is_known) - num_changed:,}", size(int(num_bytes[~is_known].sum()))),
    ]
    if num_changed:
        how = f"{size(int(num_bytes[is_known].sum()))}; not decoded if their hashes are unchanged"
        rows.append(("changed", f"{num_changed:,}", how))
    rows.append(("duplicates", work.copies, "not decoded; files of equal size are compared"))
    rows.append(("units", f"{len(plan.positions):,}", "tasks that can run at the same time"))
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
    workers = max(1, min(config.workers, len(work.plan.positions)))
    sums = work.plan.units.sums(work.plan.sources.num_bytes)
    longest, every = int(sums.max()), int(sums.sum())
    share = max(1 / workers, longest / every if every else 0.0)
    value = f"{duration(seconds.total * share)} {seconds.relative}"
    limit = ", limited by the largest video" if share > 1.01 / workers else ""
    return ("total time", value, f"with {workers} worker{'s' * (workers != 1)}{limit}")


def _row_of_rejected(work: Work, found: Sample) -> tuple[str, str, str]:
    is_local = pc.equal(work.decoded.table["url"], "").to_numpy()
    empty = int((is_local & (work.decoded.num_bytes == 0)).sum())
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
