"""Pictures from the store: the nearest neighbours of queries, and shots with their cuts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from footage.reporting.retrieval import Answer
from footage.reporting.tables import Section
from footage.reporting.thumbnails import (
    Picture,
    ShownFrame,
    ShownShot,
    ShownVideo,
    thumbnail,
)
from footage.text import clock

HEIGHT: Final = 108
"""Size of pictures in pixels; they are displayed smaller, to be sharp on high-density screens."""

TIMELINE_WIDTH: Final = 1000


class Comparison(NamedTuple):
    """The same queries for a run and for its network with random weights."""

    run: str
    trained: Sequence[Answer]
    untrained: Sequence[Answer]
    num_frames: int
    """Number of frames that were searched."""
    are_held_out: bool
    """Whether the queries come from videos that none of the runs was trained on."""


class StorePictures(NamedTuple):
    """Pictures from the store that the runs were trained on; empty if it cannot be read."""

    totals: Mapping[str, Any]
    sheet: Sequence[ShownVideo]
    comparisons: Sequence[Comparison]
    missing: str
    """Why there are no pictures; empty when there are."""


def without_pictures(reason: str) -> StorePictures:
    """Return no pictures, with the reason."""
    return StorePictures({}, [], [], reason)


# --- nearest neighbours --------------------------------------------------------------------------


class Neighbour(NamedTuple):
    """A picture, its caption, and the video that it comes from."""

    picture: Picture
    caption: str
    video: str


class Query(NamedTuple):
    """A query and its neighbours for both networks, the nearest first."""

    query: Neighbour
    trained: Sequence[Neighbour]
    untrained: Sequence[Neighbour]


class RetrievalView(NamedTuple):
    """Data of `retrieval.html.j2`."""

    reason: str
    """Why there are no queries; empty when there are."""
    num_frames: int
    """Number of frames that were searched."""
    num_stored: int
    """Number of frames in the store."""
    are_held_out: bool
    queries: Mapping[str, Sequence[Query]]
    """Neighbours by run."""


def retrieval_section(pictures: StorePictures) -> Section:
    """For each query, nearest frames of other videos, for the trained and untrained network."""
    answered = [each for each in pictures.comparisons if each.trained]
    reason = pictures.missing or "The store contains frames of one video only."
    view = RetrievalView(
        "" if answered else reason,
        answered[0].num_frames if answered else 0,
        int(pictures.totals.get("frames", 0)),
        bool(answered) and answered[0].are_held_out,
        {each.run: _queries(each) for each in answered},
    )
    return Section("retrieval", "Nearest-neighbour retrieval", "retrieval.html.j2", view)


def _queries(comparison: Comparison) -> list[Query]:
    return [
        Query(
            _neighbour(trained.query, clock(trained.query.seconds)),
            [_neighbour(each.frame, f"{each.similarity:.2f}") for each in trained.found],
            [_neighbour(each.frame, f"{each.similarity:.2f}") for each in untrained.found],
        )
        for trained, untrained in zip(comparison.trained, comparison.untrained, strict=True)
    ]


def _neighbour(frame: ShownFrame, caption: str) -> Neighbour:
    return Neighbour(thumbnail(frame, height=HEIGHT), caption, without_hash(frame.video))


def without_hash(video: str) -> str:
    """Return the id of a video without the hash of its content."""
    return video.rpartition("#")[0] or video


# --- shots ---------------------------------------------------------------------------------------


class Shot(NamedTuple):
    """Pictures of one shot with their times."""

    title: str
    pictures: Sequence[tuple[Picture, str]]


class Video(NamedTuple):
    """One video of the contact sheet."""

    path: str
    facts: str
    cuts: Sequence[float]
    """Positions on the timeline, from 0 to `TIMELINE_WIDTH`."""
    spoken_cuts: str
    shots: Sequence[Shot]


class ShotsView(NamedTuple):
    """Data of `shots.html.j2`."""

    reason: str
    """Why there are no videos; empty when there are."""
    num_trained: int
    """Number of training videos; 0 if it is not recorded."""
    totals: Mapping[str, Any]
    videos: Sequence[Video]


def shots_section(pictures: StorePictures, num_trained: int) -> Section:
    """One row per video: its timeline with the cuts, and frames of its shots."""
    reason = "" if pictures.sheet else pictures.missing or "The store contains no frames."
    view = ShotsView(
        reason, num_trained, pictures.totals, [_video(each) for each in pictures.sheet]
    )
    return Section("shots", "Training videos and detected shots", "shots.html.j2", view)


def _video(video: ShownVideo) -> Video:
    facts = [
        clock(video.seconds),
        _count(video.num_shots, "shot"),
        _count(video.num_frames, "frame"),
    ]
    if len(video.shots) < video.num_shots:
        facts.append(f"first {len(video.shots)} shots shown")
    length = max(video.seconds, 1e-6)
    return Video(
        video.path,
        " · ".join(facts),
        [TIMELINE_WIDTH * cut / length for cut in video.cuts],
        ", ".join(clock(cut) for cut in video.cuts) or "none",
        [_shot(shot) for shot in video.shots],
    )


def _shot(shot: ShownShot) -> Shot:
    return Shot(
        f"shot {shot.shot}: {clock(shot.start_seconds)} to {clock(shot.end_seconds)}",
        [(thumbnail(frame, height=HEIGHT), clock(frame.seconds)) for frame in shot.frames],
    )


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
