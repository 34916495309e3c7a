"""The progress bar of every command: one line on a terminal, nothing anywhere else.

    train ━━━━━━━━━━━━━━━╺━━━━━━━━━━━━━━━━━━  410/1000 steps  3.2/s  0:03:04

The line fits the width of the terminal and disappears when the work ends, however it ends: a line
that wraps or stays behind would be drawn twice. Log lines appear above it.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

Amount = int | float
"""Work that was done, in any unit."""

REFRESHES_PER_SECOND = 2
"""Updates per second; ten of them took 2 % of an ingest."""

_HIDDEN = ContextVar("hidden", default=False)

LONGEST_DESCRIPTION = 32
"""Columns of the description; longer ones are cut."""


class ProgressBar:
    """The bar of one piece of work; see `progress_bar`."""

    def __init__(self, progress: Progress, description: str) -> None:
        self.is_shown = not progress.disable
        self._progress = progress
        self._task = progress.add_task(description, total=None, unit="", rate="")

    def begin(self, description: str, total: Amount | None, unit: str) -> None:
        """Restart at zero.

        Args:
            description: Name of the activity.
            total: The amount of work; None if unknown.
            unit: Unit of the count, such as "images". "bytes" shows file sizes, "" a percentage.
        """
        self._progress.reset(self._task, description=description, total=total, unit=unit, rate="")

    def advance(self, amount: Amount = 1) -> None:
        """Count work that was done."""
        self._progress.advance(self._task, amount)

    def update(
        self,
        completed: Amount,
        *,
        total: Amount | None = None,
        description: str | None = None,
        rate: str = "",
    ) -> None:
        """Set how much work was done.

        Args:
            completed: The work done so far.
            total: The amount of work, if it has changed.
            description: Name of the activity, if it has changed.
            rate: A rate to show instead of `unit` per second.
        """
        changed: dict[str, Any] = {"total": total, "description": description}
        changed = {name: value for name, value in changed.items() if value is not None}
        self._progress.update(self._task, completed=completed, rate=rate, **changed)


@contextlib.contextmanager
def hidden(is_hidden: bool = True) -> Iterator[None]:
    """Show no progress bars while the block runs, if `is_hidden`."""
    token = _HIDDEN.set(is_hidden)
    try:
        yield
    finally:
        _HIDDEN.reset(token)


@contextlib.contextmanager
def progress_bar(
    description: str, *, total: Amount | None = None, unit: str = ""
) -> Iterator[ProgressBar]:
    """Show a progress bar on stderr while the block runs, if stderr is a terminal.

    Args:
        description: Name of the activity.
        total: The amount of work; None if unknown.
        unit: Unit of the count, such as "images". "bytes" shows file sizes, "" a percentage.
    """
    progress = Progress(
        _Line(_description, Column(no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=None),
        _Line(_amount),
        _Line(_rate),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        console=Console(stderr=True, markup=False),
        disable=_HIDDEN.get() or sys.stderr is None or not sys.stderr.isatty(),
        expand=True,
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
    )
    with progress:
        bar = ProgressBar(progress, description)
        bar.begin(description, total, unit)
        yield bar


class _Line(ProgressColumn):
    """A column of text that never wraps."""

    def __init__(self, text: Callable[[Task], str], column: Column | None = None) -> None:
        super().__init__(column or Column(no_wrap=True))
        self._text = text

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        return Text(self._text(task))


def _description(task: Task) -> str:
    text = task.description
    return text if len(text) <= LONGEST_DESCRIPTION else f"{text[: LONGEST_DESCRIPTION - 1]}…"


def _amount(task: Task) -> str:
    unit: str = task.fields["unit"]
    if task.total is None:
        return f"{task.completed:,.0f} {unit}" if unit else ""
    if not unit:
        return f"{task.percentage:.0f} %"
    if unit == "bytes":
        return f"{decimal(int(task.completed))} of {decimal(int(task.total))}"
    return f"{task.completed:,.0f}/{task.total:,.0f} {unit}"


def _rate(task: Task) -> str:
    unit: str = task.fields["unit"]
    speed = task.finished_speed or task.speed
    if task.fields["rate"] or not unit or not speed:
        return str(task.fields["rate"])
    if unit == "bytes":
        return f"{decimal(int(speed))}/s"
    return f"{speed:,.1f}/s" if speed < 10 else f"{speed:,.0f}/s"
