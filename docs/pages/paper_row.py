"""One row of the paper map."""

import re
from typing import NamedTuple

MARK = re.compile(r"paper|recalled( \.\d+(-\.\d+)?)?|ours")
"""Certain; from memory, with confidence where there is an estimate; our choice."""


class Row(NamedTuple):
    """A piece of the paper and its place in the code."""

    piece: str
    """What the paper states, or what we add to it."""
    mark: str
    """Confidence in the piece; see `MARK`."""
    places: str
    """References for `docs.pages.references`, separated by spaces; empty: not implemented."""
    departs: str = ""
    """Deviation of our code."""
