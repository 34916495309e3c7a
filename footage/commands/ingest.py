"""The command `footage ingest`: decode videos into a frame store, and report the results."""

import dataclasses
import errno
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, overload

import pyarrow as pa
import pyarrow.compute as pc

from footage import arguments
from footage.arguments import Location, Locations
from footage.commands.ingest_dry_run import dry_run as measured
from footage.commands.requirements import Requirements
from footage.errors import MachineError, StoreError
from footage.ingestion import target
from footage.ingestion.config import IngestConfig
from footage.ingestion.disk_space import SpaceWatch
from footage.ingestion.report import (
    IngestReport,
    ShardReport,
    TooManyRejectedError,
    UnprocessedError,
)
from footage.ingestion.results import Results
from footage.ingestion.source_table import SourceTable
from footage.ingestion.sources import find
from footage.ingestion.tasks import UnitTasks, executor_for, left_to_do, tasks_of
from footage.ingestion.versions import versions
from footage.ingestion.worker import IngestResult, UnitResult, UnitTask, ingest_unit, video_id
from footage.io import files
from footage.io.copies import naming_urls
from footage.keywords import configured
from footage.processes import shards
from footage.processes.executors import Executor, Outcome
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


@overload
def ingest(
    paths: Locations,
    out: Location,
    *,
    dry_run: Literal[True],
    **options: Any,  # noqa: ANN401
) -> Requirements: ...
@overload
def ingest(
    paths: Locations,
    out: Location,
    *,
    shard: str,
    **options: Any,  # noqa: ANN401
) -> ShardReport: ...
@overload
def ingest(
    paths: Locations,
    out: Location,
    config: IngestConfig | None = None,
    executor: Executor | None = None,
    **options: Any,  # noqa: ANN401
) -> IngestReport: ...
def ingest(
    paths: Locations,
    out: Location,
    config: IngestConfig | None = None,
    executor: Executor | None = None,
    *,
    dry_run: bool = False,
    **options: Any,
) -> IngestReport | ShardReport | Requirements:
    """Decode videos, detect shots, store frames, and add new videos to the store `out`.

    Videos that are already in the store are skipped, so the same call resumes a killed run. With
    the setting `shard`, only one share of the videos is decoded; see `ingest_shard`.

    Args:
        paths: Files, folders (searched recursively) or fsspec URLs.
        out: The store's folder.
        config: Ingest settings.
        executor: Runs the tasks; by default, processes on this machine.
        dry_run: Decode a sample and return time and disk space; write nothing.
        **options: Settings, by name; see `footage.keywords`.

    Raises:
        FootageError: Nothing was found, or more than `max_quarantined_fraction` was quarantined.
        StoreError: The store is damaged, or was created with other settings.
        OutputError: The store cannot be written, or another process is writing it.
    """
    config = configured(config, IngestConfig, options, ingest)
    if dry_run:
        return measured(paths, out, config, executor=executor)
    if config.shard:
        return ingest_shard(paths, out, config, executor)
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
            missing = found.positions.tolist()
            shards.check_none_missing(place.path / WORK, missing, found.num_units)
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
        tasks = tasks_of(place, found.of_shard(shard), config)
        target.check_space(place, existing, tasks.num_bytes)
        shards.note_count(place.path / WORK, shard.count)
        target.write_settings(place, config)
        results = Results()
        _run(place, tasks, executor, config, results)
    return ShardReport(shard=shard, num_videos=results.num_done, failures=results.failures)


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
    sources: SourceTable,
    config: IngestConfig,
    executor: Executor | None,
) -> tuple[Results, int]:
    """Ingest the units that are left, and write the manifest; repeat units that were damaged."""
    about = manifest.Settings(config.store_settings, dataclasses.asdict(config.limits), versions())
    sandbox: Sandbox | None = None
    for _ in range(_ATTEMPTS):
        found = left_to_do(place, existing, sources, config)
        tasks = tasks_of(place, found, config)
        target.check_space(place, existing, tasks.num_bytes)
        target.write_settings(place, config)
        results = Results(found.unchanged, sandbox)
        _run(place, tasks, executor, config, results)
        sandbox = results.sandbox
        try:
            return results, manifest.commit(place, about, results.done())
        except MissingVideosError:
            continue
    raise StoreError(
        f"finished videos in '{place.location}/{WORK}' are repeatedly damaged",
        "check the disk, or choose another --out",
    )


def _run(
    place: Place,
    tasks: UnitTasks,
    executor: Executor | None,
    config: IngestConfig,
    results: Results,
) -> None:
    """Run the tasks; a unit whose worker keeps dying is divided, so that it costs one video."""
    if not tasks.num_units:
        return
    executor = executor or executor_for(tasks.num_units, config, is_remote=tasks.is_remote)
    space = None if place.remote else SpaceWatch(place.path, tasks.num_bytes)
    num_bytes = num_videos = failures = 0
    with progress_bar(_progress(0, tasks), total=tasks.num_bytes, unit="bytes") as bar:
        for task, unit in _outcomes(tasks, executor):
            for result in unit.results:
                results.add(result)
                if not result.only_claimed:  # hostile videos cannot stop an ingest
                    failures = failures + 1 if result.failure else 0
                if failures == MOST_FAILURES:
                    raise _machine_error(f"{failures} videos in a row", result.failure)
            if space is not None:
                space.finished(task.num_bytes, unit.stored_bytes)
            num_videos += len(unit.results)
            num_bytes += task.num_bytes
            bar.update(num_bytes, description=_progress(num_videos, tasks))


def _progress(num_videos: int, tasks: UnitTasks) -> str:
    return f"ingest {num_videos}/{tasks.num_videos} videos"


def _outcomes(tasks: UnitTasks, executor: Executor) -> Iterator[tuple[UnitTask, UnitResult]]:
    """Yield the result of each task, or of a task for each of its videos.

    The videos of a unit whose worker keeps dying get a task each. A video whose worker still dies
    is tried once more while nothing else runs, and then quarantined, provided that the machine
    could process any other video.
    """
    works = len(tasks.plan.unchanged) > 0
    waiting = tasks.tasks()
    for divides in (True, False):
        lost = []
        for outcome in _attempted(waiting, executor):
            if outcome.failure:
                lost.append(outcome.task)
            else:
                works = True
                yield outcome.task, outcome.result
        waiting = iter(_divided(lost) if divides else lost)
    for task in waiting:
        (outcome,) = _attempted([task], executor)
        if outcome.failure and works:
            reason = outcome.failure
            (outcome,) = _attempted([task._replace(quarantine_reason=reason)], executor)
        yield task, outcome.result or _failed(task, outcome.failure)


def _attempted(tasks: Iterable[UnitTask], executor: Executor) -> Iterator[Outcome]:
    """Run tasks until too many are lost in a row."""
    lost = 0
    for outcome in executor.run(ingest_unit, tasks):
        lost = lost + 1 if outcome.failure else 0
        if lost == MOST_FAILURES:
            raise _machine_error(f"{lost} tasks in a row", outcome.failure)
        yield outcome


def _divided(tasks: Iterable[UnitTask]) -> list[UnitTask]:
    """Return a task for each video."""
    return [task._replace(sources=(one,)) for task in tasks for one in task.sources]


def _failed(task: UnitTask, failure: str) -> UnitResult:
    ids = (video_id(one.source.name, "") for one in task.sources)
    return UnitResult(tuple(IngestResult(video, None, failure) for video in ids), 0)


def _machine_error(what: str, reason: str) -> MachineError:
    return MachineError(with_limits(f"{what} could not be processed: {reason}"), _MACHINE_HINT)


def _report(place: Place, results: Results, new_videos: int, config: IngestConfig) -> IngestReport:
    failures = results.failures
    what = f"{len(failures)} of {results.num_videos} videos"
    if failures and not (place.path / NAME).exists():
        raise _machine_error(what, failures[0][1])
    opened = Store.open(place)
    columns = ["video", "status", "reason"]
    is_rejected = pc.not_equal(opened.videos["status"], "ok")
    rejected = opened.videos.select(columns).filter(is_rejected)
    report = IngestReport(
        store=place.location,
        totals=opened.totals,
        rejected=[tuple(row[name] for name in columns) for row in rejected.to_pylist()],
        new_videos=new_videos,
        sandbox=results.sandbox,
        failures=failures,
    )
    is_lost = pc.equal(rejected["status"], "quarantined")
    is_done = pc.is_in(rejected["video"].cast(pa.large_string()), value_set=results.done())
    lost = rejected.filter(pc.and_(is_lost, is_done))
    if lost.num_rows > config.max_quarantined_fraction * results.num_videos:
        reasons = Counter(lost["reason"].to_pylist()).most_common(3)
        most = "; ".join(f"{count} x {reason}" for reason, count in reasons)
        raise TooManyRejectedError(
            f"{lost.num_rows} of {results.num_videos} files were quarantined, more than"
            f" {config.max_quarantined_fraction:.0%}: {most}",
            f"the remaining videos are in {place.location}, whose table of videos lists the"
            " reasons; fix the files or raise --max-quarantined-fraction",
            report,
        )
    if failures:
        error = _machine_error(what, failures[0][1])
        raise UnprocessedError(error.message, error.hint, report)
    return report
