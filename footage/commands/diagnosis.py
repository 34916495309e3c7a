"""What `footage doctor` found: findings with hints, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table

from footage.errors import FootageError
from footage.results import Result, View

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was checked."""

    area: str
    """Such as "devices"."""
    name: str
    """Such as "GPU 0"."""
    found: str
    """What was found, for people."""
    state: State = "ok"
    """Whether it is fine, worth knowing, or makes a command fail."""
    hint: str = ""
    """How to fix or extend it; empty if nothing has to be done."""


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis(Result):
    """What `footage doctor` found."""

    findings: tuple[Finding, ...]
    """All findings, in the order in which they are shown."""

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that make a command fail."""
        return tuple(one for one in self.findings if one.state == "problem")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: `healthy`, and `findings` with a dictionary each."""
        return {"healthy": not self.problems, "findings": [asdict(one) for one in self.findings]}

    def views(self) -> Sequence[View]:
        """Return a table with one line per finding."""
        table = Table("", "", "found", "hint", box=None, pad_edge=False)
        area = ""
        for one in self.findings:
            marked = f"{one.state}: {one.found}" if one.state == "problem" else one.found
            table.add_row(one.area if one.area != area else "", one.name, marked, one.hint)
            area = one.area
        return [table]

    def require_healthy(self) -> None:
        """Raise an error that names the problems, if there are any.

        Raises:
            FootageError: Something would make a command fail.
        """
        if self.problems:
            named = "; ".join(f"{one.name}: {one.found}" for one in self.problems)
            count = f"{len(self.problems)} problem{'s' * (len(self.problems) > 1)}"
            raise FootageError(f"{count} found: {named}", self.problems[0].hint)
