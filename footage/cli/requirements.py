"""The output of `--dry-run`."""

from rich.table import Table

from footage.cli.tables import show
from footage.commands.requirements import Requirements
from footage.text import printable


def show_requirements(found: Requirements) -> None:
    """Print what a command needs, what to change, and the next step."""
    table = Table("", "needed", "", box=None, pad_edge=False)
    for row in found.rows:
        table.add_row(*row)
    show(table)
    for change in found.changes:
        print(printable(f"change: {change}"))
    print("next: " + ("rerun without --dry-run" if found.fits else "change the settings above"))
