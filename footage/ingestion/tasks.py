"""The remaining tasks of an ingest, and the executor that runs them."""

import dataclasses
from collections.abc import Sequence

from footage.ingestion import planning
from footage.ingestion.config import IngestConfig
from footage.ingestion.sources import Source
from footage.ingestion.worker import UnitTask
from footage.io.remote import is_url
from footage.processes import interpreters
from footage.processes.executors import EXECUTORS, Executor, ExecutorSettings
from footage.sandbox import policy
from footage.store.places import Place
from footage.store.reader import Store
from footage.store.records import finished_units
from footage.store.sources import read_stamps


def tasks_of(place: Place, found: planning.Plan, config: IngestConfig) -> list[UnitTask]:
    """Return a task for each remaining unit."""
    store = place.location if place.remote else str(place.path.absolute())
    return [
        UnitTask(
            unit,
            store,
            config.extraction,
            config.detector,
            config.limits,
            config.require_sandbox or policy.requires_all(),
        )
        for unit in found.units.values()
    ]


def executor_for(tasks: Sequence[UnitTask], config: IngestConfig) -> Executor:
    """Return an executor; its workers get environment variables (credentials) only for URLs."""
    is_remote = any(is_url(task.store) or one.source.url for task in tasks for one in task.sources)
    environment = None if is_remote else interpreters.minimal_environment()
    settings = ExecutorSettings(
        workers=min(config.workers, len(tasks)),
        environment=environment,
        ray_address=config.ray_address,
    )
    return EXECUTORS.find(config.executor)(settings)


def left_to_do(
    place: Place,
    existing: Store | None,
    sources: Sequence[Source],
    config: IngestConfig,
    copies_of: planning.Copies | None = None,
    *,
    changes_nothing: bool = False,
) -> planning.Plan:
    """Plan the remaining work.

    Videos quarantined under other limits, or because they could not be fetched, are retried.

    Args:
        place: The store.
        existing: The existing store; None for a new one.
        sources: All sources, sorted by name.
        config: Ingest settings.
        copies_of: Finds duplicates; see `planning.plan`.
        changes_nothing: Keep damaged records instead of removing them.
    """
    limits = dataclasses.asdict(config.limits)
    stored: planning.Known = {}
    if existing:
        stored = planning.known_videos(
            existing.videos,
            read_stamps(place.path),
            retry_quarantined=existing.description.limits != limits,
        )
    finished: dict[str, list[planning.KnownVideo]] = {}
    for unit in finished_units(place, keeps_damaged=changes_nothing):
        other = unit.unit.limits != limits
        for name, videos in planning.known_videos(
            unit.videos, unit.stamps, retry_quarantined=other
        ).items():
            finished.setdefault(name, []).extend(videos)
    return planning.plan(sources, stored, finished, copies_of)
