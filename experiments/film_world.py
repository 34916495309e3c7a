"""Worlds of rendered films: a room or an outdoor place, its objects and its light.

A place is a box seen from inside. Indoors its faces are papered walls with things on them; outdoors
they are a landscape that emits its own light. All shots of a video share a world. Colours come from
palettes that worlds share, so colour does not identify a video.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from experiments.film_things import Thing, thing
from footage.synthetic.art import TEXTURES, noise, painted
from footage.synthetic.world import PALETTES

TEXELS = 320
"""Side of the texture on each face of the box, whatever the face's shape."""

Colours = Float[np.ndarray, "tones 3"]
Picture = Float[np.ndarray, "H W 3"]


class Place(NamedTuple):
    """A box around the origin with its floor at z = 0."""

    kind: str
    half: Float[np.ndarray, " 2"]
    """Half of its extent along x and y, in metres."""
    height: float
    faces: UInt8[np.ndarray, "6 texels texels 3"]
    """Textures on +x, -x, +y, -y, floor and ceiling; walls as seen from inside."""
    shines: tuple[bool, ...]
    """Whether each face emits light instead of being lit."""


class World(NamedTuple):
    """Properties that all shots of one video share."""

    place: Place
    palette: str
    cast: list[Thing]
    props: list[Thing]
    prop_places: Float[np.ndarray, "props 4"]
    """x, y, yaw and scale of objects that never move."""
    tint: Float[np.ndarray, " 3"]
    """Colour of the lamp."""
    ambient: float


def world(random: np.random.Generator) -> World:
    """Generate a random world."""
    kind = str(random.choice(sorted(KINDS)))
    palette = str(random.choice(sorted(PALETTES)))
    colours = np.stack([_colour(code) for code in PALETTES[palette]])
    colours = np.clip(0.1 + 0.9 * colours * random.uniform(0.9, 1.1, (5, 3)), 0, 1)
    place = KINDS[kind](random, colours)
    cast = [thing(random) for _ in range(int(random.integers(3, 6)))]
    props = [thing(random) for _ in range(int(random.integers(2, 5)))]
    angle = random.uniform(-np.pi, np.pi) + np.arange(len(props)) * 2 * np.pi / len(props)
    angle += random.uniform(-0.4, 0.4, len(props))
    reach = place.half - random.uniform(0.8, 1.2, (len(props), 2))
    square = np.maximum(np.abs(np.cos(angle)), np.abs(np.sin(angle)))
    where = reach * np.stack([np.cos(angle), np.sin(angle)], axis=1) / square[:, None]
    yaw, scale = random.uniform(-np.pi, np.pi, len(props)), random.uniform(1.2, 2.0, len(props))
    tint = 1 + random.uniform(-0.14, 0.14, 3)
    return World(
        place=place,
        palette=palette,
        cast=cast,
        props=props,
        prop_places=np.column_stack([where, yaw, scale]),
        tint=tint,
        ambient=float(random.uniform(0.35, 0.55)),
    )


def _colour(code: str) -> Float[np.ndarray, " 3"]:
    return np.asarray([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])


def _texture(random: np.random.Generator, height: int, width: int) -> Float[np.ndarray, "H W"]:
    name = str(random.choice(sorted(TEXTURES)))
    return TEXTURES[name](random, height, width)


def _bytes(pictures: list[Picture]) -> UInt8[np.ndarray, "6 texels texels 3"]:
    stacked = np.round(np.clip(np.stack(pictures), 0, 1) * 255).astype(np.uint8)
    # A frame has fewer pixels than the faces it shows: finer details would flicker.
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 0.8) for picture in stacked])


def _ground(random: np.random.Generator, low: Colours, high: Colours) -> Picture:
    """Return a floor: a texture, darker towards the walls."""
    floor = painted(_texture(random, TEXELS, TEXELS), low, high)
    grain = noise(random, TEXELS, TEXELS, 12)[..., None]
    return floor * (0.85 + 0.3 * grain) * _corners()[..., None]


def _corners() -> Float[np.ndarray, "texels texels"]:
    """Return the darkening towards the edges of a face."""
    across = np.abs(np.linspace(-1, 1, TEXELS))
    near = np.clip((np.maximum(across[:, None], across[None]) - 0.75) / 0.25, 0, 1)
    return 1 - 0.3 * near**2


# --- indoors ------------------------------------------------------------------------------------


def _room(random: np.random.Generator, colours: Colours) -> Place:
    half = random.uniform(4.2, 6.0, 2)
    height = float(random.uniform(2.8, 4.0))
    order = random.permutation(4)
    paper = _texture(random, TEXELS, TEXELS)
    share = random.uniform(0.1, 0.5)
    low = colours[order[0]]
    high = low + share * (colours[order[1]] - low)
    walls = [_wall(random, painted(paper, low, high), colours) for _ in range(4)]
    floor = _ground(random, colours[order[2]] * 0.9, colours[order[3]] * 0.7 + 0.2)
    ceiling = np.full((TEXELS, TEXELS, 3), 0.85) * _corners()[..., None]
    return Place("room", half, height, _bytes([*walls, floor, ceiling]), (False,) * 6)


def _wall(random: np.random.Generator, paper: Picture, colours: Colours) -> Picture:
    """Return a papered wall with a window, a door, a shelf or pictures, and a skirting board."""
    wall = paper.copy()
    left = int(random.integers(5, 40))
    while left < TEXELS - 60:
        wide = int(random.integers(40, 90))
        fitting = str(random.choice(sorted(FITTINGS)))
        top, bottom = {"door": (90, TEXELS)}.get(fitting, (70, int(random.integers(150, 230))))
        inner = wall[top:bottom, left : left + wide]
        FITTINGS[fitting](random, inner, colours)
        left += wide + int(random.integers(15, 80))
    wall[-14:] = colours[4] * 0.7
    return wall * _corners()[..., None]


def _frame(inner: Picture, colour: Colours, thick: int) -> Picture:
    """Paint a frame around a picture."""
    inner[:] = colour
    return inner[thick:-thick, thick:-thick]


def _window(random: np.random.Generator, inner: Picture, colours: Colours) -> None:
    pane = _frame(inner, np.full(3, random.uniform(0.5, 0.95)), 4)
    ramp = np.linspace(0, 1, pane.shape[0])[:, None, None]
    pane[:] = (1 - ramp) * [0.55, 0.75, 0.95] + ramp * [0.95, 0.95, 0.9]
    horizon = int(pane.shape[0] * random.uniform(0.5, 0.8))
    pane[horizon:] = colours[2] * 0.8
    pane[:, pane.shape[1] // 2 - 1 : pane.shape[1] // 2 + 2] = inner[0, 0]
    pane[pane.shape[0] // 2 - 1 : pane.shape[0] // 2 + 2] = inner[0, 0]


def _door(random: np.random.Generator, inner: Picture, colours: Colours) -> None:
    colour = colours[int(random.integers(5))]
    leaf = _frame(inner, colour * 0.55, 5)
    leaf[:] = colour
    width = leaf.shape[1]
    for top, bottom in ((12, 80), (100, leaf.shape[0] - 20)):
        leaf[top:bottom, width // 6 : -width // 6] = colour * 0.85
    cv2.circle(leaf, (width - 7, leaf.shape[0] // 2), 3, (0.9, 0.8, 0.3), -1)


def _picture(random: np.random.Generator, inner: Picture, colours: Colours) -> None:
    canvas = _frame(inner, colours[int(random.integers(5))] * random.uniform(0.4, 1), 5)
    one, two = random.permutation(5)[:2]
    texture = _texture(random, canvas.shape[0], canvas.shape[1])
    canvas[:] = painted(texture, colours[one], colours[two])


def _shelf(random: np.random.Generator, inner: Picture, colours: Colours) -> None:
    inner[:] = colours[3] * 0.6
    for top in range(4, inner.shape[0] - 20, 30):
        left = 3
        while left < inner.shape[1] - 8:
            wide, high = int(random.integers(4, 9)), int(random.integers(14, 25))
            colour = colours[int(random.integers(5))] * random.uniform(0.6, 1.1)
            inner[top + 26 - high : top + 26, left : left + wide] = colour
            left += wide + int(random.integers(0, 3))


FITTINGS = {"window": _window, "door": _door, "picture": _picture, "shelf": _shelf}


# --- outdoors -----------------------------------------------------------------------------------


def _outdoors(random: np.random.Generator, colours: Colours) -> Place:
    """Return hills or houses all around under a sky; one skyline runs over the four walls."""
    half = np.full(2, random.uniform(9, 12))
    height = float(half[0] * 0.9)
    horizon = int(TEXELS * 0.9)
    ramp = np.linspace(0, 1, TEXELS)[:, None, None]
    around = np.broadcast_to((1 - ramp) * colours[0] + ramp * colours[1], (TEXELS, 4 * TEXELS, 3))
    clouds = np.clip(noise(random, TEXELS, 4 * TEXELS, 5) - 0.55, 0, 1)[..., None]
    around = around + clouds * (np.minimum(colours[1] * 1.15, 1) - around)
    for layer in range(int(random.integers(1, 4))):
        around = _ridge(random, around, colours, horizon, layer)
    if random.random() < 0.5:
        _houses(random, around, colours, horizon)
    around[horizon:] = colours[2] * 0.8
    front, right, back, left = (around[:, TEXELS * n : TEXELS * (n + 1)] for n in range(4))
    walls = [right, left, front, back]
    floor = _ground(random, colours[2] * 0.95, colours[3] * 0.6 + 0.35 * colours[2])
    sky = np.full((TEXELS, TEXELS, 3), 1.0) * colours[0]
    return Place(
        "outdoors", half, height, _bytes([*walls, floor, sky]), (True,) * 4 + (False, True)
    )


def _ridge(
    random: np.random.Generator, around: Picture, colours: Colours, horizon: int, layer: int
) -> Picture:
    angle = np.linspace(0, 2 * np.pi, around.shape[1])
    curve = sum(
        random.uniform(0.3, 1) / wave * np.sin(wave * angle + random.uniform(0, 6))
        for wave in (2, 3, 5, 9, 17)
    )
    top = horizon - (60 - 18 * layer) + (28 - 6 * layer) * curve
    haze = 0.55 - 0.25 * layer
    low, high = (tone * (1 - haze) + colours[1] * haze for tone in (colours[3], colours[2]))
    hill = painted(noise(random, around.shape[0], around.shape[1], 24), low, high)
    rows = np.arange(around.shape[0])[:, None]
    return np.where((rows > top[None])[..., None], hill, around)


def _houses(random: np.random.Generator, around: Picture, colours: Colours, horizon: int) -> None:
    left = int(random.integers(0, 60))
    while left < around.shape[1] - 60:
        wide, high = int(random.integers(20, 60)), int(random.integers(20, 75))
        front = around[horizon - high : horizon, left : left + wide]
        front[:] = colours[int(random.integers(1, 5))] * random.uniform(0.6, 1.0)
        for top in range(5, high - 9, 13):
            front[top : top + 6, 4::11] = front[top : top + 6, 5::11] = colours[3] * 0.5
        left += wide + int(random.integers(0, 110))


KINDS = {"room": _room, "outdoors": _outdoors}
