"""Find groups of near-duplicate shots by comparing the frames of a store with each other.

Two shots are near-duplicates if the cosine similarity between any of their frames reaches a
threshold. Groups are the connected components of this relation. Every frame is compared with every
other, or, in a large store, with the frames that an index proposes. Memory grows with the number of
shots and frames, never with the number of pairs.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from footage.retrieval.features import Part
from footage.retrieval.frames import Frames, Numbers
from footage.retrieval.index import Index

FRAMES_AT_ONCE: Final = 4096
"""Number of frames that are compared with the same number of others at once [ours]."""
SEARCHED_AT_ONCE: Final = 128
"""Number of frames that are looked up in an index at once [ours]."""
PAIRS_AT_ONCE: Final = 1 << 18
"""Number of proposed pairs that are compared exactly at once [ours]."""


class Duplicate(NamedTuple):
    """A shot of a group, and its frame that is most similar to another shot of the group."""

    row: int
    """Row of the shot in `store.shots`."""
    frame: int
    """Index of the frame in the shot."""
    similarity: float
    """Cosine similarity."""


def find_groups(
    parts: Sequence[Part],
    videos: Numbers,
    threshold: float,
    *,
    within_videos: bool,
    approximate: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> list[list[Duplicate]]:
    """Return groups of near-duplicate shots, the largest first, each in order of the rows.

    Args:
        parts: The vectors of a store.
        videos: Number of the video of each shot.
        threshold: Minimum cosine similarity of near-duplicates.
        within_videos: Whether shots of the same video can be near-duplicates.
        approximate: Whether an index proposes the frames to compare; it may miss some.
        advance: Called with the number of frames that were compared with all others.

    Raises:
        ConfigError: The index needs faiss, which is not installed.
        OutputError: The index cannot be written to the cache.
    """
    if not parts:
        return []
    frames = Frames(parts)
    groups = Groups(len(videos), frames)
    identity = np.arange(len(videos)) if within_videos else videos
    add = functools.partial(groups.add, identity=identity)
    if approximate:
        _add_proposed(parts, frames, identity, threshold, add, advance)
    else:
        _add_all(frames, threshold, add, advance)
    return groups.found()


def _add_all(
    frames: Frames, threshold: float, add: Callable[..., None], advance: Callable[[int], None]
) -> None:
    """Compare every frame with every other."""
    for first in range(0, len(frames), FRAMES_AT_ONCE):
        some = frames.vectors(first, first + FRAMES_AT_ONCE)
        for second in range(first, len(frames), FRAMES_AT_ONCE):
            similar = some @ frames.vectors(second, second + FRAMES_AT_ONCE).T
            near = similar >= threshold
            if first == second:
                near = np.triu(near, 1)
            rows, columns = np.nonzero(near)
            add(first + rows, second + columns, similar[rows, columns])
        advance(len(some))


def _add_proposed(
    parts: Sequence[Part],
    frames: Frames,
    identity: Numbers,
    threshold: float,
    add: Callable[..., None],
    advance: Callable[[int], None],
) -> None:
    """Compare every frame with those that the index proposes."""
    index, identities = Index(parts), identity[frames.shots]
    for start in range(0, len(frames), SEARCHED_AT_ONCE):
        some = frames.vectors(start, start + SEARCHED_AT_ONCE)
        rows, others = index.near(some, threshold)
        kept = identities[start + rows] != identities[others]
        rows, others = rows[kept], others[kept]
        for begin in range(0, len(rows), PAIRS_AT_ONCE):
            pairs = slice(begin, begin + PAIRS_AT_ONCE)
            similar = np.einsum("nd,nd->n", some[rows[pairs]], frames.at(others[pairs]))
            near = similar >= threshold
            add(start + rows[pairs][near], others[pairs][near], similar[near])
        advance(len(some))


class Groups:
    """Connected shots, and the best match of each: a disjoint-set forest over all shots."""

    def __init__(self, num_shots: int, frames: Frames) -> None:
        self._frames = frames
        self._parents = np.arange(num_shots)
        self._best = np.full(num_shots, -np.inf, np.float32)
        self._frame_of = np.zeros(num_shots, np.int64)

    def add(
        self,
        first: Numbers,
        second: Numbers,
        similarities: Float[np.ndarray, " n"],
        identity: Int[np.ndarray, " shots"],
    ) -> None:
        """Add pairs of similar frames; pairs of shots with the same identity are ignored."""
        left, right = self._frames.shots[first], self._frames.shots[second]
        kept = identity[left] != identity[right]
        if not kept.any():
            return
        left, right, similarities = left[kept], right[kept], similarities[kept]
        self._note(left, first[kept], similarities)
        self._note(right, second[kept], similarities)
        roots = np.sort([self._roots(left), self._roots(right)], axis=0)
        for low, high in np.unique(roots[:, roots[0] != roots[1]], axis=1).T.tolist():
            low, high = sorted((self._root(low), self._root(high)))
            self._parents[high] = low

    def _note(self, shots: Numbers, frames: Numbers, similarities: Float[np.ndarray, " n"]) -> None:
        """Keep the best match of each shot; the first one wins a tie."""
        before = self._best[shots]
        np.maximum.at(self._best, shots, similarities)
        better = (similarities == self._best[shots]) & (similarities > before)
        self._frame_of[shots[better][::-1]] = frames[better][::-1]

    def _roots(self, shots: Numbers) -> Numbers:
        roots: Numbers = self._parents[shots]
        while not np.array_equal(roots, above := self._parents[roots]):
            roots = above
        return roots

    def _root(self, shot: int) -> int:
        while (parent := int(self._parents[shot])) != shot:
            shot = parent
        return shot

    def found(self) -> list[list[Duplicate]]:
        """Return the groups, the largest first."""
        rows = np.flatnonzero(np.isfinite(self._best))
        groups: dict[int, list[Duplicate]] = {}
        for row, root in zip(rows.tolist(), self._roots(rows).tolist(), strict=True):
            frame = self._frames.index(int(self._frame_of[row]))
            similarity = min(float(self._best[row]), 1.0)
            groups.setdefault(root, []).append(Duplicate(row, frame, similarity))
        return sorted(groups.values(), key=len, reverse=True)
