"""sprite-location and sprite-orientation: white shapes on black, after dSprites.

dSprites (Matthey et al. 2017) is the product of 3 shapes x 6 scales x 40 orientations x 32 x 32
places. VTAB's labels are the place from left to right in 16 bins of two, and the orientation in 16
bins of two and a half. In both suites the first and the last orientation are the same angle, so the
accuracy is at most about 97 %. The symmetry of square and ellipse, which look alike after rotations
by 90 or 180 degrees, lowers it further.
"""

from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from footage.seeding import generator
from footage.suites.pocket import COUNTS, Part
from pocket_suite.drawing import Example, TaskRenderer, grey_to_pixels

SIDE: Final = 64
"""Height and width of an image in pixels, as in dSprites."""
NUM_SCALES, NUM_ORIENTATIONS, NUM_PLACES = 6, 40, 32
NUM_CLASSES: Final = 16
_ANGLES: Final = NUM_ORIENTATIONS - 1
"""Number of distinct angles: the last orientation equals the first."""

_TURN: Final = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_SQUARE: Final = np.asarray([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 0.75
_ELLIPSE: Final = np.stack([np.cos(_TURN), 0.5 * np.sin(_TURN)], axis=1)
_HEART: Final = np.stack(
    [
        np.sin(_TURN) ** 3,
        -(13 * np.cos(_TURN) - 5 * np.cos(2 * _TURN) - 2 * np.cos(3 * _TURN) - np.cos(4 * _TURN))
        / 16,
    ],
    axis=1,
)
SHAPES: Final = {"square": _SQUARE, "ellipse": _ELLIPSE, "heart": _HEART}


class Sprite(NamedTuple):
    """The factors of one image, as indices."""

    shape: int
    scale: int
    orientation: int
    x: int
    y: int


def open_location(seed: int, _assets: Path) -> TaskRenderer:
    """Open the task of classifying the horizontal position of the sprite."""
    return _renderer("pocket sprite location", seed, "x")


def open_orientation(seed: int, _assets: Path) -> TaskRenderer:
    """Open the task of classifying the orientation of the sprite."""
    return _renderer("pocket sprite orientation", seed, "orientation")


def location_class(x: int) -> int:
    """Return the bin of a position as in VTAB: pairs of positions."""
    return x * NUM_CLASSES // NUM_PLACES


def orientation_class(orientation: int) -> int:
    """Return the bin of an orientation as in VTAB: two and a half orientations each."""
    return orientation * NUM_CLASSES // NUM_ORIENTATIONS


def _renderer(purpose: str, seed: int, asked: str) -> TaskRenderer:
    """Render distinct images in random order: no picture is in two splits, or occurs twice."""
    size = len(SHAPES) * NUM_SCALES * _ANGLES * NUM_PLACES * NUM_PLACES
    starts = dict(zip(COUNTS, np.cumsum([0, *COUNTS.values()]).tolist(), strict=False))
    order = generator(purpose, seed).permutation(size)[: sum(COUNTS.values())]

    def render_example(part: Part, number: int) -> Example:
        picture = int(order[starts[part] + number])
        sprite = _sprite(picture)
        if sprite.orientation == 0 and generator(purpose + " ends", seed, picture).random() < 0.5:
            sprite = sprite._replace(orientation=_ANGLES)
        label = location_class(sprite.x) if asked == "x" else orientation_class(sprite.orientation)
        source = "shape{}-scale{}-angle{}-x{}-y{}".format(
            *sprite._replace(orientation=sprite.orientation % _ANGLES)
        )
        return Example(draw(sprite), label, source)

    return render_example


def _sprite(picture: int) -> Sprite:
    sizes = (len(SHAPES), NUM_SCALES, _ANGLES, NUM_PLACES, NUM_PLACES)
    return Sprite(*(int(factor) for factor in np.unravel_index(picture, sizes)))


def draw(sprite: Sprite) -> np.ndarray:
    """Return the binary image of the sprite, 64 x 64 pixels as in dSprites."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    corners = np.round(outline(sprite) * 256).astype(np.int32)
    cv2.fillPoly(canvas, [corners], 255, lineType=cv2.LINE_8, shift=8)
    return grey_to_pixels(canvas)


def outline(sprite: Sprite) -> Float[np.ndarray, "n 2"]:
    """Return the sprite's corners in pixels, x to the right and y downwards."""
    shape = list(SHAPES.values())[sprite.shape]
    radius = 10.0 * np.linspace(0.5, 1, NUM_SCALES)[sprite.scale]
    angle = 2 * np.pi * sprite.orientation / _ANGLES
    turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = np.linspace(12, SIDE - 1 - 12, NUM_PLACES)
    return np.asarray(shape @ turn.T * radius + [places[sprite.x], places[sprite.y]])
