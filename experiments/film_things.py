"""Objects of rendered films: closed surfaces from a few formulas, combined to have a front.

A part is a grid of points bent into a superquadric, a solid of revolution, a bevelled star or a
tube. A thing consists of several parts, placed so that it looks different from every side, which
makes its rotation visible. Nothing here is someone else's mesh, or a plain cube, ball, cone or
ring.

Lengths are in metres, z is up, the front faces -y, and a thing stands on z = 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from footage.synthetic.art import TEXTURES, noise, painted
from footage.synthetic.world import random_colours

TEXELS = 64
"""Side of a part's texture, in pixels."""

Grid = Float[np.ndarray, "rows columns 3"]
Vector = Float[np.ndarray, " 3"]


class Surface(NamedTuple):
    """Triangles of one or more parts: normals point outwards, `across` is 0 to 1 on the texture."""

    points: Float[np.ndarray, "V 3"]
    normals: Float[np.ndarray, "V 3"]
    across: Float[np.ndarray, "V 2"]
    part: Int[np.ndarray, " V"]
    faces: Int[np.ndarray, "T 3"]


class Thing(NamedTuple):
    """An object with the textures of its parts."""

    family: str
    surface: Surface
    pictures: UInt8[np.ndarray, "parts texels texels 3"]
    shine: Float[np.ndarray, " parts"]

    @property
    def radius(self) -> float:
        """Return the distance in metres from the upright axis to the farthest point."""
        return float(np.hypot(*self.surface.points[:, :2].T).max())

    @property
    def height(self) -> float:
        """Return the height in metres from the ground."""
        return float(self.surface.points[:, 2].max())


# --- parts --------------------------------------------------------------------------------------


def closed(grid: Grid, middle: Vector | None = None) -> Surface:
    """Return the surface of a grid with cyclic columns; its normals point away from the middle."""
    rows, columns = grid.shape[:2]
    along = np.gradient(grid, axis=0)
    wrapped = np.concatenate([grid[:, -2:-1], grid, grid[:, 1:2]], axis=1)
    around = wrapped[:, 2:] - wrapped[:, :-2]
    # At a pole the tangent has length zero: use that of the next ring.
    around[0], around[-1] = around[1], around[-2]
    normals = np.cross(around, along).reshape(-1, 3)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    points = grid.reshape(-1, 3)
    outward = points - (points.mean(axis=0) if middle is None else middle)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    first = np.stack([corner, corner + columns, corner + columns + 1], axis=1)
    second = np.stack([corner, corner + columns + 1, corner + 1], axis=1)
    faces = np.concatenate([first, second])
    if (outward * normals).sum() < 0:
        normals = -normals
    edges = points[faces]
    turn = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    inward = (turn * normals[faces].sum(axis=1)).sum(axis=1) < 0
    faces[inward] = faces[inward][:, ::-1]
    down, right = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    across = np.stack([right.ravel(), down.ravel()], axis=1)
    return Surface(points, normals, across, np.zeros(len(points), np.int64), faces)


def _power(value: Float[np.ndarray, "..."], exponent: float) -> Float[np.ndarray, "..."]:
    return np.sign(value) * np.abs(value) ** exponent


def superquadric(up: float, round_about: float, size: Vector, taper: float, bend: float) -> Surface:
    """Barr 1981, "Superquadrics and angle-preserving transformations", then tapered and bent."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
    longitude = np.linspace(-np.pi, np.pi, 15)[None]
    ring = _power(np.cos(latitude), up)
    x = ring * _power(np.cos(longitude), round_about)
    y = ring * _power(np.sin(longitude), round_about)
    z = np.broadcast_to(_power(np.sin(latitude), up), x.shape)
    x, y = x * (1 - taper * z), y * (1 - taper * z) + bend * (z**2 - 0.5)
    return closed(np.stack([x, y, z], axis=-1) * size)


def turned(profile: Float[np.ndarray, "n 2"], folds: int = 0, depth: float = 0.0) -> Surface:
    """Revolve a profile of (radius, height); folds modulate its outline."""
    angle = np.linspace(-np.pi, np.pi, 19)
    smooth = np.linspace(0, len(profile) - 1, 2 * len(profile) - 1)
    stops = np.arange(len(profile))
    radius, height = (np.interp(smooth, stops, profile[:, axis]) for axis in range(2))
    radius = np.convolve(np.pad(radius, 1, "edge"), [0.25, 0.5, 0.25], "valid")
    radius[[0, -1]] = 0.0
    wave = 1 + depth * np.cos(folds * angle)
    x, y = (radius[:, None] * wave * f(angle) for f in (np.cos, np.sin))
    return closed(np.stack([x, y, np.broadcast_to(height[:, None], x.shape)], axis=-1))


def star(folds: int, depth: float, thickness: float, second: float) -> Surface:
    """Return a thick, horizontal plate with a star's or a gear's outline and bevelled rims."""
    angle = np.linspace(-np.pi, np.pi, 33)
    outline = 1 + depth * np.tanh(2.5 * np.cos(folds * angle)) + second * np.cos(angle)
    steps = ((0, -1), (0.85, -1), (0.95, -0.9), (1, 0), (0.95, 0.9), (0.85, 1), (0, 1))
    inward, height = np.asarray(steps, float).T
    x, y = (inward[:, None] * outline * f(angle) for f in (np.cos, np.sin))
    z = np.broadcast_to(height[:, None] * thickness, x.shape)
    return closed(np.stack([x, y, z], axis=-1))


def tube(path: Float[np.ndarray, "n 3"], thick: float, thin: float, flat: float = 1.0) -> Surface:
    """Return a tube along a path in the plane x = 0, with tapering thickness, maybe flattened."""
    ahead = np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    sideways = np.asarray([1.0, 0.0, 0.0])
    other = np.cross(ahead, sideways)
    angle = np.linspace(-np.pi, np.pi, 7)
    radius = np.linspace(thick, thin, len(path))[:, None, None]
    ring = np.cos(angle)[None, :, None] * sideways + flat * (
        np.sin(angle)[None, :, None] * other[:, None]
    )
    grid = path[:, None] + radius * ring
    ends = [np.broadcast_to(path[end], grid[:1].shape) for end in (0, -1)]
    return closed(np.concatenate([ends[0], grid, ends[1]]))


def arc(radius: float, begin: float, end: float, stretch: float = 1.0) -> Float[np.ndarray, "7 3"]:
    """Return an arc in the plane x = 0, from one angle (radians above +y) to another."""
    angle = np.linspace(begin, end, 7)
    return np.stack([0 * angle, radius * np.cos(angle), stretch * radius * np.sin(angle)], axis=1)


def moved(part: Surface, place: tuple[float, ...], turn: tuple[float, ...] = (0, 0, 0)) -> Surface:
    """Rotate the part about x, then y, then z (radians), and translate it."""
    matrix = np.eye(3)
    for axis, angle in enumerate(turn):
        step = np.eye(3)
        one, two = (axis + 1) % 3, (axis + 2) % 3
        step[[one, two], [one, two]] = np.cos(angle)
        step[one, two], step[two, one] = -np.sin(angle), np.sin(angle)
        matrix = step @ matrix
    return part._replace(
        points=part.points @ matrix.T + np.asarray(place), normals=part.normals @ matrix.T
    )


def joined(parts: list[Surface]) -> Surface:
    """Combine many surfaces into one; parts are numbered consecutively."""
    points = np.cumsum([0, *(len(one.points) for one in parts)])
    numbers = np.cumsum([0, *(one.part.max() + 1 for one in parts)])
    return Surface(
        np.concatenate([one.points for one in parts]),
        np.concatenate([one.normals for one in parts]),
        np.concatenate([one.across for one in parts]),
        np.concatenate([one.part + first for one, first in zip(parts, numbers, strict=False)]),
        np.concatenate([one.faces + first for one, first in zip(parts, points, strict=False)]),
    )


# --- things -------------------------------------------------------------------------------------


def _body(random: np.random.Generator, *size: float) -> Surface:
    """Return a superquadric that clearly differs from the plain solids."""
    extent = np.asarray(size) * random.uniform(0.8, 1.25, 3)
    up, round_about = random.uniform(0.35, 1.4, 2)
    taper = random.choice([-1, 1]) * random.uniform(0.2, 0.5)
    return superquadric(up, round_about, extent, taper, random.uniform(-0.5, 0.5))


def _profile(random: np.random.Generator, height: float, wide: float) -> Float[np.ndarray, "n 2"]:
    """Return a profile that widens and narrows."""
    count = int(random.integers(4, 7))
    radius = wide * random.uniform(0.35, 1.0, count)
    radius[int(random.integers(count))] = wide
    radius = np.asarray([0, *radius, 0])
    level = np.linspace(0, height, count)
    return np.stack([radius, np.asarray([0, *level, height])], axis=1)


def _vessel(random: np.random.Generator) -> list[Surface]:
    height, wide = random.uniform(0.7, 1.3), random.uniform(0.3, 0.5)
    folds, depth = int(random.integers(3, 9)), random.uniform(0, 0.12)
    parts = [turned(_profile(random, height, wide), folds, depth)]
    grip = tube(arc(0.28 * height, -1.6, 1.6, random.uniform(0.8, 1.3)), 0.07, 0.05)
    parts.append(moved(grip, (0, 0.75 * wide, 0.5 * height)))
    if random.random() < 0.6:
        spout = tube(arc(0.4 * height, 3.5, 4.6), 0.05, 0.12)
        parts.append(moved(spout, (0, -0.4 * wide, 0.95 * height)))
    return parts


def _creature(random: np.random.Generator) -> list[Surface]:
    long, high = random.uniform(0.45, 0.7), random.uniform(0.3, 0.6)
    parts = [moved(_body(random, 0.28, long, 0.24), (0, 0, high))]
    head = _body(random, 0.2, 0.22, 0.2)
    parts.append(moved(head, (0, -long - 0.08, high + random.uniform(0.1, 0.35))))
    for x in (-0.17, 0.17):
        for y in (-0.55 * long, 0.55 * long):
            leg = turned(
                np.asarray([[0, 0], [0.1, 0], [0.06, 0.5 * high], [0.09, high], [0, high]])
            )
            parts.append(moved(leg, (x, y, 0)))
    tail = tube(arc(0.35, -1.2, random.uniform(0.6, 1.6)), 0.08, 0.02)
    parts.append(moved(tail, (0, long, high + 0.2)))
    return parts


def _machine(random: np.random.Generator) -> list[Surface]:
    base = star(int(random.integers(3, 8)), random.uniform(0.05, 0.2), 0.2, 0.15)
    parts = [base._replace(points=base.points * 0.5 + [0, 0, 0.1])]
    parts.append(moved(_body(random, 0.25, 0.25, 0.35), (0.1, 0.1, 0.5)))
    wheel = star(int(random.integers(5, 12)), random.uniform(0.08, 0.22), 0.25, 0.0)
    wheel = wheel._replace(points=wheel.points * random.uniform(0.25, 0.4))
    parts.append(moved(wheel, (-0.05, -0.35, 0.6), (np.pi / 2, 0, 0)))
    pipe = tube(arc(0.35, 0.0, random.uniform(2, 3.1)), 0.07, random.uniform(0.04, 0.14))
    parts.append(moved(pipe, (0.25, 0.1, 0.75), (0, 0, random.uniform(-1, 1))))
    return parts


def _plant(random: np.random.Generator) -> list[Surface]:
    parts = [turned(_profile(random, random.uniform(0.3, 0.5), random.uniform(0.25, 0.4)), 6, 0.05)]
    lean = random.uniform(-np.pi, np.pi)
    for number in range(int(random.integers(4, 7))):
        bow = arc(random.uniform(0.4, 0.7), 3.1, random.uniform(1.2, 1.9), random.uniform(1, 1.8))
        leaf = tube(bow - bow[0], random.uniform(0.08, 0.14), 0.015, random.uniform(0.2, 0.5))
        turn = lean + 0.75 * number + random.uniform(-0.3, 0.3)
        parts.append(moved(leaf, (0, 0, 0.35), (0, 0, turn)))
    return parts


def _tower(random: np.random.Generator) -> list[Surface]:
    parts, level = [], 0.0
    for _ in range(int(random.integers(3, 5))):
        high, wide = random.uniform(0.12, 0.25), random.uniform(0.22, 0.45)
        part = _body(random, wide, wide * random.uniform(0.5, 1), high)
        shift = random.uniform(-0.15, 0.15, 2)
        turn = (0, 0, random.uniform(-1, 1))
        parts.append(moved(part, (*shift, level + high), turn))
        level += 1.7 * high
    horn = tube(arc(0.3, 3.1, random.uniform(0.3, 1.5)), 0.09, 0.02)
    parts.append(moved(horn, (0.0, -0.2, level), (0, 0, random.uniform(-0.5, 0.5))))
    return parts


def _winged(random: np.random.Generator) -> list[Surface]:
    long, high = random.uniform(0.5, 0.7), random.uniform(0.35, 0.6)
    parts = [moved(_body(random, 0.2, long, 0.18), (0, 0, high))]
    sweep = random.uniform(-0.5, 0.5)
    for side in (-1, 1):
        wing = superquadric(0.5, 0.9, np.asarray([0.32, 0.18, 0.03]), 0.1, 0.2)
        turn = (0, side * random.uniform(-0.4, 0.1), side * sweep)
        parts.append(moved(wing, (side * 0.42, -0.05, high + 0.05), turn))
    fin = superquadric(0.6, 0.8, np.asarray([0.03, 0.14, 0.2]), 0.4, 0.5)
    parts.append(moved(fin, (0, 0.8 * long, high + 0.22)))
    foot = turned(
        np.asarray([[0, 0], [0.25, 0], [0.22, 0.06], [0.06, 0.1], [0.05, high], [0, high]])
    )
    parts.append(foot)
    return parts


FAMILIES: dict[str, Callable[[np.random.Generator], list[Surface]]] = {
    "vessel": _vessel,
    "creature": _creature,
    "machine": _machine,
    "plant": _plant,
    "tower": _tower,
    "winged": _winged,
}


def thing(random: np.random.Generator) -> Thing:
    """Generate a random object, about one metre in size."""
    family = str(random.choice(sorted(FAMILIES)))
    surface = joined(FAMILIES[family](random))
    points = surface.points - [0, 0, surface.points[:, 2].min()]
    extent = max(float(np.hypot(*points[:, :2].T).max()), float(points[:, 2].max()) / 2)
    points *= random.uniform(0.5, 0.65) / extent
    count = int(surface.part.max()) + 1
    colours = random_colours(random, 3)
    colours += random.uniform(0, 0.5) * (colours.mean(axis=1, keepdims=True) - colours)
    pictures = np.stack([_picture(random, colours) for _ in range(count)])
    shine = random.choice([0.0, 0.15, 0.45], count)
    return Thing(family, surface._replace(points=points), pictures, shine)


def _picture(
    random: np.random.Generator, colours: Float[np.ndarray, "3 3"]
) -> UInt8[np.ndarray, "texels texels 3"]:
    """Return a part's texture: two of the object's colours in a pattern, or almost plain."""
    first, second = random.permutation(3)[:2]
    if random.random() < 0.35:
        pattern = noise(random, TEXELS, TEXELS)
        return _bytes(painted(pattern, colours[first] * 0.85, np.minimum(colours[first] * 1.1, 1)))
    name = str(random.choice(sorted(TEXTURES)))
    side = int(TEXELS * random.uniform(1.5, 3))
    pattern = TEXTURES[name](random, side, side)[:TEXELS, :TEXELS]
    return _bytes(painted(cv2.GaussianBlur(pattern, (0, 0), 0.8), colours[first], colours[second]))


def _bytes(picture: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    return np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
