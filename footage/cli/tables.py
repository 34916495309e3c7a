"""Tables on standard output."""

import sys

from rich.console import Console, RenderableType
from rich.segment import Segment, Segments

from footage.text import printable

PIPED_WIDTH = 160
"""Width of a table that is written to a file or a pipe, so that nothing is cut off."""


def show(view: RenderableType) -> None:
    """Print a table as wide as the terminal; names in it are printed literally, not as markup."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False)
    safe = [
        part if part.control else Segment(printable(part.text), part.style)
        for part in console.render(view)
    ]
    console.print(Segments(safe), end="")
