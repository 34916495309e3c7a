"""The remaining tasks of an ingest, and the executor that runs them."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from footage.ingestion import known_videos, planning
from footage.ingestion.config import IngestConfig
from footage.ingestion.duplicates import duplicates
from footage.ingestion.source_table import SourceTable
from footage.ingestion.worker import UnitTask
from footage.processes import interpreters
from footage.processes.executors import EXECUTORS, Executor, ExecutorSettings
from footage.sandbox import policy
from footage.store.places import Place
from footage.store.reader import Store
from footage.store.records import finished_units
from footage.store.sources import read_stamps


class UnitTasks(NamedTuple):
    """A task for each remaining unit, which is made when an executor asks for it."""

    plan: planning.Plan
    shared: UnitTask
    """A task without sources."""
    is_remote: bool
    """Whether the store or a source is behind a URL."""

    @property
    def num_units(self) -> int:
        """Number of tasks."""
        return len(self.plan.positions)

    @property
    def num_videos(self) -> int:
        """Number of files in all tasks."""
        return len(self.plan.units.rows)

    @property
    def num_bytes(self) -> int:
        """Size of all files."""
        return int(self.plan.sources.num_bytes[self.plan.units.rows].sum())

    def tasks(self) -> Iterator[UnitTask]:
        """Yield the tasks."""
        for sources in self.plan.tasks():
            yield self.shared._replace(sources=sources)


def tasks_of(place: Place, plan: planning.Plan, config: IngestConfig) -> UnitTasks:
    """Return the tasks for the remaining units."""
    shared = UnitTask(
        (),
        place.location if place.remote else str(place.path.absolute()),
        config.extraction,
        config.detector,
        config.limits,
        config.require_sandbox or policy.requires_all(),
    )
    return UnitTasks(plan, shared, place.remote is not None or has_urls(plan))


def has_urls(plan: planning.Plan) -> bool:
    """Return whether a remaining source is behind a URL."""
    urls = plan.sources.table["url"].take(pa.array(plan.units.rows))
    return bool(pc.any(pc.not_equal(urls, ""), min_count=0).as_py())


def executor_for(num_tasks: int, config: IngestConfig, *, is_remote: bool) -> Executor:
    """Return an executor; its workers get environment variables (credentials) only for URLs."""
    settings = ExecutorSettings(
        workers=min(config.workers, num_tasks),
        environment=None if is_remote else interpreters.minimal_environment(),
        ray_address=config.ray_address,
    )
    return EXECUTORS.find(config.executor)(settings)


def left_to_do(
    place: Place,
    existing: Store | None,
    sources: SourceTable,
    config: IngestConfig,
    copies_of: planning.Copies = duplicates,
    *,
    changes_nothing: bool = False,
) -> planning.Plan:
    """Plan the remaining work.

    Videos quarantined under other limits, or because they could not be fetched, are retried, and
    all quarantined ones on request.

    Args:
        place: The store.
        existing: The existing store; None for a new one.
        sources: All sources, sorted by name.
        config: Ingest settings.
        copies_of: Finds duplicates; see `planning.plan`.
        changes_nothing: Keep damaged records instead of removing them.
    """
    limits = dataclasses.asdict(config.limits)
    stored = known_videos.SCHEMA.empty_table()
    if existing:
        stored = known_videos.known_videos(
            existing.videos,
            read_stamps(place.path),
            retry_quarantined=config.retry_quarantined or existing.description.limits != limits,
        )
    finished = known_videos.joined(
        known_videos.known_videos(
            unit.videos, unit.stamps, retry_quarantined=unit.unit.limits != limits
        )
        for unit in finished_units(place, keeps_damaged=changes_nothing)
    )
    return planning.plan(sources, stored, finished, copies_of)
