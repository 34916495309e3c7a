"""Worlds of rendered videos: a painted backdrop and a cast of recurring objects for each video.

A backdrop is a wide painting, and every shot shows a different part of it. Worlds share palettes
and shapes, so neither a colour nor an outline alone identifies the video of a frame.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from footage.synthetic.art import SHAPES, TEXTURES, Colour, Sprite, Texture, noise, painted, sprite

BACKDROP_HEIGHT, BACKDROP_WIDTH = 480, 1280
"""Height and width of the painting, in pixels."""

DEFOCUS = 10.0
"""Standard deviation of the blur of a video's backdrop, in pixels of the backdrop."""

SPRITE_SIZE = 160
"""Height and width of a sprite, in pixels."""

PALETTES = {
    "meadow": ("9fd3e6", "e9f3dd", "5d9b55", "3f6b44", "e4b53f"),
    "dusk": ("4b3b74", "f08a5d", "8a4f6d", "3a2b4c", "ffd479"),
    "desert": ("8ec9e8", "f7e2b5", "d9a662", "a86a3d", "c8442f"),
    "winter": ("b7c9d9", "f2f6f9", "d5e0e8", "7f97a8", "c0392b"),
    "sea": ("4aa3c7", "d8f0ee", "2a7f8f", "1d4e63", "f2a65a"),
    "autumn": ("c9b79c", "f6e7c8", "c2703d", "7a3e22", "8a9a3b"),
    "night": ("141d33", "33456b", "24304f", "121826", "f4d35e"),
    "candy": ("f7b5ca", "fdeef4", "a8d8d0", "d46a92", "6c5b95"),
    "forest": ("7fa99b", "d6e3c5", "35593f", "22382a", "d98f4e"),
    "brick": ("cfd4d2", "efe6da", "b5563c", "6d3527", "3d6d8c"),
    "paper": ("e8e1d0", "f7f3e8", "b8ae96", "6f6753", "4a6fa5"),
    "neon": ("221a3a", "53348c", "2d6f8f", "191329", "f0489c"),
}
"""Palettes: upper sky, sky at the horizon, light ground, dark ground, accent."""

Picture = Float[np.ndarray, "H W 3"]


class Actor(NamedTuple):
    """An individual object: its kind, for the ground truth, and its sprite."""

    shape: str
    textures: tuple[str, ...]
    picture: Sprite


class World(NamedTuple):
    """The elements shared by all shots of one video."""

    kind: str
    palette: str
    light_angle: float
    backdrop: UInt8[np.ndarray, "H W 3"]
    cast: list[Actor]


class Place(NamedTuple):
    """A painted backdrop, which several worlds may share."""

    kind: str
    palette: str
    light_angle: float
    colours: Float[np.ndarray, "tones 3"]
    backdrop: UInt8[np.ndarray, "H W 3"]


def place(generator: np.random.Generator, kinds: Sequence[str] = ()) -> Place:
    """Make a random place: kind (all, or those given), palette, light and backdrop."""
    kind = str(generator.choice(sorted(kinds or KINDS)))
    palette = str(generator.choice(sorted(PALETTES)))
    light_angle = float(generator.uniform(-np.pi, 0))
    colours = np.stack([_colour(code) for code in PALETTES[palette]])
    backdrop = KINDS[kind](generator, colours)
    pixels = np.round(np.clip(backdrop, 0, 1) * 255).astype(np.uint8)
    return Place(kind, palette, light_angle, colours, pixels)


def film_place(generator: np.random.Generator) -> Place:
    """Make the place of a video: a valley or a room, out of focus, so that objects stand out.

    Streets are not used: their rows of small windows hide the cuts between two pans.
    """
    at = place(generator, ("room", "valley"))
    return at._replace(backdrop=cv2.GaussianBlur(at.backdrop, (0, 0), DEFOCUS))


def world(generator: np.random.Generator, at: Place, num_actors: int) -> World:
    """Make a world at a place, with its own cast; every actor is of a different kind."""
    names = generator.choice(sorted(SHAPES), num_actors, replace=False)
    cast = [individual(generator, str(name), at.light_angle) for name in names]
    return World(at.kind, at.palette, at.light_angle, at.backdrop, cast)


def individual(generator: np.random.Generator, shape: str, light_angle: float) -> Actor:
    """Make an object with its own textures and colours."""
    names = tuple(str(n) for n in generator.choice(sorted(TEXTURES), 2, replace=False))
    textures = [TEXTURES[name](generator, SPRITE_SIZE, SPRITE_SIZE) for name in names]
    colours = random_colours(generator, 3)
    return Actor(shape, names, sprite(SHAPES[shape], textures, colours, light_angle, generator))


def _colour(code: str) -> Float[np.ndarray, " 3"]:
    return np.asarray([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def random_colours(generator: np.random.Generator, count: int) -> Float[np.ndarray, "n 3"]:
    """Draw colours of any hue in [0, 1], rather saturated and not too dark."""
    hsv = np.stack(
        [
            generator.uniform(0, 180, count),
            generator.uniform(70, 230, count),
            generator.uniform(110, 250, count),
        ],
        axis=1,
    ).astype(np.uint8)
    rgb = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    return np.asarray(rgb, np.float32) / 255


# --- places -------------------------------------------------------------------------------------


def _texture(generator: np.random.Generator, height: int, width: int) -> Texture:
    """Draw one of the video textures at random."""
    name = str(generator.choice(sorted(TEXTURES)))
    return TEXTURES[name](generator, height, width)


def _sky(generator: np.random.Generator, colours: Float[np.ndarray, "tones 3"]) -> Picture:
    """Paint a gradient from zenith to horizon, with clouds."""
    ramp = np.linspace(0, 1, BACKDROP_HEIGHT, dtype=np.float32)[:, None]
    clouds = noise(generator, BACKDROP_HEIGHT, BACKDROP_WIDTH)
    veil = np.clip((clouds - 0.55) * 3, 0, 1) * 0.5
    return painted(np.clip(ramp * 1.6 + veil, 0, 1), colours[0], colours[1])


def _floor(generator: np.random.Generator, horizon: int, low: Colour, high: Colour) -> Picture:
    """Paint a textured plane that extends to the horizon."""
    side = 512
    flat = painted(_texture(generator, side, side), low, high)
    depth = BACKDROP_HEIGHT - horizon
    source = np.asarray([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    far, near = 40, 900
    target = np.asarray(
        [[-far, 0], [BACKDROP_WIDTH + far, 0], [BACKDROP_WIDTH + near, depth], [-near, depth]],
        np.float32,
    )
    matrix = cv2.getPerspectiveTransform(source, target)
    return np.asarray(
        cv2.warpPerspective(
            flat, matrix, (BACKDROP_WIDTH, depth), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_WRAP
        ),
        np.float32,
    )


def _valley(generator: np.random.Generator, colours: Float[np.ndarray, "tones 3"]) -> Picture:
    """Paint sky, three ridges of hills that fade with distance, and open ground."""
    picture = _sky(generator, colours)
    rows = np.arange(BACKDROP_HEIGHT, dtype=np.float32)[:, None]
    horizon = int(generator.integers(250, 310))
    for layer in range(3):
        curve = noise(generator, 8, BACKDROP_WIDTH, coarsest=3 + 2 * layer)[4]
        ridge = horizon - 130 + 55 * layer + (curve - 0.5) * (150 - 30 * layer)
        haze = np.float32(0.55 - 0.25 * layer)
        low = colours[3] * (1 - haze) + colours[1] * haze
        high = colours[2] * (1 - haze) + colours[1] * haze
        hill = painted(_texture(generator, BACKDROP_HEIGHT, BACKDROP_WIDTH), low, high)
        shade = np.clip(1.1 - (rows - ridge[None]) / 400, 0.6, 1.1)[..., None]
        picture = np.where((rows > ridge[None])[..., None], hill * shade, picture)
    picture[horizon:] = _floor(generator, horizon, colours[3], colours[2])
    return picture


def _room(generator: np.random.Generator, colours: Float[np.ndarray, "tones 3"]) -> Picture:
    """Paint a papered wall with windows and pictures, a skirting board and a floor."""
    order = generator.permutation(4)
    wall = _texture(generator, BACKDROP_HEIGHT, BACKDROP_WIDTH)
    picture = painted(wall * 0.5 + 0.25, colours[order[0]], colours[order[1]])
    horizon = int(generator.integers(300, 370))
    left = int(generator.integers(20, 120))
    while left < BACKDROP_WIDTH - 160:
        wide, high = (int(n) for n in generator.integers(80, 190, 2))
        top = int(generator.integers(20, max(horizon - high - 30, 21)))
        frame = colours[int(generator.integers(0, 5))] * 0.8
        cv2.rectangle(picture, (left, top), (left + wide, top + high), frame.tolist(), -1)
        inner = picture[top + 8 : top + high - 8, left + 8 : left + wide - 8]
        low, tall = colours[int(generator.integers(0, 5))], colours[1]
        inner[:] = painted(_texture(generator, inner.shape[0], inner.shape[1]), low, tall)
        left += wide + int(generator.integers(40, 220))
    picture[horizon - 12 : horizon] = colours[4] * 0.7
    picture[horizon:] = _floor(generator, horizon, colours[order[2]], colours[order[3]])
    return picture


def _street(generator: np.random.Generator, colours: Float[np.ndarray, "tones 3"]) -> Picture:
    """Paint a row of houses with lit windows under the sky, and a pavement."""
    picture = _sky(generator, colours)
    horizon = int(generator.integers(310, 370))
    left = -int(generator.integers(0, 60))
    while left < BACKDROP_WIDTH:
        wide, high = int(generator.integers(90, 240)), int(generator.integers(120, 300))
        start, stop = max(left, 0), min(left + wide, BACKDROP_WIDTH)
        front = picture[horizon - high : horizon, start:stop]
        tone = colours[int(generator.integers(1, 4))]
        texture = _texture(generator, *front.shape[:2])
        front[:] = painted(texture, tone * 0.75, np.minimum(tone * 1.1, 1))
        _windows(generator, front, colours)
        left += wide + int(generator.integers(0, 30))
    picture[horizon:] = _floor(generator, horizon, colours[3], colours[2])
    return picture


def _windows(
    generator: np.random.Generator, front: Picture, colours: Float[np.ndarray, "tones 3"]
) -> None:
    """Draw rows of windows on the front of a house, some of them lit."""
    wide, high = (int(n) for n in generator.integers(14, 34, 2))
    lit = np.minimum(colours[4] * 1.2, 1)
    dark = colours[3] * 0.6
    for top in range(14, front.shape[0] - high - 8, high + 16):
        for left in range(12, front.shape[1] - wide - 6, wide + 14):
            colour = lit if generator.random() < 0.3 else dark
            front[top : top + high, left : left + wide] = colour


KINDS = {"valley": _valley, "room": _room, "street": _street}
