"""The requirements of a command, which `--dry-run` shows."""

from typing import NamedTuple


class Requirements(NamedTuple):
    """What a command needs and what the machine has."""

    rows: list[tuple[str, str, str]]
    """Quantity, value, and how it was found."""
    changes: list[str]
    """Changes that make it fit or run faster."""
    fits: bool
    """Whether memory and disk certainly suffice; False if this is unknown."""


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
