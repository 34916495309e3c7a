"""The page of near-duplicates: pictures of the largest groups of shots."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from footage.reporting.rendering import render_page
from footage.reporting.sections.videos import HEIGHT, without_hash
from footage.reporting.thumbnails import Picture, ShownFrame, thumbnail
from footage.retrieval.results import DuplicateShot, DuplicatesResult
from footage.text import clock

SHOTS_PER_GROUP: Final = 24
"""Maximum number of shots that are shown per group."""


class Shot(NamedTuple):
    """A shot of a group."""

    picture: Picture
    caption: str
    title: str
    video: str


class Group(NamedTuple):
    """The first shots of a group."""

    num_shots: int
    shots: Sequence[Shot]


def duplicates_page(result: DuplicatesResult, pictures: Iterable[Iterable[ShownFrame]]) -> str:
    """Render the page of near-duplicates.

    Args:
        result: The result.
        pictures: The most similar frame of the first shots of each shown group.
    """
    return render_page(
        "duplicates.html.j2",
        store=result.store,
        model=result.model,
        threshold=result.threshold,
        num_shots=result.num_shots,
        num_frames=result.num_frames,
        summary=result.summary(),
        groups=[
            Group(len(group), [_shot(*each) for each in zip(group, frames, strict=False)])
            for group, frames in zip(result.groups, pictures, strict=False)
        ],
    )


def _shot(shot: DuplicateShot, frame: ShownFrame) -> Shot:
    span = f"{clock(shot.start_seconds)}–{clock(shot.end_seconds)}"
    return Shot(
        thumbnail(frame, height=HEIGHT),
        f"{shot.similarity:.3f} · {span}",
        f"{shot.video}, shot {shot.shot}, frame at {clock(frame.seconds)}",
        without_hash(shot.video),
    )
