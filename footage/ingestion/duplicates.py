"""Find sources with the bytes of another video, which are stored once.

Only files of equal size are compared: first their ends, then their hashes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from footage.ingestion.source_table import Source, SourceTable
from footage.ingestion.sources import opened
from footage.ingestion.worker import video_id
from footage.store.columns import column, values

_END_BYTES = 64 * 2**10
_CHUNK = 4 * 2**20


def of_equal_size(sources: SourceTable, known: pa.Table) -> Int[np.ndarray, " K"]:
    """Return the rows of the sources that are as large as another one, or as a known video.

    Pipes and empty files, whose size is 0, are left out.
    """
    sizes, which, counts = np.unique(sources.num_bytes, return_inverse=True, return_counts=True)
    is_shared = (counts > 1) | np.isin(sizes, column(known, "num_bytes"))
    rows: Int[np.ndarray, " K"] = np.flatnonzero((is_shared & (sizes > 0))[which])
    return rows


def duplicates(sources: SourceTable, known: pa.Table) -> dict[str, str]:
    """Return the id of the original of each source with the bytes of another video, by name.

    The original is a stored video, or else the first source by name. A file that cannot be read is
    no duplicate; the worker records the reason.

    Args:
        sources: The sources, sorted by name.
        known: Videos in the store, as in `known_videos.SCHEMA`.
    """
    rows = of_equal_size(sources, known)
    stored = _originals(sources, known)
    found: dict[str, str] = {}
    for group in _by_size(sources, rows):
        originals = dict(stored.get(group[0].num_bytes, {}))
        for source in group if originals else _with_equal_ends(group):
            digest = _digest(source)
            if digest in originals:
                found[source.name] = originals[digest]
            elif digest:
                originals[digest] = video_id(source.name, digest)
    return found


def _by_size(sources: SourceTable, rows: Int[np.ndarray, " K"]) -> Iterator[list[Source]]:
    """Yield the given sources in groups of equal size."""
    rows = rows[np.argsort(sources.num_bytes[rows], kind="stable")]
    ends = np.flatnonzero(np.diff(sources.num_bytes[rows])) + 1
    for group in np.split(rows, ends) if len(rows) else []:
        yield list(sources.take(group))


def _originals(sources: SourceTable, known: pa.Table) -> dict[int, dict[str, str]]:
    """Return the ids of stored videos with the size of a source, by size and hash.

    Videos under the name of a source are left out, because the source replaces them. Of several
    with the same bytes, the first counts, in order of the first videos of their names.
    """
    names = known["name"]
    is_other = pc.invert(pc.is_in(names, value_set=sources.names)).to_numpy()
    is_read = pc.not_equal(known["content_hash"], "").to_numpy()
    sizes = column(known, "num_bytes")
    rows = np.flatnonzero(is_other & is_read & np.isin(sizes, sources.num_bytes))
    found: dict[int, dict[str, str]] = defaultdict(dict)
    if len(rows):
        rank = values(names.dictionary_encode())
        rows = rows[np.argsort(rank[rows], kind="stable")]
        chosen = known.select(["num_bytes", "content_hash", "video"]).take(pa.array(rows))
        for one in zip(*(part.to_pylist() for part in chosen.columns), strict=True):
            found[one[0]].setdefault(one[1], one[2])
    return found


def _with_equal_ends(sources: Sequence[Source]) -> list[Source]:
    """Return the sources of which another has the same first and last bytes."""
    if len(sources) < 2:
        return []
    groups: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        groups[_digest(source, ends_only=True)].append(source)
    return [one for ends, group in groups.items() if ends and len(group) > 1 for one in group]


def _digest(source: Source, *, ends_only: bool = False) -> str:
    """SHA-256 of a source, or of its first and last bytes; empty if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with opened(source) as file:
            if ends_only:
                digest.update(file.read(_END_BYTES))
                file.seek(max(0, source.num_bytes - _END_BYTES))
                digest.update(file.read(_END_BYTES))
            else:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
    except Exception:  # file systems raise their own errors; the worker will report what is wrong
        return ""
    return digest.hexdigest()
