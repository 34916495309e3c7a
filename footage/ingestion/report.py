"""The report of an ingest: printed at its end, whether it succeeded or not."""

import dataclasses
from typing import Any

from footage.errors import FootageError, MachineError
from footage.processes.shards import Shard
from footage.sandbox.layers import ACTIVE, MISSING, Sandbox
from footage.text import duration, one_line


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ShardReport:
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


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class IngestReport:
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

    def lines(self) -> list[str]:
        """Return the report as text; rejected files and their reasons are at the end."""
        width = max(len(name) for name, _ in self.rows())
        lines = [f"{name:<{width}}  {value}" for name, value in self.rows()]
        lines += [
            f"{status:<{width}}  {video}: {reason}" for video, status, reason in self.rejected
        ]
        lines += [f"{'not processed':<{width}}  {name}: {reason}" for name, reason in self.failures]
        return [one_line(line) for line in lines]

    def summary(self) -> str:
        """Return all lines as one text."""
        return "\n".join(self.lines())


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
