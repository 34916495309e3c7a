"""The requirements of a command, which `--dry-run` shows."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from footage.results import Result, View


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Requirements(Result):
    """What a command needs and what the machine has."""

    rows: list[tuple[str, str, str]]
    """Quantity, value, and how it was found."""
    changes: list[str]
    """Changes that make it fit or run faster."""
    fits: bool
    """Whether memory and disk certainly suffice; False if this is unknown."""

    def views(self) -> Sequence[View]:
        """Return the table, what to change, and the next step."""
        table = Table("", "needed", "", box=None, pad_edge=False)
        for row in self.rows:
            table.add_row(*row)
        changes = [f"change: {change}" for change in self.changes]
        step = "rerun without --dry-run" if self.fits else "change the settings above"
        return [table, *changes, f"next: {step}"]

    def to_dict(self) -> dict[str, Any]:
        """Return the requirements as JSON values."""
        rows = [dict(zip(("quantity", "needed", "note"), row, strict=True)) for row in self.rows]
        return {"requirements": rows, "changes": self.changes, "fits": self.fits}


def size(num_bytes: int | float) -> str:
    """Return a number of bytes with a suitable unit."""
    for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB")):
        if num_bytes >= unit:
            return f"{num_bytes / unit:,.1f} {name}"
    digits = 1 if 0 < num_bytes < 1e7 else 0
    return f"{num_bytes / 1e6:,.{digits}f} MB"


def duration(seconds: int | float) -> str:
    """Return a duration with a suitable unit."""
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 48:
        return f"{hours / 24:,.1f} days"
    if hours >= 2:
        return f"{hours:.1f} hours"
    return f"{minutes:.1f} minutes" if minutes >= 2 else f"{seconds:.3g} seconds"
