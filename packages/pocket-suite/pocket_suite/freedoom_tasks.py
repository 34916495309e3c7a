"""doom-place, doom-item, doom-depth: few labels in the world of the footage, see `freedoom`.

    doom-place   which of twelve places the player is in
    doom-item    which kind of object is the nearest, among those that are sufficiently visible
    doom-depth   how far away is what the middle of the image shows

The classes are equally frequent. The cell of the level in which the player stands decides in which
split an image is.
"""

import functools
import itertools
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite.drawing import Example, TaskRenderer, part_number
from pocket_suite.engine import is_visible, screen
from pocket_suite.freedoom import (
    LEVELS,
    UNITS_OF_DEPTH,
    Accepts,
    Aim,
    positions,
    start_level,
    views,
)

RADIUS: Final = 320.0
"""Radius of a place in map units; the player is 32 units wide. [ours]"""


class Place(NamedTuple):
    """A round region of a level."""

    level: str
    x: float
    y: float

    def contains(self, points: Float[np.ndarray, "P 2"]) -> Bool[np.ndarray, " P"]:
        """Return which positions are in the region."""
        return np.asarray(np.hypot(*(points - (self.x, self.y)).T) < RADIUS)


PLACES: Final = (
    Place("MAP01", 1162, -261), Place("MAP01", -169, -983), Place("MAP01", 1909, -823),
    Place("MAP08", 527, -384), Place("MAP08", 1267, -890),
    Place("MAP09", -432, 473), Place("MAP09", -2294, 1090),
    Place("MAP12", -3012, 1138), Place("MAP12", 2733, 851),
    Place("MAP20", -5068, -996), Place("MAP20", 26, 1567), Place("MAP20", 3842, 784),
)  # fmt: skip
KINDS: Final = (
    "Zombieman", "ShotgunGuy", "DoomImp",
    "HealthBonus", "ArmorBonus", "Stimpack", "Medikit", "Shell",
)  # fmt: skip
"""Three kinds of monsters and five of things to pick up, all frequent in these levels."""
SMALLEST_VISIBLE: Final = 80
"""Minimum number of visible pixels of an object; smaller ones are ignored. [ours]"""
DEPTH_BOUNDS: Final = (75.0, 135.0, 215.0, 325.0, 520.0)
"""Bounds of the bins of depth in map units: the sextiles of 1441 other images, rounded. [ours]"""
SHORTEST_VIEW: Final = 150.0
"""A tenth of an image of a place shows what is at least this far away, in map units; the others
show little but a wall. [ours]"""
_FARTHEST_ITEM: Final = 400.0
_WIDEST_TURN: Final = 40.0
"""Where the player looks for an item: distance, and angle from the middle of the 90-degree view."""

_PATIENCE: Final = 15
"""Number of views without an image of a new class before the next level."""


class Search(NamedTuple):
    """How to look for images of some classes in a level that has started."""

    accepts: Accepts
    aim: Aim
    label: Callable[[Any], int | None]
    """The class of a state; None for an ambiguous view."""


def open_place(seed: int, _assets: Path) -> TaskRenderer:
    """Open the task of recognising the place."""

    def search(level: str, wanted: Collection[int], draws: np.random.Generator) -> Search:
        places = {number: PLACES[number] for number in wanted if PLACES[number].level == level}

        def accepts(points: Float[np.ndarray, "P 2"]) -> Bool[np.ndarray, " P"]:
            inside = [place.contains(points) for place in places.values()]
            return np.asarray(np.any([np.zeros(len(points), bool), *inside], axis=0))

        def label(state: Any) -> int | None:  # noqa: ANN401 (vizdoom is optional)
            far = float(np.percentile(state.depth_buffer, 90)) * UNITS_OF_DEPTH
            at = np.array([state.game_variables[:2]])
            seen = [number for number, place in places.items() if place.contains(at).all()]
            return seen[0] if seen and far >= SHORTEST_VIEW else None

        return Search(accepts, lambda _x, _y: draws.uniform(0, 360), label)

    return _renderer("pocket doom place", seed, len(PLACES), search)


def open_item(seed: int, _assets: Path) -> TaskRenderer:
    """Open the task of classifying the nearest visible object."""

    def search(_: str, wanted: Collection[int], draws: np.random.Generator) -> Search:
        objects = positions([KINDS[number] for number in wanted])

        def near(points: Float[np.ndarray, "P 2"]) -> Bool[np.ndarray, " P"]:
            gaps = np.linalg.norm(points[:, None] - objects, axis=-1)
            return np.asarray((gaps < _FARTHEST_ITEM).any(1))

        def towards_nearest(x: float, y: float) -> float:
            ways = objects - (x, y)
            way = ways[np.hypot(*ways.T).argmin()]
            aside = draws.uniform(-_WIDEST_TURN, _WIDEST_TURN)
            return float(np.degrees(np.arctan2(way[1], way[0])) + aside)

        return Search(near, towards_nearest, item)

    return _renderer("pocket doom item", seed, len(KINDS), search)


def open_depth(seed: int, _assets: Path) -> TaskRenderer:
    """Open the task of estimating the distance of what the middle of the image shows."""

    def search(_level: str, _: Collection[int], draws: np.random.Generator) -> Search:
        return Search(
            lambda points: np.ones(len(points), bool), lambda _x, _y: draws.uniform(0, 360), depth
        )

    return _renderer("pocket doom depth", seed, len(DEPTH_BOUNDS) + 1, search)


def item(state: Any) -> int | None:  # noqa: ANN401
    """Return the kind of the nearest visible object.

    It is None if there is none, if it is of no class, or if an edge of the image cuts it off.
    """
    x, y, _ = state.game_variables
    visible = [
        entry
        for entry in state.labels
        if entry.object_category != "Self" and is_visible(state, entry, SMALLEST_VISIBLE)
    ]
    if not visible:
        return None
    nearest = min(
        visible,
        key=lambda entry: np.hypot(entry.object_position_x - x, entry.object_position_y - y),
    )
    whole = nearest.x > 0 and nearest.x + nearest.width < state.labels_buffer.shape[1]
    return KINDS.index(nearest.object_name) if whole and nearest.object_name in KINDS else None


def depth(state: Any) -> int | None:  # noqa: ANN401
    """Return the bin of the depth in the middle of the view; None if it contains several bins."""
    high, wide = state.depth_buffer.shape
    side = high // 24
    middle = state.depth_buffer[
        high // 2 - side : high // 2 + side, wide // 2 - side : wide // 2 + side
    ]
    bins = np.searchsorted(DEPTH_BOUNDS, middle * UNITS_OF_DEPTH)
    return int(bins.min()) if bins.min() == bins.max() else None


def _renderer(
    purpose: str,
    seed: int,
    num_classes: int,
    search: Callable[[str, Collection[int], np.random.Generator], Search],
) -> TaskRenderer:
    """Return the function that draws blocks with one image of each class.

    Starting a level takes as long as looking at dozens of views; a block needs few starts.
    """

    @functools.lru_cache(maxsize=1)
    def block(part: Part, number: int) -> list[Example]:
        key = (seed, part_number(part), number)
        found: dict[int, Example] = {}
        for attempt in itertools.count():
            draws = generator(purpose, *key, attempt)
            level = LEVELS[(number + attempt) % len(LEVELS)]
            start_level(level, draws, ("god", "notarget"))
            wanted = sorted(set(range(num_classes)) - set(found))
            accepts, aim, label = search(level, wanted, draws)
            patience = _PATIENCE
            for state, cell in views(level, draws, part, accepts, aim):
                seen = label(state)
                patience -= 1
                if seen in wanted:
                    found[seen] = Example(screen(state), seen, cell)
                    wanted.remove(seen)
                    patience = _PATIENCE
                if not wanted or not patience:
                    break
            if len(found) == num_classes:
                break
        order = generator(f"{purpose} order", *key).permutation(num_classes)
        return [found[number] for number in order]

    def render_example(part: Part, number: int) -> Example:
        return block(part, number // num_classes)[number % num_classes]

    return render_example
