"""The report of an ingest: printed at its end, whether it succeeded or not."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from footage.errors import FootageError, MachineError
from footage.processes.shards import Shard
from footage.results import Fields, Result, View, jsonable
from footage.sandbox.layers import ACTIVE, MISSING, Sandbox
from footage.text import duration, one_line


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class ShardReport(Result):
    """What one shard of an ingest did; `--merge` writes the report of all."""

    shard: Shard
    num_videos: int
    """Number of videos that this call ingested."""
    failures: list[tuple[str, str]]
    """Name and reason of every file that could not be processed; nothing is recorded for them."""

    def summary(self) -> str:
        """Return the report as text, with a line per failure."""
        lines = [f"shard {self.shard}: {self.num_videos} videos ingested"]
        lines += [f"not processed  {name}: {reason}" for name, reason in self.failures]
        return "\n".join(map(one_line, lines))

    def views(self) -> Sequence[View]:
        """Return what is shown."""
        return [self.summary()]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "shard": str(self.shard),
            "num_videos": self.num_videos,
            "failures": _records(self.failures, "video", "reason"),
        }


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class IngestReport(Result):
    """Content of the store after an ingest; all numbers are about the whole store."""

    store: str
    """Path or URL."""
    totals: dict[str, Any]
    rejected: list[tuple[str, str, str]]
    """Video, status and reason of every file that is quarantined or partial."""
    new_videos: int
    sandbox: Sandbox | None
    """Sandbox layers of the decoders; None if nothing had to be decoded."""
    failures: list[tuple[str, str]]
    """Name and reason of every file that could not be processed; nothing is recorded for them."""

    def rows(self) -> list[tuple[str, str]]:
        """Return the main numbers, each with its name."""
        totals = self.totals
        frames, videos = max(1, totals["frames"]), max(1, totals["ok"] + totals["partial"])
        rows = [
            (
                "files",
                f"{totals['seen']} seen = {totals['ok']} ok + {totals['partial']} partial"
                f" + {totals['quarantined']} quarantined ({self.new_videos} new)",
            ),
            duration(totals["seconds"]),
            ("shots", f"{totals['shots']} ({totals['shots'] / videos:.1f} per video)"),
            ("frames", f"{totals['frames']}"),
            (
                "uninformative frames",
                f"{totals['black_frames'] / frames:.1%} black,"
                f" {totals['static_frames'] / frames:.1%} unchanged since the frame before",
            ),
            (
                "bytes",
                f"{totals['source_bytes'] / 1e6:.1f} MB of video,"
                f" {totals['store_bytes'] / 1e6:.1f} MB of store",
            ),
        ]
        if self.sandbox is not None:
            active, missing = self.sandbox.lines()
            rows += [(ACTIVE, active), (MISSING, missing)]
        return rows

    def views(self) -> Sequence[View]:
        """Return what is shown; rejected files and their reasons are at the end."""
        rows: list[tuple[str, object]] = [*self.rows()]
        rows += [(status, f"{video}: {reason}") for video, status, reason in self.rejected]
        rows += [("not processed", f"{name}: {reason}") for name, reason in self.failures]
        return [Fields(rows)]

    def summary(self) -> str:
        """Return the report as text."""
        return "\n".join(map(str, self.views()))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        sandbox = self.sandbox
        layers = {"active": sandbox.active, "missing": sandbox.missing} if sandbox else None
        return {
            "store": jsonable(self.store),
            "new_videos": self.new_videos,
            "totals": jsonable(self.totals),
            "rejected": _records(self.rejected, "video", "status", "reason"),
            "failures": _records(self.failures, "video", "reason"),
            "sandbox": jsonable(layers),
        }

    def __fspath__(self) -> str:
        return self.store


def _records(rows: Sequence[Sequence[str]], *names: str) -> list[dict[str, Any]]:
    return [jsonable(dict(zip(names, row, strict=True))) for row in rows]


class TooManyRejectedError(FootageError):
    """More files were quarantined than the user allows; the store was written all the same."""

    def __init__(self, message: str, hint: str, report: IngestReport) -> None:
        super().__init__(message, hint)
        self.report = report


class UnprocessedError(MachineError):
    """Some files could not be processed; the store was written without them."""

    def __init__(self, message: str, hint: str, report: IngestReport) -> None:
        super().__init__(message, hint)
        self.report = report
