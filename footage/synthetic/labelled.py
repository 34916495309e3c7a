"""Labelled images for the demo, rendered from a seed in places that no rendered video shows.

    kinds      classify twelve kinds of objects; every image shows a different instance
    objects    classify sixteen instances; test images show them in other places, in different
               light and from other sides than training images

Place, light, position, size and pose are random, so that no single pixel predicts the class. A task
is a folder with train, val and test, each with one subfolder per class.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from footage.errors import ConfigError
from footage.io.files import atomic_folder
from footage.seeding import generator
from footage.synthetic.art import SHAPES, Sprite
from footage.synthetic.journey import daylight
from footage.synthetic.shots import (
    SHADOW,
    Frame,
    actor_matrix,
    camera_matrix,
    chained,
    lay_over,
    shadow_matrix,
)
from footage.synthetic.world import (
    BACKDROP_HEIGHT,
    BACKDROP_WIDTH,
    SPRITE_SIZE,
    film_place,
    individual,
)

SIDE: Final = 96
"""Height and width of an image in pixels."""

NUM_OBJECTS: Final = 16

PLACES: Final = {"train": 12, "val": 4, "test": 8}
"""Number of places per split; no place is in two splits."""


Backdrop = UInt8[np.ndarray, "rows columns 3"]


class Ranges(NamedTuple):
    """Ranges of time and pose of the images of a split."""

    hours: tuple[float, float]
    """Time of the day, 0 in the morning and 1 at night."""
    turn: tuple[float, float]
    """Rotation about the vertical axis, in radians."""


class Task(NamedTuple):
    """Number of images per class and ranges, by split."""

    per_class: dict[str, int]
    ranges: dict[str, Ranges]


ANY: Final = Ranges(hours=(0.0, 1.0), turn=(-0.9, 0.9))
DAY: Final = Ranges(hours=(0.0, 0.6), turn=(-0.9, 0.3))
EVENING: Final = Ranges(hours=(0.6, 1.0), turn=(0.3, 0.9))

TASKS: Final = {
    "kinds": Task({"train": 60, "val": 10, "test": 60}, {"train": ANY, "val": ANY, "test": ANY}),
    "objects": Task(
        {"train": 15, "val": 5, "test": 25}, {"train": DAY, "val": DAY, "test": EVENING}
    ),
}


def classes(task: str) -> list[str]:
    """Return the names of the classes of a task."""
    kinds = sorted(SHAPES)
    if task == "kinds":
        return kinds
    return [f"{number:02d}-{kinds[number % len(kinds)]}" for number in range(NUM_OBJECTS)]


def render_labelled(folder: str | Path, *, task: str, seed: int = 0, scale: float = 1.0) -> Path:
    """Render the images of a task into a folder; existing splits are kept.

    Args:
        folder: The folder.
        task: One of `TASKS`.
        seed: Seed of all random draws.
        scale: Factor for the number of images per class, which is at least two in each split.

    Raises:
        ConfigError: The task is unknown.
        OutputError: The images cannot be written.
    """
    if task not in TASKS:
        raise ConfigError(f"unknown task {task!r}", f"tasks: {', '.join(TASKS)}")
    folder = Path(folder)
    for part, per_class in TASKS[task].per_class.items():
        if (folder / part).is_dir():
            continue
        with atomic_folder(folder / part) as partial:
            _draw(partial, task, part, max(round(scale * per_class), 2), seed)
    return folder


def _draw(folder: Path, task: str, part: str, per_class: int, seed: int) -> None:
    backdrops = [
        film_place(generator(f"labelled place, {part}", seed, number)).backdrop
        for number in range(PLACES[part])
    ]
    for label, name in enumerate(classes(task)):
        (folder / name).mkdir()
        same = _individual(label, generator("labelled object", seed, label))
        for number in range(per_class):
            random = generator(f"labelled image, {task}, {part}", seed, label, number)
            thing = same if task == "objects" else _individual(label, random)
            picture = _still(random, thing, backdrops, TASKS[task].ranges[part])
            done, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            assert done
            (folder / name / f"{number:04d}.png").write_bytes(encoded.tobytes())


def _individual(label: int, random: np.random.Generator) -> Sprite:
    kind = sorted(SHAPES)[label % len(SHAPES)]
    return individual(random, kind, float(random.uniform(-np.pi, 0))).picture


def _still(
    random: np.random.Generator, thing: Sprite, backdrops: Sequence[Backdrop], ranges: Ranges
) -> Frame:
    """Render one object at a random position in a place, at a random time of day."""
    view = float(random.uniform(190, 360))
    low = np.asarray([view / 2 + 8, view / 2 + 8])
    high = np.asarray([BACKDROP_WIDTH, BACKDROP_HEIGHT]) - low
    centre = np.clip(
        [random.uniform(low[0], high[0]), random.uniform(0.52, 0.66) * BACKDROP_HEIGHT], low, high
    )
    camera = camera_matrix(np.asarray([*centre, view, random.normal(0, 0.05)]), SIDE, SIDE)
    frame = cv2.warpAffine(
        backdrops[int(random.integers(len(backdrops)))], camera, (SIDE, SIDE),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    at = centre + random.uniform(-0.24, 0.24, 2) * view * [1, 0.6]
    size = view * random.uniform(0.65, 1.0)
    turn = random.uniform(*ranges.turn) + (np.pi if random.random() < 0.5 else 0.0)
    pose = np.asarray([*at, size, random.normal(0, 0.15), turn])
    lay_over(frame, SHADOW, chained(camera, shadow_matrix(pose)))
    lay_over(frame, thing, chained(camera, actor_matrix(pose, SPRITE_SIZE)))
    exposure = random.uniform(0.7, 1.25) * random.uniform(0.75, 1.3, 3)
    light = daylight(float(random.uniform(*ranges.hours))) * exposure
    return np.asarray(np.clip(frame * light, 0, 255), np.uint8)
