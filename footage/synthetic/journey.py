"""The story of a rendered film: things come to a place one after the other, on one day.

    film   one place, one cast, a day from morning to night
    shot   the next of the cast is in front, and all who came before are with it
    frame  the camera follows the one in front, which turns and comes nearer or goes farther away

So things persist across cuts, while position, size, pose, light and background change, and the
shots of every film have an order that can be seen: more things, and a later light.
"""

import numpy as np
from jaxtyping import Float

from footage.synthetic.shots import Course, Shot
from footage.synthetic.world import BACKDROP_HEIGHT, BACKDROP_WIDTH

STRETCH = (250, 450)
"""Pixels of the backdrop that the thing in front crosses in a shot."""

MARGIN = 230
"""Pixels of the backdrop between its edges and the ends of the way."""

CLOSE, WIDE = (185, 235), (290, 370)
"""Height of the view in pixels of the backdrop; close and wide shots alternate."""

DAY = np.asarray(
    [
        [0.70, 0.86, 1.15],
        [1.05, 1.05, 1.00],
        [1.15, 1.02, 0.85],
        [1.20, 0.68, 0.42],
        [0.42, 0.52, 0.95],
    ]
)
"""Gains of red, green and blue from morning to night, at equal distances."""


def daylight(time: float) -> Float[np.ndarray, "3"]:
    """Gains of red, green and blue at a time of the day, 0 in the morning and 1 at night."""
    hours = np.linspace(0, 1, len(DAY))
    return np.asarray([np.interp(time, hours, gains) for gains in DAY.T])


def journey(generator: np.random.Generator, lengths: list[int], aspect: float) -> list[Shot]:
    """The shots of a film, in each of which the thing of the same number in the cast is in front.

    Args:
        generator: Everything is drawn from it.
        lengths: Frames of each shot.
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
    """One stretch of the way, from `across[0]` to `across[1]` and from `day[0]` to `day[1]`."""
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
    """A way with a roll and a turn."""
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
    """A companion, alternately on the left and on the right of the thing in front."""
    side = 1 if place % 2 == 0 else -1
    gap = (0.5 + 0.12 * (place // 2)) * view * side + generator.uniform(-0.04, 0.04, 2) * view
    depth = generator.uniform(-0.16, 0.1) * view
    size = view * generator.uniform(0.32, 0.42) * np.ones(2)
    return _course(generator, across + gap, down + depth, size)
