"""Which state of each source a store contains, so that unchanged sources are not read again.

    STORE/manifests/000001/sources.arrow    one row per source: its name, stamp and video

The file is a cache: if it is missing or damaged, sources are hashed again. It is not part of the
content of the store, because modification times differ from machine to machine.
"""

import logging
from pathlib import Path

import pyarrow as pa

from footage.io import files
from footage.store.columns import last_of_equals
from footage.store.description import MANIFESTS
from footage.store.places import STAMPS_FILE
from footage.store.records import STAMPS
from footage.store.tables import map_table, write_table

log = logging.getLogger(__name__)


def newest_stamps(stamps: pa.Table) -> pa.Table:
    """Return the last row of each name, sorted by name."""
    return stamps.take(pa.array(last_of_equals(stamps, "name"))).combine_chunks()


def write_stamps(folder: Path, stamps: pa.Table) -> None:
    """Write the stamps of all sources into the folder of a manifest.

    Raises:
        OutputError: The file cannot be written.
    """
    with files.atomic_write(folder / STAMPS_FILE) as temporary:
        write_table(temporary, stamps)


def read_stamps(store: Path) -> pa.Table:
    """Return the newest stamps of a store; empty if there are none."""
    for folder in sorted((store / MANIFESTS).glob("[0-9]*"), reverse=True)[:1]:
        try:
            table = map_table(folder / STAMPS_FILE, STAMPS)
            table.validate(full=True)
        except FileNotFoundError:
            break
        except (OSError, ValueError, pa.ArrowException) as error:
            log.warning("%s is damaged, so all sources are hashed: %s", folder / STAMPS_FILE, error)
            break
        else:
            return table
    return STAMPS.empty_table()
