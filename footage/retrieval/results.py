"""Results: the nearest shots of queries, and groups of near-duplicate shots."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from footage.embedding.parts import Failure
from footage.results import Fields, Result, View
from footage.text import clock, one_line


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FoundShot:
    """A shot that is similar to a query."""

    similarity: float
    """Largest cosine similarity between one of its frames and the query."""
    video: str
    """Id of the video in the store."""
    shot: int
    """Number of the shot in the video, from 0."""
    start_seconds: float
    end_seconds: float
    frame: int
    """Number, within the shot, of the frame that is most similar to the query."""
    frame_seconds: float
    """Time of that frame in the video."""
    query_seconds: float | None
    """Time of the most similar frame in the query video; None for an image."""


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
    """Queries that could not be read completely."""
    page: Path | None
    """The HTML page; None if none was requested."""

    def views(self) -> Sequence[View]:
        """Return a table per query, then the sizes of the search."""
        searched = _searched(self.num_shots, self.num_frames, self.store)
        rows: list[tuple[str, object]] = [("searched", searched)]
        rows += [("page", self.page)] if self.page else []
        shown: list[View] = []
        for found in self.queries:
            shown += [one_line(found.query), _table(found)]
        return [*shown, Fields(rows)]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateShot:
    """A shot of a group of near-duplicates."""

    video: str
    """Id of the video in the store."""
    shot: int
    """Number of the shot in the video, from 0."""
    start_seconds: float
    end_seconds: float
    similarity: float
    """Largest cosine similarity between one of its frames and one of another shot in the group."""
    frame: int
    """Number of that frame within the shot."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DuplicatesResult(Result):
    """Groups of near-duplicate shots, the largest first."""

    store: str
    """Path or URL."""
    model: str
    """The model whose features were compared; empty for the descriptor of near-duplicates."""
    threshold: float
    """Minimum cosine similarity of near-duplicate frames."""
    num_shots: int
    """Number of shots that were compared."""
    num_frames: int
    groups: list[list[DuplicateShot]]
    num_shown: int
    """Number of groups in the table and on the page."""
    page: Path | None
    """The HTML page; None if none was requested."""

    @property
    def num_duplicates(self) -> int:
        """Number of shots in all groups."""
        return sum(map(len, self.groups))

    def views(self) -> Sequence[View]:
        """Return a table of the largest groups, then the totals."""
        rows: list[tuple[str, object]] = [
            ("compared", _searched(self.num_shots, self.num_frames, self.store)),
            ("duplicates", self.summary()),
        ]
        rows += [("page", self.page)] if self.page else []
        return [*([_groups(self.groups[: self.num_shown])] if self.groups else []), Fields(rows)]

    def summary(self) -> str:
        """Return the number of shots and groups as a phrase."""
        count, groups = self.num_duplicates, len(self.groups)
        share = 100 * count / max(self.num_shots, 1)
        text = f"{count:,} shots ({share:.1f}%) in {groups:,} group{'s' * (groups != 1)}"
        if groups > self.num_shown:
            text += f"; showing the largest {self.num_shown}"
        return text


def _groups(groups: Sequence[Sequence[DuplicateShot]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("group", "similarity", "start", "end"):
        table.add_column(name, justify="right")
    table.add_column("video", overflow="fold")
    for number, group in enumerate(groups, start=1):
        for shot in group:
            span = clock(shot.start_seconds), clock(shot.end_seconds)
            table.add_row(str(number), f"{shot.similarity:.3f}", *span, shot.video)
    return table


def _searched(num_shots: int, num_frames: int, store: str) -> str:
    return f"{num_shots:,} shots, {num_frames:,} frames of {store}"


def _table(found: QueryResult) -> Table:
    table = Table(box=None, pad_edge=False)
    is_video = any(shot.query_seconds is not None for shot in found.shots)
    for name in ("similarity", "start", "end", "frame", *["query"] * is_video):
        table.add_column(name, justify="right")
    table.add_column("video", overflow="fold")
    for shot in found.shots:
        times = [shot.start_seconds, shot.end_seconds, shot.frame_seconds]
        times += [shot.query_seconds] if shot.query_seconds is not None else []
        table.add_row(f"{shot.similarity:.3f}", *map(clock, times), shot.video)
    return table
