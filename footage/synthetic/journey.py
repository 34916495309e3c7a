"""The plot of a rendered video: objects appear in a place one after the other, during one day.

    video  one place, one cast, a day from morning to night
    shot   the next object of the cast is in front, together with all previous ones
    frame  the camera follows the object in front, which rotates and changes its distance

So objects persist across cuts, while position, size, pose, light and background change. The shots
of each video have a visible order: more objects, and light of a later time of day.
"""

import numpy as np
from jaxtyping import Float

from footage.synthetic.shots import Course, Shot
from footage.synthetic.world import BACKDROP_HEIGHT, BACKDROP_WIDTH

STRETCH = (250, 450)
"""Distance that the object in front crosses in a shot, in pixels of the backdrop."""

MARGIN = 230
"""Distance between the backdrop's edges and the ends of the path, in pixels of the backdrop."""

CLOSE, WIDE = (185, 235), (290, 370)
"""Height of the view, in pixels of the backdrop; close and wide shots alternate."""

DAY = np.asarray(
    [
        [0.70, 0.86, 1.15],
        [1.05, 1.05, 1.00],
        [1.15, 1.02, 0.85],
        [1.20, 0.68, 0.42],
        [0.42, 0.52, 0.95],
    ]
)
"""Gains of red, green and blue from morning to night, at equal time steps."""


def daylight(time: float) -> Float[np.ndarray, "3"]:
    """Return the gains of red, green and blue at a time from 0 (morning) to 1 (night)."""
    hours = np.linspace(0, 1, len(DAY))
    return np.asarray([np.interp(time, hours, gains) for gains in DAY.T])


def journey(generator: np.random.Generator, lengths: list[int], aspect: float) -> list[Shot]:
    """Plan the shots of a video; in each shot, the cast member of the same index is in front.

    Args:
        generator: Source of all random draws.
        lengths: Number of frames of each shot.
        aspect: Width of a frame divided by its height.
    """
    cuts = np.linspace(0, 1, len(lengths) + 1)
    starts_close = int(generator.integers(2))
    shots = []
    for number, (begin, end, num_frames) in enumerate(
        zip(cuts[:-1], cuts[1:], lengths, strict=True)
    ):
        day = np.asarray([begin, begin + 0.6 * (end - begin)])
        far = generator.uniform(*STRETCH)
        first = generator.uniform(MARGIN, BACKDROP_WIDTH - MARGIN - far)
        across = np.asarray([first, first + far])[:: int(generator.choice([-1, 1]))]
        before = generator.permutation(number).tolist()
        view = generator.uniform(*(CLOSE if number % 2 == starts_close else WIDE))
        shots.append(_shot(generator, across, number, before, day, view, num_frames, aspect))
    return shots


def _shot(
    generator: np.random.Generator,
    across: Float[np.ndarray, "2"],
    front: int,
    companions: list[int],
    day: Float[np.ndarray, "2"],
    height: float,
    num_frames: int,
    aspect: float,
) -> Shot:
    """Plan one section of the path, from `across[0]` to `across[1]` and `day[0]` to `day[1]`."""
    view = height * generator.uniform(0.78, 1.22, 2)
    down = generator.uniform(0.55, 0.68) * BACKDROP_HEIGHT
    ground = down + generator.uniform(-12, 12, 2)
    offset = generator.uniform(-0.28, 0.28, 2) * view.mean() * aspect
    lift = generator.uniform(-0.1, 0.06, 2) * view
    roll = generator.normal(0, 0.04, 2)
    middle = np.clip(ground + lift, view / 2 + 8, BACKDROP_HEIGHT - view / 2 - 8)
    camera = Course(*np.stack([across + offset, middle, view * aspect, roll], axis=1))
    size = view.mean() * generator.uniform(0.7, 1.0) * generator.uniform(0.85, 1.15, 2)
    leader = (front, _course(generator, across, ground, size))
    actors = [
        (number, _beside(generator, place, across, ground, view.mean()))
        for place, number in enumerate(companions)
    ]
    cast = generator.uniform(0.92, 1.08, 3)
    exposures = generator.uniform(0.7, 1.25, 2)
    light = Course(*(daylight(float(t)) * e * cast for t, e in zip(day, exposures, strict=True)))
    return Shot(num_frames, camera, [*actors, leader], light)


def _course(
    generator: np.random.Generator,
    across: Float[np.ndarray, "2"],
    down: Float[np.ndarray, "2"],
    size: Float[np.ndarray, "2"],
) -> Course:
    """Make a course with a roll and a yaw."""
    roll = generator.normal(0, 0.12) + generator.normal(0, 0.15, 2)
    turn = generator.uniform(-0.9, 0.9, 2) + (np.pi if generator.random() < 0.5 else 0.0)
    return Course(*np.stack([across, down, size, roll, turn], axis=1))


def _beside(
    generator: np.random.Generator,
    place: int,
    across: Float[np.ndarray, "2"],
    down: Float[np.ndarray, "2"],
    view: float,
) -> Course:
    """Place a companion, alternately to the left and right of the object in front."""
    side = 1 if place % 2 == 0 else -1
    gap = (0.5 + 0.12 * (place // 2)) * view * side + generator.uniform(-0.04, 0.04, 2) * view
    depth = generator.uniform(-0.16, 0.1) * view
    size = view * generator.uniform(0.32, 0.42) * np.ones(2)
    return _course(generator, across + gap, down + depth, size)
