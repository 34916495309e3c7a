"""Exact search for the shots of a store that are nearest to queries.

The similarity of a shot and a query is the largest cosine similarity between any frame of the
shot and any image or frame of the query.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from footage.evaluation.features import batches
from footage.retrieval.features import Part, Vectors

QUERIES_AT_ONCE: Final = 64
"""Number of queries per pass over the vectors [ours]."""
SIMILARITIES_AT_ONCE: Final = 2**23
"""Number of similarities in memory, 4 bytes each [ours]."""


QueryVectors = Float[np.ndarray, "_ D"]
"""The vectors of one query; their number differs between queries."""


class Match(NamedTuple):
    """A shot, and its frame that is most similar to a query."""

    similarity: float
    """Cosine similarity."""
    row: int
    """Row of the shot in `store.shots`."""
    frame: int
    """Index of the frame in the shot."""
    vector: int
    """Position in the query of the vector that is most similar to the frame."""


class _Candidates(NamedTuple):
    """The nearest shots of a query so far, the nearest first."""

    similarities: Float[np.ndarray, " n"]
    places: list[tuple[int, int]]
    """Number of the part, and number of the shot in it."""


def nearest(parts: Sequence[Part], queries: Sequence[QueryVectors], top: int) -> list[list[Match]]:
    """Return the nearest shots for each query, the nearest first.

    Args:
        parts: The vectors of a store.
        queries: One or more vectors of unit length per query.
        top: Number of shots per query.
    """
    return [
        found
        for group in batches(queries, QUERIES_AT_ONCE)
        for found in _nearest(parts, group, top)
    ]


def _nearest(parts: Sequence[Part], queries: Sequence[QueryVectors], top: int) -> list[list[Match]]:
    best = [_Candidates(np.zeros(0, np.float32), []) for _ in queries]
    for number, part in enumerate(parts):
        similar = np.maximum.reduceat(_similarities(part, queries), part.starts, axis=1)
        best = [_merged(each, number, row, top) for each, row in zip(best, similar, strict=True)]
    return [
        [best_match(parts[number], shot, query) for number, shot in each.places]
        for each, query in zip(best, queries, strict=True)
    ]


def _similarities(part: Part, queries: Sequence[QueryVectors]) -> Float[np.ndarray, "Q frames"]:
    """Compute the similarity of every frame of a part to each query."""
    vectors, every = part.vectors(), np.concatenate(queries)
    firsts = np.cumsum([0, *map(len, queries[:-1])])
    found = np.empty((len(queries), part.num_frames), np.float32)
    rows = max(1, SIMILARITIES_AT_ONCE // max(every.shape))
    for start in range(0, part.num_frames, rows):
        some = np.asarray(vectors[start : start + rows], np.float32)
        found[:, start : start + rows] = np.maximum.reduceat(every @ some.T, firsts, axis=0)
    return found


def _merged(
    best: _Candidates, number: int, similar: Float[np.ndarray, " n"], top: int
) -> _Candidates:
    shots = np.arange(len(similar))
    if len(similar) > top:
        shots = np.sort(np.argpartition(-similar, top - 1)[:top])
    similarities = np.concatenate([best.similarities, similar[shots]])
    places = [*best.places, *((number, shot) for shot in shots.tolist())]
    order = np.argsort(-similarities, kind="stable")[:top]
    return _Candidates(similarities[order], [places[place] for place in order])


def best_match(part: Part, shot: int, query: Vectors) -> Match:
    """Find the two most similar frames of a shot and a query.

    Args:
        part: The part of the store that contains the shot.
        shot: Number of the shot in the part.
        query: The vectors of the query.
    """
    start = int(part.starts[shot])
    end = int(part.starts[shot + 1]) if shot + 1 < len(part.starts) else part.num_frames
    similar = np.asarray(part.vectors()[start:end], np.float32) @ query.T
    frame, vector = np.unravel_index(int(similar.argmax()), similar.shape)
    similarity = float(similar[frame, vector])
    return Match(min(similarity, 1.0), int(part.rows[shot]), int(frame), int(vector))
