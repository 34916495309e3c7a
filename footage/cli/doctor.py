"""The command line of `footage doctor`."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from footage.cli import parsing
from footage.cli.options import Flag
from footage.cli.tables import show

if TYPE_CHECKING:
    from footage.commands.doctor import Diagnosis


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_doctor, words, "footage doctor")


def _doctor(
    *,
    folder: Annotated[
        str, arg(metavar="DIR", help="Folder for stores and runs, whose disk is checked.")
    ] = ".",
    json: Annotated[Flag, arg(help="Print the findings as JSON.", help_behavior_hint="")] = False,
) -> None:
    """Check packages, devices, codecs, sandbox, memory and disk of this machine.

    Exits with code 1 if something would make a command fail.
    """
    from footage.commands.doctor import doctor

    found = doctor(folder)
    if json:
        _print_json(found)
    else:
        _print_table(found)
    found.require_healthy()


def _print_json(found: "Diagnosis") -> None:
    print(json.dumps(found.to_dict(), indent=2))


def _print_table(found: "Diagnosis") -> None:
    from rich.table import Table

    table = Table("", "", "found", "hint", box=None, pad_edge=False)
    area = ""
    for one in found.findings:
        marked = f"{one.state}: {one.found}" if one.state == "problem" else one.found
        table.add_row(one.area if one.area != area else "", one.name, marked, one.hint)
        area = one.area
    show(table)
