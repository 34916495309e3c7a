"""Render lit objects on a ground: pinhole camera, one distant light, cast shadows, highlights.

The world is in units of the caller, with z up and the ground at z = 0. The caller passes the
background picture; shadows of the objects darken its ground pixels. Everything is rendered at twice
the size and averaged.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from pocket_suite.drawing import Picture
from pocket_suite.raster import Raster, rasterise

Points = Float[np.ndarray, "*shape 3"]
Vector = Float[np.ndarray, " 3"]

_OVERSAMPLING: Final = 2
_SHADOW_SIDE: Final = 256
"""Height and width of the shadow map, in pixels."""


class Triangles(NamedTuple):
    """The surfaces of all objects of a picture."""

    corners: Float[np.ndarray, "T 3 3"]
    normals: Float[np.ndarray, "T 3 3"]
    """Unit normal of each corner; the sign does not matter."""
    colours: Float[np.ndarray, "T 3"]
    shine: Float[np.ndarray, " T"]
    """Strength of the highlight; 0 is matt."""
    owner: Int[np.ndarray, " T"]
    """Index of the object."""


class Camera(NamedTuple):
    """A pinhole camera that stands upright."""

    place: Vector
    target: Vector
    focal: float
    """Focal length in image sides: 1.0 sees 53 degrees."""

    @property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """The unit vectors right, down and forward."""
        forward = _unit(self.target - self.place)
        right = _unit(np.cross(forward, [0.0, 0.0, 1.0]))
        return np.stack([right, np.cross(forward, right), forward])

    def seen(self, points: Points) -> Points:
        """Return the points in camera coordinates: right, down, and depth."""
        return np.asarray((points - self.place) @ self.axes.T)

    def image(self, points: Points, side: int) -> Points:
        """Project points to pixels, x to the right and y downwards, with 1 / depth."""
        seen = self.seen(points)
        inverse = 1 / seen[..., 2:]
        return np.concatenate([(seen[..., :2] * inverse * self.focal + 0.5) * side, inverse], -1)


class Light(NamedTuple):
    """One distant light and ambient light."""

    towards: Vector
    """Unit vector towards the light."""
    strength: float
    ambient: float


def visible(
    triangles: Triangles, camera: Camera, side: int, num_objects: int
) -> Int[np.ndarray, " objects"]:
    """Return the number of visible pixels of each object in a square image."""
    raster = rasterise(camera.image(triangles.corners, side), side)
    return np.bincount(
        triangles.owner[raster.triangle[raster.covered]], minlength=num_objects
    ).astype(np.int64)


def render(triangles: Triangles, camera: Camera, light: Light, behind: Picture) -> Picture:
    """Return the objects in front of a square picture of the size of the result.

    All objects must be in front of the camera.
    """
    side = behind.shape[0]
    fine = side * _OVERSAMPLING
    raster = rasterise(camera.image(triangles.corners, fine), fine)
    shadow = _ShadowMap(triangles.corners, light)
    canvas = cv2.resize(behind, (fine, fine), interpolation=cv2.INTER_LINEAR)
    canvas = canvas * _ground_shadow(camera, shadow, light, fine)[..., None]
    shown = raster.covered
    canvas[shown] = _shaded(triangles, raster, camera, light, shadow)
    return np.asarray(cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA))


def _shaded(
    triangles: Triangles, raster: Raster, camera: Camera, light: Light, shadow: "_ShadowMap"
) -> Float[np.ndarray, "k 3"]:
    """Shade the covered pixels by Lambert's law and Blinn's highlight, in light and shadow."""
    shown = raster.covered
    number = raster.triangle[shown]
    # Convert weights in the image to weights on the surface: divide by depth, and normalise.
    depths = camera.seen(triangles.corners[number])[..., 2]
    weights = raster.weights[shown] / depths
    weights = (weights / weights.sum(axis=1, keepdims=True))[..., None]
    points = (triangles.corners[number] * weights).sum(axis=1)
    normals = _unit((triangles.normals[number] * weights).sum(axis=1))
    to_camera = _unit(camera.place - points)
    facing = np.sign((normals * to_camera).sum(axis=1, keepdims=True))
    normals = normals * np.where(facing == 0, 1, facing)
    lit = shadow.lit(points + 0.008 * shadow.size * normals)
    falling = np.maximum(normals @ light.towards, 0) * lit
    half = _unit(to_camera + light.towards)
    highlight = np.maximum((normals * half).sum(axis=1), 0) ** 40 * lit * triangles.shine[number]
    from_above = 0.75 + 0.25 * normals[:, 2]
    diffuse = light.ambient * from_above + light.strength * falling
    return np.asarray(
        triangles.colours[number] * diffuse[:, None] + light.strength * highlight[:, None]
    )


def _ground_shadow(
    camera: Camera, shadow: "_ShadowMap", light: Light, side: int
) -> Float[np.ndarray, "side side"]:
    """Return how much the objects darken the ground behind each pixel."""
    at = (np.arange(side) + 0.5) / side - 0.5
    rays = np.stack([*np.meshgrid(at, at), np.full((side, side), camera.focal)], axis=-1)
    rays = rays @ camera.axes
    down = rays[..., 2] < -1e-6
    gain = np.ones((side, side))
    reach = -camera.place[2] / rays[down][:, 2]
    points = camera.place + rays[down] * reach[:, None]
    dark = light.ambient / (light.ambient + light.strength * max(light.towards[2], 0.0))
    gain[down] = dark + (1 - dark) * shadow.lit(points)
    return gain


class _ShadowMap:
    """The objects as seen by the light; points behind them are in shadow."""

    def __init__(self, corners: Points, light: Light) -> None:
        side_way = _unit(np.cross(light.towards, [0.0, 0.3, 1.0]))
        self._axes = np.stack([side_way, np.cross(light.towards, side_way), -light.towards])
        seen = corners @ self._axes.T
        self._low = seen.reshape(-1, 3).min(axis=0)
        extent = seen.reshape(-1, 3).max(axis=0) - self._low
        self.size = float(extent.max())
        """Extent of the objects, in world units."""
        raster = rasterise(self._map(corners), _SHADOW_SIDE)
        self._nearest = np.where(raster.covered, 2 - raster.inverse_depth, np.inf)

    def _map(self, points: Points) -> Points:
        """Project points to pixels of the map, and a linear, positive substitute for 1 / depth."""
        scaled = (points @ self._axes.T - self._low) / self.size
        place = scaled[..., :2] * (_SHADOW_SIDE - 8) + 4
        return np.concatenate([place, 2 - scaled[..., 2:]], axis=-1)

    def lit(self, points: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, " k"]:
        """Return the fraction of light at each point; edges of shadows are slightly soft."""
        mapped = self._map(points)
        depth = 2 - mapped[:, 2] - 0.006
        total = np.zeros(len(points))
        for x, y in ((0, 0), (2, 1), (-1, 2), (-2, -1), (1, -2)):
            place = np.floor(mapped[:, :2] + [x, y]).astype(np.int64)
            outside = self._outside(place)
            column, row = np.clip(place, 0, _SHADOW_SIDE - 1).T
            total += outside | (depth <= self._nearest[row, column])
        return total / 5

    def _outside(self, place: Int[np.ndarray, "k 2"]) -> Bool[np.ndarray, " k"]:
        return np.asarray(((place < 0) | (place >= _SHADOW_SIDE)).any(axis=1))


def about_z(angle: float) -> Float[np.ndarray, "3 3"]:
    """Return a matrix that rotates row vectors counter-clockwise, as seen from above."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def _unit(vectors: Points) -> Points:
    """Return the normalised vectors; zero vectors stay 0."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 1e-12, length, 1))
