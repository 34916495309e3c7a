"""Results of a search: the nearest shots of each query."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from footage.embedding.parts import Failure
from footage.results import Fields, Result, View
from footage.text import clock


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FoundShot:
    """A shot that is near to a query."""

    similarity: float
    """Largest cosine similarity of one of its frames and the query."""
    video: str
    """Id of the video in the store."""
    shot: int
    """Number of the shot in the video, from 0."""
    start_seconds: float
    end_seconds: float
    frame: int
    """Number in the shot of the frame that is most similar to the query."""
    frame_seconds: float
    """Time of that frame in the video."""
    query_seconds: float | None
    """Time in the query video of the frame that is most similar; None for an image."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class QueryResult:
    """The nearest shots of one query, the nearest first."""

    query: str
    shots: list[FoundShot]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class SearchResult(Result):
    """The nearest shots of all queries."""

    model: str
    store: str
    """Path or URL."""
    num_shots: int
    """Number of shots that were searched."""
    num_frames: int
    queries: list[QueryResult]
    failures: list[Failure]
    """Queries that could not be read, or not completely."""
    page: Path | None
    """The HTML page; None if none was requested."""

    def views(self) -> Sequence[View]:
        """Return a table per query, then the sizes of the search."""
        searched = f"{self.num_shots:,} shots, {self.num_frames:,} frames of {self.store}"
        rows: list[tuple[str, object]] = [("searched", searched)]
        rows += [("page", self.page)] if self.page else []
        return [*map(_table, self.queries), Fields(rows)]


def _table(found: QueryResult) -> Table:
    table = Table(title=found.query, title_justify="left", box=None, pad_edge=False)
    is_video = any(shot.query_seconds is not None for shot in found.shots)
    for name in ("similarity", "start", "end", "frame", *["query"] * is_video):
        table.add_column(name, justify="right")
    table.add_column("video", overflow="fold")
    for shot in found.shots:
        times = [shot.start_seconds, shot.end_seconds, shot.frame_seconds]
        times += [shot.query_seconds] if shot.query_seconds is not None else []
        table.add_row(f"{shot.similarity:.3f}", *map(clock, times), shot.video)
    return table
