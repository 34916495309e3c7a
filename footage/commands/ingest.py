"""The command `footage ingest`: decode videos into a frame store, and report the results."""

import dataclasses
import errno
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from footage import arguments
from footage.arguments import Location, Locations
from footage.errors import ConfigError, MachineError, StoreError
from footage.ingestion import target
from footage.ingestion.config import IngestConfig
from footage.ingestion.disk_space import SpaceWatch
from footage.ingestion.report import (
    IngestReport,
    ShardReport,
    TooManyRejectedError,
    UnprocessedError,
)
from footage.ingestion.sources import Source, find
from footage.ingestion.tasks import executor_for, left_to_do, tasks_of
from footage.ingestion.versions import versions
from footage.ingestion.worker import IngestResult, UnitResult, UnitTask, ingest_unit, video_id
from footage.io import files
from footage.io.copies import naming_urls
from footage.keywords import configured
from footage.processes import shards
from footage.processes.executors import Executor
from footage.progress import progress_bar
from footage.sandbox.layers import Sandbox
from footage.sandbox.shortage import with_limits
from footage.store import manifest
from footage.store.description import NAME
from footage.store.gathering import MissingVideosError
from footage.store.places import WORK, Place, place_of
from footage.store.reader import Store
from footage.video.detectors.base import DETECTORS

MOST_FAILURES = 5
"""Stop after this many videos in a row that this machine could not process."""
_MACHINE_HINT = (
    "nothing is recorded for them; free memory, raise the limit that was reached (see `ulimit -a`)"
    " or lower --workers or --limits.memory-bytes, then rerun to resume"
)
_ATTEMPTS = 3
"""Number of attempts for units whose records or parts were damaged before the commit."""
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
log = logging.getLogger(__name__)


def ingest(
    paths: Locations,
    out: Location,
    config: IngestConfig | None = None,
    executor: Executor | None = None,
    **options: Any,  # noqa: ANN401
) -> IngestReport:
    """Decode videos, detect shots, store frames, and add new videos to the store `out`.

    Videos that are already in the store are skipped, so the same call resumes a killed run.

    Args:
        paths: Files, folders (searched recursively) or fsspec URLs.
        out: The store's folder.
        config: Ingest settings.
        executor: Runs the tasks; by default, processes on this machine.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        FootageError: Nothing was found, or more than `max_quarantined_fraction` was quarantined.
        StoreError: The store is damaged, or was created with other settings.
        OutputError: The store cannot be written, or another process is writing it.
    """
    config = configured(config, IngestConfig, options, ingest)
    if config.shard:
        raise ConfigError("ingest ingests all videos, but shard is set", "use ingest_shard")
    DETECTORS.find(config.detector)
    place = place_of(arguments.location(out, "out"))
    sources = find(arguments.locations(paths, "paths"))
    target.check_content(place)
    with naming_urls(), _write_errors(place.path), place.locked():
        place.pull()
        manifest.prepare(place, clean=not config.merge)
        existing = target.existing(place)
        target.check_settings(place, existing, config)
        if config.merge:
            found = left_to_do(place, existing, sources, config)
            shards.check_none_missing(place.path / WORK, list(found.units), found.num_units)
        results, new_videos = _work(place, existing, sources, config, executor)
        place.remove_work()
    return _report(place, results, new_videos, config)


def ingest_shard(
    paths: Locations, out: Location, config: IngestConfig, executor: Executor | None = None
) -> ShardReport:
    """Ingest one share of the videos; `ingest` with `merge` set then lists those of all shards.

    Any number of processes may do this at the same time, also for the same shard: each publishes
    whole units under names that depend on their content.

    Args:
        paths: As in `ingest`, and the same for all shards.
        out: The store's folder.
        config: Ingest settings; `shard` names the share.
        executor: Runs the tasks; by default, processes on this machine.

    Raises:
        FootageError: As in `ingest`.
        MachineError: The machine failed too often; a rerun resumes.
    """
    config = arguments.settings(config, IngestConfig)
    shard = shards.parse_shard(config.shard)
    DETECTORS.find(config.detector)
    place = place_of(arguments.location(out, "out"))
    sources = find(arguments.locations(paths, "paths"))
    with naming_urls(), _write_errors(place.path):
        target.check_content(place)
        place.pull()
        existing = target.existing(place)
        target.check_settings(place, existing, config)
        found = left_to_do(place, existing, sources, config)
        mine = {position: unit for position, unit in found.units.items() if shard.takes(position)}
        tasks = tasks_of(place, found._replace(units=mine), config)
        target.check_space(place, existing, tasks)
        shards.note_count(place.path / WORK, shard.count)
        target.write_settings(place, config)
        results = _run(place, tasks, executor or executor_for(tasks, config)) if tasks else []
    failures = _failures(results)
    return ShardReport(shard=shard, num_videos=len(results) - len(failures), failures=failures)


@contextmanager
def _write_errors(store: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        raise files.cannot_write(store, error.errno) from error


def _work(
    place: Place,
    existing: Store | None,
    sources: Sequence[Source],
    config: IngestConfig,
    executor: Executor | None,
) -> tuple[list[IngestResult], int]:
    """Ingest the units that are left, and write the manifest; repeat units that were damaged."""
    about = manifest.Settings(config.store_settings, dataclasses.asdict(config.limits), versions())
    sandbox: Sandbox | None = None
    for _ in range(_ATTEMPTS):
        found = left_to_do(place, existing, sources, config)
        tasks = tasks_of(place, found, config)
        target.check_space(place, existing, tasks)
        target.write_settings(place, config)
        results = [IngestResult(video) for video in found.unchanged]
        if tasks:
            results += _run(place, tasks, executor or executor_for(tasks, config))
        sandbox = results[-1].sandbox or sandbox
        done = [result.video for result in results if not result.failure]
        try:
            num_new = manifest.commit(place, about, done)
        except MissingVideosError:
            continue
        return [result._replace(sandbox=sandbox) for result in results], num_new
    raise StoreError(
        f"finished videos in '{place.location}/{WORK}' are repeatedly damaged",
        "check the disk, or choose another --out",
    )


def _run(place: Place, tasks: Sequence[UnitTask], executor: Executor) -> list[IngestResult]:
    """Run the tasks; a unit whose worker keeps dying is divided, so that it costs one video."""
    results: list[IngestResult] = []
    num_videos = sum(len(task.sources) for task in tasks)
    num_bytes = sum(task.num_bytes for task in tasks)
    space = None if place.remote else SpaceWatch(place.path, num_bytes)
    num_done = failures = 0
    sandbox: Sandbox | None = None
    with progress_bar(f"ingest 0/{num_videos} videos", total=num_bytes, unit="bytes") as bar:
        for task, unit in _outcomes(tasks, executor):
            for result in unit.results:
                sandbox = sandbox or result.sandbox  # one copy for all
                results.append(result._replace(sandbox=sandbox))
                if not result.only_claimed:  # hostile videos cannot stop an ingest
                    failures = failures + 1 if result.failure else 0
                if failures == MOST_FAILURES:
                    raise _machine_error(f"{failures} videos in a row", result.failure)
            if space is not None:
                space.finished(task.num_bytes, unit.stored_bytes)
            num_done += task.num_bytes
            bar.update(num_done, description=f"ingest {len(results)}/{num_videos} videos")
    return results


def _outcomes(
    tasks: Sequence[UnitTask], executor: Executor
) -> Iterator[tuple[UnitTask, UnitResult]]:
    divided: list[UnitTask] = []
    lost = 0
    for outcome in executor.run(ingest_unit, tasks):
        task: UnitTask = outcome.task
        lost = lost + 1 if outcome.failure else 0
        if lost == MOST_FAILURES:
            raise _machine_error(f"{lost} units in a row", outcome.failure)
        if outcome.failure and len(task.sources) > 1:
            divided += [task._replace(sources=(source,)) for source in task.sources]
        else:
            yield task, outcome.result or _failed(task, outcome.failure)
    for outcome in executor.run(ingest_unit, divided) if divided else ():
        yield outcome.task, outcome.result or _failed(outcome.task, outcome.failure)


def _failed(task: UnitTask, failure: str) -> UnitResult:
    ids = (video_id(one.source.name, "") for one in task.sources)
    return UnitResult(tuple(IngestResult(video, None, failure) for video in ids), 0)


def _machine_error(what: str, reason: str) -> MachineError:
    return MachineError(with_limits(f"{what} could not be processed: {reason}"), _MACHINE_HINT)


def _failures(results: Sequence[IngestResult]) -> list[tuple[str, str]]:
    return [
        (result.video.rpartition("#")[0], result.failure) for result in results if result.failure
    ]


def _report(
    place: Place, results: Sequence[IngestResult], new_videos: int, config: IngestConfig
) -> IngestReport:
    failures = _failures(results)
    what = f"{len(failures)} of {len(results)} videos"
    if failures and not (place.path / NAME).exists():
        raise _machine_error(what, failures[0][1])
    opened = Store.open(place)
    columns = ["video", "status", "reason"]
    rejected = opened.videos.filter(pc.not_equal(opened.videos["status"], "ok"))
    report = IngestReport(
        store=place.location,
        totals=opened.totals,
        rejected=[tuple(row[name] for name in columns) for row in rejected.to_pylist()],
        new_videos=new_videos,
        sandbox=results[0].sandbox,
        failures=failures,
    )
    done = pa.array([result.video for result in results if not result.failure], pa.string())
    is_lost = pc.equal(rejected["status"], "quarantined")
    lost = rejected.filter(pc.and_(is_lost, pc.is_in(rejected["video"], done)))
    if lost.num_rows > config.max_quarantined_fraction * len(results):
        reasons = Counter(lost["reason"].to_pylist()).most_common(3)
        most = "; ".join(f"{count} x {reason}" for reason, count in reasons)
        raise TooManyRejectedError(
            f"{lost.num_rows} of {len(results)} files were quarantined, more than"
            f" {config.max_quarantined_fraction:.0%}: {most}",
            f"the remaining videos are in {place.location}, whose table of videos lists the"
            " reasons; fix the files or raise --max-quarantined-fraction",
            report,
        )
    if failures:
        error = _machine_error(what, failures[0][1])
        raise UnprocessedError(error.message, error.hint, report)
    return report
