"""Split files by group, so that no group is in two splits.

Drawings by one artist, seasons of one tile or sizes of one icon look alike. If two splits shared
them, test images would resemble training images too closely.
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
    group: str


def split(
    items: Sequence[Item], shares: Mapping[Part, int], draws: np.random.Generator
) -> dict[Part, list[Item]]:
    """Return the items of each split, in random order; the proportions of each class are similar.

    The groups of a class, large ones first, are assigned to the split that lacks most items.
    """
    parts: dict[Part, list[Item]] = {part: [] for part in PARTS}
    total = sum(shares.values())
    for label in sorted({item.label for item in items}):
        of_class = sorted(item for item in items if item.label == label)
        groups: dict[str, list[Item]] = {}
        for item in of_class:
            groups.setdefault(item.group, []).append(item)
        order = [list(groups.values())[place] for place in draws.permutation(len(groups))]
        lacks = {part: len(of_class) * share / total for part, share in shares.items()}
        for members in sorted(order, key=len, reverse=True):
            part = max(PARTS, key=lambda part: lacks[part])
            parts[part] += members
            lacks[part] -= len(members)
    return {
        part: [members[place] for place in draws.permutation(len(members))]
        for part, members in parts.items()
    }
