"""Divide sources into units, which depend on the sources alone, and leave out what is stored.

A unit is a task, a part and a record: 4 to 64 files or 16 MB of them in order of their names; a
larger file is a unit of its own. A killed run has recorded whole units, so the remaining ones are
those of an uninterrupted run, and any number of workers writes the same parts.

Everything that grows with the number of sources is an array; a unit becomes Python objects when an
executor asks for it.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from footage.ingestion.batches import Batches, batches
from footage.ingestion.duplicates import duplicates
from footage.ingestion.known_videos import Matches
from footage.ingestion.source_table import SourceTable
from footage.ingestion.worker import SourceTask
from footage.processes.shards import Shard

UNIT_VIDEOS = (4, 64)
"""Fewest and most files of a full unit of small files."""
LEAST_UNITS = 64
"""Units have few files until there are this many units, so that few videos keep many cores busy."""
UNIT_BYTES = 16 * 2**20
"""A unit ends with the file with which it reaches this size, in bytes."""
_UNITS_AHEAD = 256

Copies = Callable[[SourceTable, pa.Table], Mapping[str, str]]
"""Returns the id of the original for the name of each source that is a duplicate."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What an ingest has to do: the units that are left."""

    sources: SourceTable
    """All sources, sorted by name."""
    units: Batches
    """The rows of the sources that are left, unit after unit."""
    positions: Int[np.ndarray, " U"]
    """Position of each unit among all units of the ingest."""
    num_units: int
    """Number of all units of the ingest."""
    matches: Matches
    """The known videos of each source."""
    copies: Mapping[str, str]
    """Id of the original for the name of each source that is a duplicate."""
    unchanged: pa.Array
    """Ids of the videos of all other sources."""

    def tasks(self) -> Iterator[tuple[SourceTask, ...]]:
        """Yield the sources of each unit that is left; only some units are made in advance."""
        for first in range(0, len(self.positions), _UNITS_AHEAD):
            starts = self.units.starts[first : first + _UNITS_AHEAD + 1]
            rows = self.units.rows[starts[0] : starts[-1]]
            known = self.matches.ids(rows)
            tasks = [
                SourceTask(source, ids, self.copies.get(source.name, ""))
                for source, ids in zip(self.sources.take(rows), known, strict=True)
            ]
            for start, end in itertools.pairwise((starts - starts[0]).tolist()):
                yield tuple(tasks[start:end])

    def of_shard(self, shard: Shard) -> "Plan":
        """Return the units of one shard."""
        mine = np.flatnonzero(self.positions % shard.count == shard.index)
        positions = self.positions[mine]
        return dataclasses.replace(self, units=self.units.take(mine), positions=positions)


def plan(
    sources: SourceTable,
    stored: pa.Table,
    finished: pa.Table,
    copies_of: Copies = duplicates,
) -> Plan:
    """Return the units that are left, with what is known about each source.

    Args:
        sources: All sources, sorted by name.
        stored: Videos in the store, as returned by `known_videos`.
        finished: Videos of finished units that no manifest lists yet, as returned by
            `known_videos`.
        copies_of: Finds duplicates; by default `duplicates`, which reads files.
    """
    matches = Matches(sources, stored, finished)
    stored_rows, recorded = matches.stored(), matches.finished()
    candidates = np.flatnonzero(~stored_rows.is_unchanged)
    copies = copies_of(sources.take(candidates), stored)
    every = units(sources.num_bytes[candidates])
    left, positions = every._replace(rows=candidates[every.rows]).only(~recorded.is_unchanged)
    return Plan(
        sources=sources,
        units=left,
        positions=positions,
        num_units=len(every.starts) - 1,
        matches=matches,
        copies=copies,
        unchanged=pa.concat_arrays([stored_rows.videos, recorded.videos]),
    )


def units(num_bytes: Int[np.ndarray, " N"]) -> Batches:
    """Divide sources of these sizes, in order of their names, into units."""
    least, most = UNIT_VIDEOS
    num_videos = min(max(least, -(-len(num_bytes) // LEAST_UNITS)), most)
    return batches(num_bytes, num_videos, UNIT_BYTES)
