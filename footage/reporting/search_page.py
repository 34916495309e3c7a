"""The page of a search: each query with pictures of its nearest shots."""

import base64
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from footage.reporting.rendering import render_page
from footage.reporting.similar_shots import SimilarShot, similar_shot
from footage.reporting.thumbnails import Picture, ShownFrame
from footage.retrieval.queries import PICTURE_SIZE, Query
from footage.retrieval.results import FoundShot, SearchResult
from footage.text import clock


class ShownQuery(NamedTuple):
    """A query with its nearest shots."""

    name: str
    picture: Picture
    time: str
    shots: Sequence[SimilarShot]


def search_page(
    result: SearchResult, queries: Sequence[Query], pictures: Iterable[Iterable[bytes]]
) -> str:
    """Render the page of a search.

    Args:
        result: The result.
        queries: Its queries, in the same order.
        pictures: JPEG bytes of the frame of each shot, by query.
    """
    return render_page(
        "search.html.j2",
        model=result.model,
        store=result.store,
        num_shots=result.num_shots,
        num_frames=result.num_frames,
        queries=[
            ShownQuery(
                found.query,
                *_query(query, found.shots),
                [_shot(shot, jpeg) for shot, jpeg in zip(found.shots, jpegs, strict=True)],
            )
            for found, query, jpegs in zip(result.queries, queries, pictures, strict=True)
        ],
    )


def _query(query: Query, shots: Sequence[FoundShot]) -> tuple[Picture, str]:
    """The image, or the frame of a video that is most similar to the nearest shot."""
    seconds = shots[0].query_seconds if shots else None
    place = query.seconds.index(seconds)
    source = base64.b64encode(query.pictures[place]).decode("ascii")
    picture = Picture(f"data:image/jpeg;base64,{source}", query.name, PICTURE_SIZE, PICTURE_SIZE)
    return picture, f" at {clock(seconds)}" if seconds is not None else ""


def _shot(shot: FoundShot, jpeg: bytes) -> SimilarShot:
    frame = ShownFrame(shot.video, shot.shot, shot.frame_seconds, jpeg)
    at = f" (at {clock(shot.query_seconds)} of the query)" if shot.query_seconds is not None else ""
    return similar_shot(shot, frame, note=at)
