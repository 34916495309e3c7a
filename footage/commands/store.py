"""The command `footage store`: verify a frame store and repair it from its source videos."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from footage.errors import ConfigError, StoreError
from footage.ingestion.store_repair import Checked, Repaired, check, repair
from footage.io import files
from footage.progress import progress_bar
from footage.results import Result, View, jsonable
from footage.store import manifest
from footage.store.description import read_description
from footage.store.places import LOCK, Place, place_of
from footage.store.reader import Damage, Store


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class VerifyReport(Result):
    """The results of checking and repairing a store."""

    store: str
    """Path or URL."""
    checked: Checked
    repaired: Repaired | None
    """None if no repair was requested."""
    content_hash: str
    """The current content hash."""

    @property
    def restored(self) -> list[str]:
        """Return the names of the files that were restored."""
        return self.repaired.restored if self.repaired else []

    @property
    def remaining(self) -> list[Damage]:
        """Return the damaged files that were not restored."""
        return [one for one in self.checked.damage if one.name not in self.restored]

    def summary(self) -> str:
        """Return one line per damaged file and affected video, then the totals."""
        lines = []
        for one in self.checked.damage:
            is_restored = one.name in self.restored
            lines.append(f"{'restored' if is_restored else 'damaged '}  {one.name}: {one.reason}")
            lines += [f"            {self._video(video, is_restored)}" for video in one.videos]
        about = self.checked.description
        parts = self.checked.store.parts if self.checked.store else None
        lines.append(
            f"{self._num_files} files, {about.totals.store_bytes / 1e6:,.1f} MB checked:"
            f" {len(self.checked.damage)} damaged, {len(self.restored)} restored"
        )
        if self.content_hash != about.content_hash:
            lines.append(
                f"the content hash changed from {about.content_hash[:16]} to"
                f" {self.content_hash[:16]}: some frames are decoded differently now,"
                " and runs that were trained on the old ones cannot be resumed"
            )
        if parts and parts.table["footer_crc32"].null_count:
            lines.append(
                "parts written by footage 0.1 have no checksums of frames: only"
                " `footage store verify` detects damage in them"
            )
        return "\n".join(lines)

    def views(self) -> Sequence[View]:
        """Return what is shown."""
        return [self.summary()]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        about = self.checked.description
        damaged = [
            {**one._asdict(), "restored": one.name in self.restored} for one in self.checked.damage
        ]
        values = {
            "store": self.store,
            "is_sound": not self.remaining,
            "num_files": self._num_files,
            "num_bytes": about.totals.store_bytes,
            "damaged": damaged,
            "lost_videos": self.repaired.lost if self.repaired else {},
            "content_hash": self.content_hash,
            "content_hash_before": about.content_hash,
        }
        return {name: jsonable(value) for name, value in values.items()}

    @property
    def _num_files(self) -> int:
        parts = self.checked.store.parts if self.checked.store else None
        return len(self.checked.description.tables) + (len(parts) if parts else 0)

    def _video(self, video: str, is_restored: bool) -> str:
        reason = self.repaired.lost.get(video, "") if self.repaired else ""
        return f"{video}: {reason}" if reason and not is_restored else video


def verify(
    store: str | Path, repair_from: Sequence[str] | None = None, workers: int | None = None
) -> VerifyReport:
    """Read every byte of a store and compare it with what was written.

    Args:
        store: The store folder, or its URL.
        repair_from: Where to search for the videos of damaged frames, which are ingested again.
            Empty repairs only files that need no video; None repairs nothing.
        workers: Number of worker processes; all cores by default.

    Raises:
        FootageError: The store does not exist, or cannot be written.
        ConfigError: A store behind a URL is to be repaired.
    """
    place = place_of(store)
    if place.remote is not None:
        return _verify_remote(place, repair_from)
    path = place.path
    is_repair = repair_from is not None and path.is_dir()
    with files.exclusive(path / LOCK, path) if is_repair else nullcontext():
        if is_repair:
            manifest.prepare(path)
        found = _check(path)
        repaired = None
        if repair_from is not None:
            cores = len(os.sched_getaffinity(0))
            repaired = repair(path, found, repair_from, workers or cores)
    return VerifyReport(
        store=str(path), checked=found, repaired=repaired, content_hash=_content_hash(path, found)
    )


def _verify_remote(place: Place, repair_from: Sequence[str] | None) -> VerifyReport:
    if repair_from is not None:
        raise ConfigError(
            f"{place.location!r} cannot be repaired in place",
            "download the store, repair the copy, and upload it",
        )
    with _progress() as count:
        opened = Store.open(place)
        damage = list(opened.damage(lambda num_bytes: count(num_bytes, opened.parts.num_bytes)))
    return VerifyReport(
        store=place.location,
        checked=Checked(opened.description, damage, opened),
        repaired=None,
        content_hash=opened.content_hash,
    )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yield what is called with the bytes of a part and those of all."""
    num_done = 0

    def count(num_bytes: int, total: int) -> None:
        nonlocal num_done
        num_done += num_bytes
        bar.update(num_done, total=total)

    with progress_bar("verify", unit="bytes") as bar:
        yield count


def _check(path: Path) -> Checked:
    with _progress() as count:
        return check(path, count)


def _content_hash(path: Path, found: Checked) -> str:
    try:
        return read_description(path).content_hash
    except StoreError:
        return found.description.content_hash


def require_sound(report: VerifyReport) -> None:
    """Raise an error if a damaged file was not restored.

    Raises:
        StoreError: The message lists the files, the hint the command that restores them.
    """
    remaining = report.remaining
    if not remaining:
        return
    names = ", ".join(one.name for one in remaining[:3]) + (", ..." if len(remaining) > 3 else "")
    count = "1 damaged file" if len(remaining) == 1 else f"{len(remaining)} damaged files"
    raise StoreError(
        f"{count} in the store at {report.store!r}: {names}",
        _advice(report, remaining),
    )


def _advice(report: VerifyReport, remaining: Sequence[Damage]) -> str:
    if place_of(report.store).remote is not None:
        return "restore these files from a copy, or download the store, repair it, and upload it"
    if report.repaired is None and not any(one.videos for one in remaining):
        return f"run `footage store verify {report.store} --repair`"
    if report.repaired is None:
        return (
            f"run `footage store verify {report.store} --repair VIDEOS`, where VIDEOS are the files"
            " or folders that were ingested"
        )
    if report.repaired.lost:
        return "pass all files or folders that were ingested to --repair"
    listed = report.checked.store.parts.names() if report.checked.store else []
    if all(one.name.startswith("frames/") and one.name not in listed for one in remaining):
        return "move these files out of the store"
    return "ingest the videos into a new folder"
