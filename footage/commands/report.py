"""The command `footage report`: read runs, take pictures from their store, write the page."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footage import arguments
from footage.arguments import Location, Locations
from footage.errors import ConfigError, FootageError, StoreError
from footage.io.copies import on_local_copies
from footage.keywords import configured
from footage.models import load as models
from footage.progress import progress_bar
from footage.reporting import output
from footage.reporting.inputs import (
    Run,
    comparison_files,
    gather,
    gather_comparisons,
    gather_profiles,
    gather_suite_results,
    holds_results,
    is_run,
    profile_files,
)
from footage.reporting.page import page
from footage.reporting.retrieval import Gallery, answers, gallery
from footage.reporting.sections.videos import Comparison, StorePictures, without_pictures
from footage.reporting.thumbnails import contact_sheet
from footage.results import PathResult
from footage.runs import layout
from footage.store.reader import Store

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """Sizes of the page."""

    videos: int = 10
    """Number of training videos shown."""

    frames_per_video: int = 10
    """Frames shown per video."""

    queries: int = 8
    """Number of query frames for nearest-neighbour retrieval."""

    found: int = 5
    """Nearest frames shown per query."""

    searched_frames: int = 400
    """Number of frames to search, including the queries."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise ConfigError(
                    f"{field.name} must be at least 1, got {getattr(self, field.name)}"
                )


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Reported(PathResult):
    """The HTML file of a report."""

    path: Path


@on_local_copies("runs", "out")
def report(
    runs: Locations,
    *,
    out: Location = "report.html",
    config: ReportConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> Reported:
    """Write a self-contained HTML report about runs.

    Pictures are taken from the store of the first run. If the store is missing, the page states
    that and shows the rest.

    Args:
        runs: Run folders; the headline names the first. Also files and folders that `evaluate`
            wrote for other models or for several, and folders that `profile` wrote. Profiles and
            comparisons inside a run's folder are found there.
        out: The HTML file to write.
        config: Settings of the report; the defaults when omitted.
        **options: Settings, by name; see `footage.keywords`.

    Returns:
        The page's path, in a result that can be used as a path.

    Raises:
        CheckpointError: A folder is not one of these, or is damaged.
        OutputError: The page cannot be written.
        ConfigError: No run was given, or `out` is a file that is not a report.
    """
    config = configured(config, ReportConfig, options, report)
    target = arguments.path(out, "out")
    output.check_target(target, "report", "--out")
    paths = [Path(each) for each in arguments.locations(runs, "runs")]
    no_runs = [path for path in paths if not is_run(path)]
    others = [gather_suite_results(path) for path in no_runs if holds_results(path)]
    known = [
        path
        for path in no_runs
        if holds_results(path) or profile_files(path) or comparison_files(path)
    ]
    gathered = gather([path for path in paths if path not in known])
    compared = gather_comparisons(paths)
    if not gathered and not compared:
        raise ConfigError(
            "no run was given",
            "pass at least one run folder, or the output of `footage evaluate A B --out OUT`",
        )
    text = page(gathered, _pictures(gathered, config), others, gather_profiles(paths), compared)
    output.write(target, text)
    return Reported(target)


def _pictures(runs: Sequence[Run], config: ReportConfig) -> StorePictures:
    """Return pictures from the store of the first run on videos, or why there are none."""
    first = next((run for run in runs if run.record["store"]), None)
    if first is None:
        return without_pictures("None of these runs was trained on videos.")
    try:
        return _from_store(first, runs, config)
    except StoreError as error:
        log.warning("no pictures: %s", error)
        return without_pictures(f"The store of {first.name} cannot be read: {error.message}.")


def _from_store(first: Run, runs: Sequence[Run], config: ReportConfig) -> StorePictures:
    store = Store.open(first.record["store"])
    if store.content_hash != first.record["store_hash"]:
        log.warning("the store at %s has changed since %s was trained", store.path, first.name)
    sheet = contact_sheet(
        store,
        set(first.record["held_out"]),
        num_videos=config.videos,
        frames_per_video=config.frames_per_video,
    )
    # All runs get the same queries, so no run may have been trained on them.
    held_out = set.intersection(
        *(set(run.record["held_out"]) for run in runs if run.record["store"])
    )
    searched = gallery(
        store, sorted(held_out), num_queries=config.queries, num_frames=config.searched_frames
    )
    return StorePictures(store.totals, sheet, _comparisons(runs, searched, config.found), "")


def _comparisons(runs: Sequence[Run], searched: Gallery, num_found: int) -> list[Comparison]:
    comparisons = []
    with progress_bar("report", total=2 * len(runs), unit="networks") as bar:
        for number, run in enumerate(runs):
            bar.update(2 * number, description=f"report: frames of {run.name}")
            trained = _load(run)
            if trained is None:
                continue
            found = answers(trained, searched, num_found=num_found)
            bar.advance()
            untrained = models.untrained(trained, seed=int(run.record["seed"]))
            baseline = answers(untrained, searched, num_found=num_found)
            if any(answer.found for answer in found):
                comparisons.append(
                    Comparison(
                        run.name, found, baseline, len(searched.frames), searched.are_held_out
                    )
                )
    return comparisons


def _load(run: Run) -> models.Model | None:
    """Return the run's model; None before its first checkpoint."""
    if not (run.path / layout.CHECKPOINTS).is_dir():
        return None
    try:
        return models.load(str(run.path))
    except FootageError as error:
        log.warning("no retrieval for %s: %s", run.name, error)
        return None
