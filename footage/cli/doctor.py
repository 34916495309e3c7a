"""The command line of `footage doctor`."""

from collections.abc import Sequence
from typing import Annotated

from tyro.conf import arg

from footage.cli import output, parsing


def run(words: Sequence[str]) -> None:
    """Parse the words after the command's name and run it."""
    parsing.run(_doctor, words, "footage doctor")


def _doctor(
    *,
    folder: Annotated[
        str, arg(metavar="DIR", help="Folder for stores and runs, whose disk is checked.")
    ] = ".",
) -> None:
    """Check packages, devices, codecs, sandbox, memory and disk of this machine.

    Exits with code 1 if something would make a command fail.
    """
    from footage.commands.doctor import doctor

    found = doctor(folder)
    output.show(found)
    found.require_healthy()
