"""Shots with their similarity, as the pages of searches and of near-duplicates show them."""

from typing import NamedTuple

from footage.reporting.sections.videos import HEIGHT, without_hash
from footage.reporting.thumbnails import Picture, ShownFrame, thumbnail
from footage.retrieval.results import DuplicateShot, FoundShot
from footage.text import clock


class SimilarShot(NamedTuple):
    """A shot on a page."""

    picture: Picture
    caption: str
    title: str
    video: str


def similar_shot(
    shot: FoundShot | DuplicateShot, frame: ShownFrame, *, note: str = ""
) -> SimilarShot:
    """Show a shot by its most similar frame.

    Args:
        shot: The shot.
        frame: The frame.
        note: Addition to the title, after the time of the frame.
    """
    return SimilarShot(
        thumbnail(frame, height=HEIGHT),
        f"{shot.similarity:.3f} · {clock(shot.start_seconds)}–{clock(shot.end_seconds)}",
        f"{shot.video}, shot {shot.shot}, frame at {clock(frame.seconds)}{note}",
        without_hash(shot.video),
    )
