"""The page of near-duplicates: pictures of the largest groups of shots."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from footage.reporting.rendering import render_page
from footage.reporting.similar_shots import SimilarShot, similar_shot
from footage.reporting.thumbnails import ShownFrame
from footage.retrieval.results import DuplicatesResult

SHOTS_PER_GROUP: Final = 24
"""Maximum number of shots that are shown per group."""


class Group(NamedTuple):
    """The first shots of a group."""

    num_shots: int
    shots: Sequence[SimilarShot]


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
            Group(len(group), list(map(similar_shot, group, frames)))
            for group, frames in zip(result.groups, pictures, strict=False)
        ],
    )
