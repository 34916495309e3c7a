"""Turn raw boundaries into shots, and select the sampled frames that belong to exactly one shot.

`ShotBuilder` merges boundaries that lie too close together, drops sampled frames near any of them,
and returns the others as soon as they are final:

    raw boundaries   |          | |                    |
    shots            0          1                      2
    sampled           ffffffff      ffffffffffffffffff   fffff
"""

import collections
from typing import Any, NamedTuple

import numpy as np

from footage.video.detectors.base import Boundary


class Shot(NamedTuple):
    """One detected shot; `score` is that of its start boundary, or 1 for the first shot."""

    start_seconds: float
    end_seconds: float
    score: float


class Placed(NamedTuple):
    """A kept frame: the index of its shot, its index in the shot, and the offered item."""

    shot: int
    number: int
    seconds: float
    item: Any


class _Cluster(NamedTuple):
    """Raw boundaries that count as one; `best` has the highest score."""

    begin_seconds: float
    end_seconds: float
    best: Boundary
    size: int


class ShotBuilder:
    """Turns raw boundaries and offered frames into shots and the frames that belong to them.

    Args:
        start_seconds: Presentation time of the first frame.
        minimum_seconds: Boundaries closer than this are merged; also with the video's ends.
        margin_seconds: Frames this close to any raw boundary are not kept: they may show two shots.
            A video that would lose all its frames keeps the one farthest from a boundary.
    """

    def __init__(self, start_seconds: float, minimum_seconds: float, margin_seconds: float) -> None:
        self._minimum = minimum_seconds
        self._margin = margin_seconds
        self._open = [Boundary(start_seconds, np.inf)]
        self._closed: list[_Cluster] = []
        self._offered: collections.deque[tuple[float, Any]] = collections.deque()
        self._shot, self._number = 0, 0
        self._has_placed = False
        self._spare: tuple[float, float, Any] | None = None
        """Distance to a boundary, time and item of the hidden frame that is farthest from any."""

    def offer(self, seconds: float, item: Any) -> None:  # noqa: ANN401  # never inspected
        """Add the next frame; `settle` or `finish` returns it, unless it is dropped."""
        self._offered.append((seconds, item))

    def add(self, boundaries: list[Boundary]) -> None:
        """Add raw boundaries from a detector."""
        self._open = sorted([*self._open, *boundaries])

    def settle(self, seconds: float) -> list[Placed]:
        """Return frames that are final, given that no more boundaries occur before a time."""
        clusters = _merge(self._open, self._minimum)
        placed = self._place(clusters, seconds - self._minimum - self._margin)
        while clusters and clusters[0].best.seconds + self._minimum <= seconds:
            self._open = self._open[clusters[0].size :]
            self._closed.append(clusters.pop(0))
        return placed

    def finish(self, end_seconds: float) -> tuple[list[Placed], list[Shot]]:
        """Return the remaining frames, and all shots, which cover the video without gaps."""
        clusters = _merge(self._open, self._minimum)
        everything = self._closed + clusters
        if len(everything) > 1 and everything[-1].best.seconds > end_seconds - self._minimum:
            last = everything.pop()
            while self._offered and self._offered[-1][0] >= last.begin_seconds - self._margin:
                self._hide([last], *self._offered.pop())
            clusters = clusters[:-1]
        placed = self._place(clusters, np.inf)
        starts = [cluster.best for cluster in everything]
        if self._spare is not None and not self._has_placed:
            _, seconds, item = self._spare
            shot = sum(start.seconds <= seconds for start in starts) - 1
            placed = [Placed(shot, 0, seconds, item)]
        ends = [start.seconds for start in starts[1:]] + [end_seconds]
        return placed, [
            Shot(start.seconds, end, min(start.score, 1.0))
            for start, end in zip(starts, ends, strict=True)
        ]

    def _place(self, clusters: list[_Cluster], until: float) -> list[Placed]:
        near = self._closed[-2:] + clusters
        passed = len(self._closed) - len(self._closed[-2:])
        placed = []
        while self._offered and self._offered[0][0] <= until:
            seconds, item = self._offered.popleft()
            hiding = [cluster for cluster in near if self._hides(cluster, seconds)]
            if hiding:
                self._hide(hiding, seconds, item)
                continue
            self._has_placed = True
            shot = passed - 1 + sum(cluster.best.seconds <= seconds for cluster in near)
            if shot != self._shot:
                self._shot, self._number = shot, 0
            placed.append(Placed(shot, self._number, seconds, item))
            self._number += 1
        return placed

    def _hide(self, hiding: list[_Cluster], seconds: float, item: Any) -> None:  # noqa: ANN401
        """Remember the best hidden frame in case no other is kept; the earliest of equal ones."""
        distance = min(
            max(cluster.begin_seconds - seconds, seconds - cluster.end_seconds, 0.0)
            for cluster in hiding
        )
        if self._has_placed:
            self._spare = None
        elif self._spare is None or (distance, -seconds) > (self._spare[0], -self._spare[1]):
            self._spare = distance, seconds, item

    def _hides(self, cluster: _Cluster, seconds: float) -> bool:
        is_start = np.isinf(cluster.best.score)
        if is_start and cluster.size == 1:
            return False
        begin, end = cluster.begin_seconds - self._margin, cluster.end_seconds + self._margin
        return begin <= seconds <= end + 1e-9


def _merge(raw: list[Boundary], minimum: float) -> list[_Cluster]:
    """Merge sorted boundaries: those near the first, then those near the best of these."""
    clusters = []
    rest = collections.deque(raw)
    while rest:
        group = [rest.popleft()]
        while rest and rest[0].seconds < group[0].seconds + minimum:
            group.append(rest.popleft())
        best = max(group, key=lambda boundary: boundary.score)
        while rest and rest[0].seconds < best.seconds + minimum:
            group.append(rest.popleft())
        begin = min(min(one.seconds, one.begin_seconds) for one in group)
        end = max(max(one.seconds, one.end_seconds) for one in group)
        clusters.append(_Cluster(begin, end, best, len(group)))
    return clusters
