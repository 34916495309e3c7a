"""Splitting files that come in series: no series is in two parts.

Drawings of one hand, seasons of one tile or sizes of one icon look alike; a part that shares them
with another would be answered from memory.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from footage.suites.pocket import Part
from pocket_suite.drawing import PARTS


class Item(NamedTuple):
    """A file to choose from."""

    name: str
    label: int
    series: str


def split(
    items: Sequence[Item], shares: Mapping[Part, int], draws: np.random.Generator
) -> dict[Part, list[Item]]:
    """The items of each part, in random order; every class keeps about the same shares.

    The series of a class, large ones first, go one by one to the part that lacks most.
    """
    parts: dict[Part, list[Item]] = {part: [] for part in PARTS}
    total = sum(shares.values())
    for label in sorted({item.label for item in items}):
        of_class = sorted(item for item in items if item.label == label)
        series: dict[str, list[Item]] = {}
        for item in of_class:
            series.setdefault(item.series, []).append(item)
        order = [list(series.values())[place] for place in draws.permutation(len(series))]
        lacks = {part: len(of_class) * share / total for part, share in shares.items()}
        for members in sorted(order, key=len, reverse=True):
            part = max(PARTS, key=lambda part: lacks[part])
            parts[part] += members
            lacks[part] -= len(members)
    return {
        part: [members[place] for place in draws.permutation(len(members))]
        for part, members in parts.items()
    }
