"""Checks of the store that an ingest writes to, and the settings of an unfinished ingest."""

import logging
from typing import Any

from footage.errors import StoreError
from footage.ingestion.config import IngestConfig
from footage.ingestion.disk_space import check_before
from footage.io.documents import Document
from footage.store import manifest
from footage.store.description import EARLIER_TABLES, MANIFESTS, NAME, Setting
from footage.store.places import LOCK, RECORDS, WORK, Place
from footage.store.reader import Store

_OF_STORES = (NAME, EARLIER_TABLES[0], MANIFESTS)
"""Every store has at least one of these."""
_SETTINGS_NAME = f"{WORK}/settings.json"
_SETTINGS: Document[dict[str, Any]] = Document(
    schema=dict[str, Setting],
    name="the settings of an interrupted ingest",
    error=StoreError,
    hint="rerun to resume",
)

log = logging.getLogger(__name__)


def existing(place: Place) -> Store | None:
    """Open the existing store; None if there is none."""
    store = place.path
    is_store = (store / NAME).exists() or (store / EARLIER_TABLES[0]).exists()
    return Store.open(place) if is_store or manifest.newest_manifest(store) else None


def check_content(place: Place) -> None:
    """Reject a folder with other content than a store or an unfinished ingest."""
    names = set(place.names())
    if names - {LOCK} and not names & {*_OF_STORES, WORK}:
        raise StoreError(
            f"{place.location!r} exists and is not a frame store",
            "choose a new or empty --out folder",
        )


def check_space(place: Place, store: Store | None, num_bytes: int) -> None:
    """Check that new videos of this size fit on the disk; a remote store is not checked."""
    if place.remote is None:
        check_before(place.path, store, num_bytes)


def write_settings(place: Place, config: IngestConfig) -> None:
    """Record the settings of an unfinished ingest, for the shards and runs that continue it."""
    _SETTINGS.write(place.path / _SETTINGS_NAME, config.store_settings)
    place.push_work("*")


def check_settings(place: Place, store: Store | None, config: IngestConfig) -> None:
    """Reject settings that differ from those of the store."""
    wanted = config.store_settings
    found = store.settings if store else _settings_of_work(place) or wanted
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    if changed:
        were = ", ".join(f"{name} {found.get(name)} (now {wanted[name]})" for name in changed)
        raise StoreError(
            f"the store at {place.location!r} was created with different settings: {were}",
            "use the same settings, or choose another --out",
        )


def has_lost_settings(place: Place, store: Store | None) -> bool:
    """Return whether an interrupted first ingest lost its settings, so that it starts again."""
    if store or not (place.path / WORK).exists():
        return False
    try:
        _SETTINGS.read(place.path / _SETTINGS_NAME)
    except StoreError:
        return True
    return False


def _settings_of_work(place: Place) -> dict[str, Any] | None:
    """Return the settings of an interrupted first ingest, without which its units are useless."""
    store = place.path
    if not any((store / RECORDS).glob("??/*.arrow")):
        return None
    try:
        return _SETTINGS.read(store / _SETTINGS_NAME)
    except StoreError as error:
        log.warning("%s; the videos finished so far will be ingested again", error.message)
        place.remove_work()
        return None
