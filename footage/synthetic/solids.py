"""Render solid objects by ray marching; unlike sprites, they can be rotated and lit from anywhere.

An object consists of a few primitives, each with a position, a rotation and a pattern. A frame
shows the object in front of the backdrop, lit by one lamp and a pale sky, with its shadow.

Lengths are in radii of the object, which fits the unit ball; x is to the right, y away from the
camera and z up. Distances and ray marching follow Hart 1996, "Sphere tracing"; the soft shadow is
the usual smallest ratio of clearance to path length.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from footage.synthetic.world import random_colours

Points = Float[np.ndarray, "n 3"]
Lengths = Float[np.ndarray, " n"]
Pixels = UInt8[np.ndarray, "H W 3"]

VIEW_ANGLE = 40.0
"""Height and width of the view, in degrees."""

STEPS = 48
"""Maximum number of steps of a ray; a ray that has not arrived by then misses the object."""

CLOSE = 0.003
"""Distance from the surface below which a ray has arrived."""

OVERSAMPLING = 2
"""Number of rays along each side of a pixel."""

AMBIENT = 0.35
"""Fraction of ambient light."""

SHADOW = 0.6
"""Fraction of the floor's brightness that a full shadow removes."""


class Part(NamedTuple):
    """One primitive: its kind, position, rotation and pattern."""

    kind: str
    """A key of `KINDS`."""
    place: Float[np.ndarray, " 3"]
    turn: Float[np.ndarray, "3 3"]
    """Rotation matrix; its columns are the part's own axes."""
    size: Float[np.ndarray, " 3"]
    """Half widths along the part's own axes."""
    colours: Float[np.ndarray, "2 3"]
    pattern: str
    """A key of `PATTERNS`."""
    cells: float
    """Frequency of the pattern, in cells per radius."""

    def own(self, points: Points) -> Points:
        """Convert points of the object to the part's own axes."""
        return np.asarray((points - self.place) @ self.turn)


class Solid(NamedTuple):
    """An object that stands with its lowest point on the floor."""

    parts: tuple[Part, ...]
    bottom: float
    """Height of its lowest point, negative."""


class Lamp(NamedTuple):
    """A lamp far away."""

    azimuth: float
    """Angle in radians, to the left from the viewing direction; pi is behind the camera."""
    elevation: float
    """Elevation above the floor, in radians."""

    @property
    def direction(self) -> Float[np.ndarray, " 3"]:
        """The unit vector towards the lamp."""
        flat = np.cos(self.elevation)
        return np.asarray(
            [
                -np.sin(self.azimuth) * flat,
                np.cos(self.azimuth) * flat,
                np.sin(self.elevation),
            ],
            np.float32,
        )


# --- objects ------------------------------------------------------------------------------------


def _length(vectors: Points) -> Lengths:
    # Several times as fast as numpy's norm for such a short axis.
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)))


def _ball(points: Points, size: Float[np.ndarray, " 3"]) -> Lengths:
    outer, inner = _length(points / size), _length(points / size**2)
    return np.asarray(outer * (outer - 1) / np.maximum(inner, 1e-6))


def _box(points: Points, size: Float[np.ndarray, " 3"]) -> Lengths:
    rounding = 0.2 * size.min()
    beyond = np.abs(points) - (size - rounding)
    farthest = np.maximum(np.maximum(beyond[:, 0], beyond[:, 1]), beyond[:, 2])
    return np.asarray(_length(np.maximum(beyond, 0)) + np.minimum(farthest, 0) - rounding)


def _rod(points: Points, size: Float[np.ndarray, " 3"]) -> Lengths:
    beyond_side = np.hypot(points[:, 0], points[:, 1]) - size[0]
    beyond_end = np.abs(points[:, 2]) - size[2]
    outside = np.hypot(np.maximum(beyond_side, 0), np.maximum(beyond_end, 0))
    return np.asarray(outside + np.minimum(np.maximum(beyond_side, beyond_end), 0))


def _cone(points: Points, size: Float[np.ndarray, " 3"]) -> Lengths:
    slope = size[0] / (2 * size[2])
    radius = slope * (size[2] - points[:, 2])
    side = (np.hypot(points[:, 0], points[:, 1]) - radius) / np.hypot(1, slope)
    return np.asarray(np.maximum(side, np.abs(points[:, 2]) - size[2]))


def _ring(points: Points, size: Float[np.ndarray, " 3"]) -> Lengths:
    thickness = 0.35 * size.min()
    round_about = np.hypot(points[:, 0], points[:, 1]) - (size[0] - thickness)
    return np.asarray(np.hypot(round_about, points[:, 2]) - thickness)


KINDS: dict[str, Callable[[Points, Float[np.ndarray, " 3"]], Lengths]] = {
    "ball": _ball,
    "box": _box,
    "cone": _cone,
    "ring": _ring,
    "rod": _rod,
}
"""Functions for the approximate signed distance to a primitive's surface."""

PATTERNS: dict[str, Callable[[Points], Lengths]] = {
    "plain": lambda p: np.zeros(len(p)),
    "stripes": lambda p: (np.sin(2 * np.pi * p[:, 2]) > 0).astype(float),
    "checks": lambda p: (np.floor(2 * p).sum(axis=1) % 2).astype(float),
    "dots": lambda p: (np.cos(2 * np.pi * p).sum(axis=1) > 1.2).astype(float),
    "shades": lambda p: 0.5 + 0.5 * np.sin(2 * np.pi * p).prod(axis=1),
}
"""Functions for the fraction of the second colour at a point of a part."""


def solid(generator: np.random.Generator) -> Solid:
    """Make a random object: a body and three to five smaller parts on its sides."""
    paints = random_colours(generator, 4)
    parts = [_part(generator, np.zeros(3), generator.uniform(0.4, 0.75, 3), paints)]
    for _ in range(int(generator.integers(3, 6))):
        towards = generator.normal(size=3)
        place = towards / np.linalg.norm(towards) * generator.uniform(0.5, 0.9)
        parts.append(_part(generator, place, generator.uniform(0.16, 0.42, 3), paints))
    return _fitted(parts)


def _fitted(parts: list[Part]) -> Solid:
    """Move and scale the parts into the unit ball, using a grid of points inside them."""
    grid = np.linspace(-1.6, 1.6, 33, dtype=np.float32)
    spacing = grid[1] - grid[0]
    points = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    inside = points[_distance(Solid(tuple(parts), 0.0), points)[0] < 0]
    centre = (inside.max(axis=0) + inside.min(axis=0)) / 2
    scale = 1 / (_length(inside - centre).max() + spacing)
    moved = tuple(
        part._replace(
            place=(part.place - centre) * scale,
            size=part.size * scale,
            cells=part.cells / float(scale),
        )
        for part in parts
    )
    return Solid(moved, float((inside[:, 2].min() - centre[2] - spacing / 2) * scale))


def _part(
    generator: np.random.Generator,
    place: Float[np.ndarray, " 3"],
    size: Float[np.ndarray, " 3"],
    paints: Float[np.ndarray, "n 3"],
) -> Part:
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    pair = generator.choice(len(paints), 2, replace=False)
    return Part(
        kind=str(generator.choice(sorted(KINDS))),
        place=place.astype(np.float32),
        turn=turn.astype(np.float32),
        size=size.astype(np.float32),
        colours=paints[pair],
        pattern=str(generator.choice(sorted(PATTERNS))),
        cells=float(generator.uniform(1.5, 4.0)),
    )


def _distance(thing: Solid, points: Points) -> tuple[Lengths, Int[np.ndarray, " n"]]:
    """Return the signed distance to the object's surface, and the nearest part."""
    distances = np.stack([KINDS[part.kind](part.own(points), part.size) for part in thing.parts])
    return distances.min(axis=0), distances.argmin(axis=0)


# --- pictures -----------------------------------------------------------------------------------


class Pose(NamedTuple):
    """Pose of the object and the camera."""

    yaw: float
    """Rotation of the object about the vertical axis, in radians."""
    elevation: float
    """Elevation of the camera above the object's centre, in radians."""
    distance: float
    """Distance from the camera to the object's centre, in radii of the object; more than 1."""


def picture(thing: Solid, pose: Pose, lamp: Lamp, backdrop: Pixels) -> Pixels:
    """Render the object in front of a square backdrop, which determines the size of the picture.

    The backdrop itself is not lit; the shadow is drawn where the floor is visible.
    """
    side = len(backdrop)
    origin, rays = _camera(pose, side * OVERSAMPLING)
    light = lamp.direction
    arrived, points = _march(thing, pose.yaw, origin, rays)
    canvas = np.repeat(np.repeat(backdrop, OVERSAMPLING, 0), OVERSAMPLING, 1) / np.float32(255)
    canvas = canvas.reshape(-1, 3)
    floor = ~arrived & (rays[:, 2] < -1e-3)
    reach = (thing.bottom - origin[2]) / rays[floor, 2]
    canvas[floor] *= 1 - SHADOW * _shadow(thing, pose.yaw, origin + rays[floor] * reach[:, None],
                                          light)[:, None]  # fmt: skip
    canvas[arrived] = _shaded(thing, pose.yaw, points, -rays[arrived], light)
    drawn = canvas.reshape(side * OVERSAMPLING, side * OVERSAMPLING, 3).astype(np.float32)
    small = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(np.round(np.clip(small, 0, 1) * 255), np.uint8)


def _camera(pose: Pose, side: int) -> tuple[Float[np.ndarray, " 3"], Points]:
    """Return the camera's position, and the unit direction of each pixel's ray, row by row."""
    cosine, sine = np.cos(pose.elevation), np.sin(pose.elevation)
    origin = np.asarray([0, -pose.distance * cosine, pose.distance * sine], np.float32)
    forward, up = -origin / pose.distance, np.asarray([0, sine, cosine])
    extent = np.tan(np.radians(VIEW_ANGLE / 2))
    places = (np.arange(side) + 0.5) / side * 2 - 1
    across, down = np.meshgrid(places * extent, places * extent)
    right = np.asarray([1.0, 0.0, 0.0])
    rays = forward + across.reshape(-1, 1) * right - down.reshape(-1, 1) * up
    return origin, (rays / _length(rays)[:, None]).astype(np.float32)


def _turned(yaw: float, points: Points) -> Points:
    """Convert points of the world to the object's own axes."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    turn = np.asarray([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float32)
    return np.asarray(points @ turn)


def _through_ball(origin: Points, rays: Points) -> tuple[Lengths, Lengths]:
    """Return where rays enter and leave the unit ball; for a miss, the exit precedes the entry."""
    along = -np.einsum("ij,ij->i", origin, rays)
    half = 1 - _length(origin + rays * along[:, None]) ** 2
    reach = np.sqrt(np.maximum(half, 0))
    return np.maximum(along - reach, 0), np.where(half > 0, along + reach, -1.0)


def _march(
    thing: Solid, yaw: float, origin: Float[np.ndarray, " 3"], rays: Points
) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, "m 3"]]:
    """Return which rays hit the object, and the points of the hits."""
    start = np.broadcast_to(origin, rays.shape)
    travelled, leave = _through_ball(start, rays)
    going = np.flatnonzero(travelled < leave)
    arrived = np.zeros(len(rays), bool)
    for _ in range(STEPS):
        points = _turned(yaw, start[going] + rays[going] * travelled[going, None])
        gap = _distance(thing, points)[0]
        arrived[going[gap < CLOSE]] = True
        travelled[going] += 0.9 * np.maximum(gap, CLOSE)
        going = going[(gap >= CLOSE) & (travelled[going] < leave[going])]
    return arrived, np.asarray(origin + rays[arrived] * travelled[arrived, None])


def _shadow(thing: Solid, yaw: float, points: Points, light: Float[np.ndarray, " 3"]) -> Lengths:
    """Return the fraction of the lamp that is hidden from each point, in [0, 1]."""
    rays = np.broadcast_to(light, points.shape)
    enter, leave = _through_ball(points, rays)
    travelled = np.maximum(enter, 0.04)
    seen = np.ones(len(points))
    going = np.flatnonzero(travelled < leave)
    for _ in range(STEPS // 2):
        gap = _distance(thing, _turned(yaw, points[going] + rays[going] * travelled[going, None]))[
            0
        ]
        seen[going] = np.minimum(seen[going], np.clip(8 * gap / travelled[going], 0, 1))
        travelled[going] += np.maximum(gap, 0.02)
        going = going[(gap >= CLOSE) & (travelled[going] < leave[going])]
    return 1 - seen


def _shaded(
    thing: Solid, yaw: float, points: Points, towards: Points, light: Float[np.ndarray, " 3"]
) -> Points:
    """Return the colours of surface points as seen from the directions `towards` the camera."""
    own = _turned(yaw, points)
    part_of = _distance(thing, own)[1]
    offsets = np.asarray([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32) * 0.004
    slope = sum(offset * _distance(thing, own + offset)[0][:, None] for offset in offsets)
    normals = _turned(-yaw, slope / np.maximum(_length(slope), 1e-9)[:, None])
    lit = np.maximum(normals @ light, 0) * (1 - _shadow(thing, yaw, points, light))
    halfway = towards + light
    halfway /= _length(halfway)[:, None]
    gloss = 0.25 * np.maximum((normals * halfway).sum(axis=1), 0) ** 24 * (lit > 0)
    sky = AMBIENT * (0.75 + 0.25 * normals[:, 2])
    return np.asarray(_paint(thing, own, part_of) * (sky + 0.85 * lit)[:, None] + gloss[:, None])


def _paint(thing: Solid, points: Points, part_of: Int[np.ndarray, " n"]) -> Points:
    """Return the unlit colours of points."""
    painted = np.zeros((len(points), 3))
    for number, part in enumerate(thing.parts):
        chosen = part_of == number
        share = PATTERNS[part.pattern](part.own(points[chosen]) * part.cells)[:, None]
        painted[chosen] = part.colours[0] * (1 - share) + part.colours[1] * share
    return painted
