"""Approximate search in large stores, with a faiss inverted file (IVF).

    CACHE/features/<key>/<store>.faiss    the index of all frames of a store

k-means divides the vectors into clusters, and a query is compared with the nearest ones only
(Jégou et al. 2011, section IV). The index keeps 8 bits per value and is memory-mapped. The shots
that it proposes are compared again with the cached vectors, so that similarities are exact, and
only shots can be missed. Decision 0208 compares indexes.
"""

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from footage.errors import ConfigError
from footage.io import files
from footage.progress import progress_bar
from footage.retrieval.features import Part, Vectors
from footage.retrieval.frames import Frames, Numbers
from footage.retrieval.nearest import Match, QueryVectors, best_match

log = logging.getLogger(__name__)

VECTORS_PER_CLUSTER: Final = 50
"""Number of vectors per cluster on which k-means is trained; faiss recommends at least 39."""
VISITED: Final = 256
"""Number of clusters that are compared with a query [ours]; see decision 0208."""
VISITED_FOR_NEAR: Final = 8
"""The same for near-duplicates, which are mostly in the nearest cluster [ours]."""
MARGIN: Final = 0.03
"""Subtracted from a threshold: 8-bit values change a cosine similarity by less [ours]."""
CANDIDATES: Final = 16
"""Number of frames to propose per requested shot: near frames often share a shot [ours]."""
ROWS_AT_ONCE: Final = 1 << 14


def require_faiss() -> Any:  # noqa: ANN401 (an optional package)
    """Import faiss.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            "the approximate method needs faiss, which is not installed",
            "pip install 'footage[search]', or add --method exact, which takes longer",
        ) from error
    return faiss


class Index:
    """The index of the vectors of a store; built on first use.

    Raises:
        ConfigError: faiss is not installed.
        OutputError: The cache cannot be written.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._faiss = require_faiss()
        self._frames = Frames(parts)
        self._dim = parts[0].vectors().shape[1]
        names = "\n".join(part.path.name for part in parts)
        digest = hashlib.sha256(names.encode()).hexdigest()[:32]
        path = parts[0].path.with_name(f"{digest}.faiss")
        if not self._is_usable(path):
            self._build(path)
        self._index = self._faiss.read_index(str(path), self._faiss.IO_FLAG_MMAP)

    def nearest(self, queries: Sequence[QueryVectors], top: int) -> list[list[Match]]:
        """Return the nearest shots for each query, the nearest first, as exact search does."""
        return [self._nearest(query, top) for query in queries]

    def _nearest(self, query: Vectors, top: int) -> list[Match]:
        wanted, visited = top * CANDIDATES, VISITED
        while True:
            self._index.nprobe = min(visited, self._index.nlist)
            wanted = min(wanted, len(self._frames))
            _, found = self._index.search(np.ascontiguousarray(query, np.float32), wanted)
            frames = np.unique(found[found >= 0])
            _, firsts = np.unique(self._frames.shots[frames], return_index=True)
            is_all = visited >= self._index.nlist and wanted == len(self._frames)
            if len(firsts) >= top or is_all:
                break
            wanted, visited = 4 * wanted, 4 * visited  # long shots crowd out others
        places = [self._frames.place(int(frame)) for frame in frames[firsts]]
        matches = [best_match(part, part.number_of(frame), query) for part, frame in places]
        return sorted(matches, key=lambda match: (-match.similarity, match.row))[:top]

    def near(self, vectors: Vectors, threshold: float) -> tuple[Numbers, Numbers]:
        """Return pairs of a vector and a frame whose similarity may reach a threshold.

        Args:
            vectors: Vectors of unit length.
            threshold: Minimum cosine similarity.

        Returns:
            The position in `vectors`, and the number of the frame, of each pair.
        """
        self._index.nprobe = min(VISITED_FOR_NEAR, self._index.nlist)
        ends, _, frames = self._index.range_search(vectors, threshold - MARGIN)
        return np.repeat(np.arange(len(vectors)), np.diff(ends.astype(np.int64))), frames

    def _is_usable(self, path: Path) -> bool:
        if not path.exists():
            return False
        try:
            index = self._faiss.read_index(str(path), self._faiss.IO_FLAG_MMAP)
        except RuntimeError as error:
            log.warning("%s cannot be used and is replaced: %s", path, error)
            return False
        return (index.d, index.ntotal) == (self._dim, len(self._frames))

    def _build(self, path: Path) -> None:
        count = len(self._frames)
        clusters = max(1, min(int(2 * math.sqrt(count)), count // VECTORS_PER_CLUSTER))
        files.require_space(path, count * self._dim, "the index of the store")
        log.info("building an index of %d frames once; it is cached in %s", count, path.parent)
        kind = f"IVF{clusters},SQ8"
        index = self._faiss.index_factory(self._dim, kind, self._faiss.METRIC_INNER_PRODUCT)
        step = max(1, count // (VECTORS_PER_CLUSTER * clusters))
        index.train(np.concatenate([some[::step] for some in self._vectors()]))
        with progress_bar("index", total=count, unit="frames") as bar:
            for some in self._vectors():
                index.add(some)
                bar.advance(len(some))
        with files.atomic_write(path) as temporary:
            self._faiss.write_index(index, str(temporary))

    def _vectors(self) -> Iterator[Vectors]:
        for start in range(0, len(self._frames), ROWS_AT_ONCE):
            yield self._frames.vectors(start, start + ROWS_AT_ONCE)
