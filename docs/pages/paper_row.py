"""One line of the paper map."""

import re
from typing import NamedTuple

MARK = re.compile(r"paper|recalled( \.\d+(-\.\d+)?)?|ours")
"""Certain; from memory, with confidence where there is an estimate; our choice."""


class Row(NamedTuple):
    """A piece of the paper and where it lies."""

    piece: str
    """What the paper says, or what we add to it."""
    mark: str
    """How it is known, as `MARK` allows."""
    places: str
    """References, as `docs.pages.references` reads them, between spaces; empty: not yet there."""
    departs: str = ""
    """What is different here."""
