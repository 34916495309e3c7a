"""The help of the commands, as text and as entries."""

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from footage import cli

WIDTH = 80
"""With more columns, tyro shows groups of options next to each other."""


class Entry(NamedTuple):
    """One argument or option."""

    name: str
    """As the help shows it, such as `--out DIR` or `-h, --help`."""
    description: str


def help_of(words: Sequence[str], width: int = WIDTH) -> str:
    """Return the help of a command as a terminal with `width` columns shows it.

    Args:
        words: The command with its arguments, such as `store verify --help`.
        width: Number of columns.
    """
    text = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # with it, tyro draws boxes
    command = cli.imported(cli.COMMANDS[words[0]])
    with _columns(width), contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        command(words[1:])
    text.seek(0)
    return text.read()


def nested(name: str, text: str) -> list[str]:
    """Return the commands of a command, such as `verify` of `store`; usually there are none."""
    if text.startswith("usage:"):
        return []
    return re.findall(rf"^footage {name} (\S+)", text, re.MULTILINE)


def entries(text: str) -> list[Entry]:
    """Return the arguments and options that a help text lists."""
    found: list[list[str]] = []
    for line in re.findall(r"^│ (.*?) *│$", text, re.MULTILINE):
        if re.match(r"(-|\[|[A-Z])[^ ]*(  |$| [^a-z])", line):
            found.append(re.split(r" {2,}", line, maxsplit=1))
        elif found and line.startswith(" "):
            found[-1].append(line.strip())
    return [Entry(name, " ".join(description)) for name, *description in found]


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
