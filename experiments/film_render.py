"""Frames of a world: a box with textured faces, and lit triangles that cast shadows in it.

    box        each pixel's ray leaves the box through one face           exact, for all pixels
    triangles  painted far to near with their indices, by OpenCV          an index for each pixel
    shading    normals and textures interpolated, one distant lamp        for the pixels covered
    shadows    the same triangles painted from the lamp's point of view   nearest depth, soft mask

The painter's algorithm in C is several times as fast as an exact rasteriser in numpy. It is wrong
only where triangles intersect, by about the size of a triangle. Everything is drawn at twice the
size.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from pocket_suite.shading import Camera

from experiments.film_things import TEXELS, Surface, Thing, joined
from experiments.film_world import TEXELS as FACE_TEXELS
from experiments.film_world import World

OVERSAMPLING = 2
SHADOW_SIDE = 160
NEAREST = 0.15
"""Minimum distance of drawn triangles from the camera, in metres."""
CLEARANCE = 0.12
"""Minimum distance, in metres, between an object and one it casts a shadow on."""
SHIFT = 4
"""Number of fractional bits in OpenCV's corner coordinates."""

Frame = UInt8[np.ndarray, "H W 3"]
Vector = Float[np.ndarray, " 3"]


_LEFT_TO_RIGHT = np.asarray([-1, 1, 1, -1, 1, 1], np.float32)
"""Direction, from left to right on the texture of each face, in which x or y grows."""


class Lamp(NamedTuple):
    """A distant lamp; angles in radians, the azimuth from +x towards +y."""

    azimuth: float
    elevation: float
    strength: float

    @property
    def towards(self) -> Vector:
        """Return the unit vector to the lamp."""
        flat = np.cos(self.elevation)
        return np.asarray(
            [flat * np.cos(self.azimuth), flat * np.sin(self.azimuth), np.sin(self.elevation)]
        )


class Standing(NamedTuple):
    """Position and yaw of an object on the floor."""

    x: float
    y: float
    yaw: float
    scale: float


class Stage:
    """A world and the objects that a shot shows, ready to be drawn repeatedly."""

    def __init__(self, setting: World, things: list[Thing]) -> None:
        self.setting = setting
        self.things = [*things, *setting.props]
        whole = joined([one.surface for one in self.things])
        self._surface = whole
        sizes = [len(one.surface.points) for one in self.things]
        self._slices = np.cumsum([0, *sizes])
        self._owner = np.repeat(np.arange(len(sizes)), sizes)[whole.faces[:, 0]]
        self._num_own = int(self._slices[len(things)])
        self._own_faces = whole.faces[whole.faces[:, 0] < self._num_own]
        self._pictures = np.concatenate([one.pictures for one in self.things])
        self._pictures = self._pictures.reshape(-1, TEXELS, 3)
        self._shine = np.concatenate([one.shine for one in self.things]).astype(np.float32)
        self._faces_below = setting.place.faces.reshape(-1, FACE_TEXELS, 3)

    def draw(
        self, standing: list[Standing], camera: Camera, lamp: Lamp, size: tuple[int, int]
    ) -> tuple[Frame, Int[np.ndarray, " things"]]:
        """Draw the frame; also return how many pixels each of the shot's own objects covers."""
        fine = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
        props = [Standing(*map(float, row)) for row in self.setting.prop_places]
        posed = self._posed([*standing, *props])
        shadow = _Shadow(posed.points[: self._num_own], self._own_faces, lamp)
        canvas = self._box(camera, lamp, shadow, fine)
        shown = self._number_of_each_pixel(posed, camera, fine)
        covered = np.flatnonzero(shown.ravel() >= 0)
        number = shown.ravel()[covered]
        canvas.reshape(-1, 3)[covered] = self._shaded(
            posed, number, covered, camera, lamp, shadow, fine
        )
        small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
        frame = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
        counts = np.bincount(self._owner[number], minlength=len(self.things))[: len(standing)]
        return frame, counts // OVERSAMPLING**2

    def _posed(self, standing: list[Standing]) -> Surface:
        points, normals = (np.empty(self._surface.points.shape, np.float32) for _ in range(2))
        for number, one in enumerate(standing):
            own = slice(self._slices[number], self._slices[number + 1])
            cosine, sine = np.cos(one.yaw), np.sin(one.yaw)
            turn = np.asarray([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
            points[own] = self._surface.points[own] @ turn * one.scale + [one.x, one.y, 0]
            normals[own] = self._surface.normals[own] @ turn
        return self._surface._replace(points=points, normals=normals)

    def _box(
        self, camera: Camera, lamp: Lamp, shadow: "_Shadow", size: tuple[int, int]
    ) -> Float[np.ndarray, "H W 3"]:
        """Draw the box without objects, but with the shadows of the shot's own objects."""
        place = self.setting.place
        half_x, half_y, height = map(np.float32, (*place.half, place.height))
        eye_x, eye_y, eye_z = camera.place.astype(np.float32)
        ray_x, ray_y, ray_z = _rays(camera, size)
        reach_x = (np.copysign(half_x, ray_x) - eye_x) / ray_x
        reach_y = (np.copysign(half_y, ray_y) - eye_y) / ray_y
        reach_z = (np.where(ray_z > 0, height, np.float32(0)) - eye_z) / ray_z
        reach = np.minimum(np.minimum(reach_x, reach_y), reach_z)
        face = np.where(reach == reach_x, ray_x < 0, np.where(reach == reach_y, 2 + (ray_y < 0), 5))
        face[(face == 5) & (ray_z < 0)] = 4
        hit = np.stack([ray_x * reach + eye_x, ray_y * reach + eye_y, ray_z * reach + eye_z])
        x, y, z = hit[0] / half_x, hit[1] / half_y, hit[2] / height
        # Position on the face's texture, -1 to 1 from the left and 0 to 1 from the top.
        along = np.where(face < 2, y, x) * _LEFT_TO_RIGHT[face]
        down = np.where(face < 4, 1 - z, (1 - y) / 2)
        edge = np.float32(FACE_TEXELS - 1)
        columns = np.clip((1 + along) / 2, 0, 1) * edge
        rows = np.clip(down, 0, 1) * edge + (face * FACE_TEXELS).astype(np.float32)
        colours = cv2.remap(self._faces_below, columns, rows, cv2.INTER_LINEAR)
        everywhere, direct = self._face_gains(lamp)
        light = everywhere[face] + direct[face] * shadow.reaching(hit)[..., None]
        return colours * (light / np.float32(255))

    def _face_gains(self, lamp: Lamp) -> Float[np.ndarray, "2 6 3"]:
        """Return the ambient light and the lamp's light on each face."""
        inward = np.asarray([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]])
        fall = np.maximum(inward @ lamp.towards, 0) * lamp.strength
        shines = np.asarray(self.setting.place.shines)
        base = np.where(shines, 0.55 + 0.45 * lamp.strength, self.setting.ambient)
        direct = np.where(shines, 0.0, fall)
        tint = self.setting.tint
        return np.stack([base[:, None] * (1 + 0 * tint), direct[:, None] * tint]).astype(np.float32)

    def _number_of_each_pixel(
        self, posed: Surface, camera: Camera, size: tuple[int, int]
    ) -> Int[np.ndarray, "H W"]:
        """Return the index of the triangle in each pixel; -1 where there is none."""
        seen = (posed.points - camera.place) @ camera.axes.T
        depth = np.maximum(seen[:, 2], 1e-3)
        image = seen[:, :2] / depth[:, None] * camera.focal * size[1] + np.asarray(size) / 2
        self._corners = image
        # Pixel rows grow downwards, so triangles facing the camera have the opposite orientation.
        wanted = _turning(image, posed.faces, size, -1)
        near, middle, far = (seen[posed.faces[wanted, corner], 2] for corner in range(3))
        before = np.minimum(np.minimum(near, middle), far) > NEAREST
        wanted, depths = wanted[before], (near + middle + far)[before]
        order = wanted[np.argsort(-depths, kind="stable")]
        return _painted(image, posed.faces[order], order, size, -1.0).astype(np.int64)

    def _shaded(
        self,
        posed: Surface,
        number: Int[np.ndarray, " n"],
        pixel: Int[np.ndarray, " n"],
        camera: Camera,
        lamp: Lamp,
        shadow: "_Shadow",
        size: tuple[int, int],
    ) -> Float[np.ndarray, "n 3"]:
        """Shade with Lambert's law and Blinn's highlight on the textures of the parts."""
        corner = posed.faces[number]
        weights = _weights(self._corners[corner], pixel, size[0])

        def between(values: Float[np.ndarray, "V k"]) -> Float[np.ndarray, "n k"]:
            picked = values[corner]
            return sum(weights[:, [place]] * picked[:, place] for place in range(3))

        points, normals = between(posed.points), _unit(between(posed.normals))
        part = posed.part[corner[:, 0]]
        across = between(posed.across) * (TEXELS - 1)
        colours = _sampled(self._pictures, across[:, 0], across[:, 1] + part * TEXELS)
        lit = shadow.seen_by_lamp(points + 0.03 * normals)
        fall = np.maximum(normals @ lamp.towards, 0) * lit
        half = _unit(_unit(camera.place - points) + lamp.towards)
        gloss = np.maximum((normals * half).sum(axis=1), 0) ** 30 * lit * self._shine[part]
        sky = self.setting.ambient * (0.8 + 0.3 * normals[:, 2])
        light = sky[:, None] + (lamp.strength * fall)[:, None] * self.setting.tint
        return colours / 255 * light + (lamp.strength * gloss)[:, None]


class _Shadow:
    """Shadow map of the shot's own objects; props cast no shadow."""

    def __init__(self, points: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "T 3"], lamp: Lamp):
        towards = lamp.towards
        sideways = _unit(np.cross([0.0, 0.0, 1.0], towards)[None])[0]
        self._axes = np.stack([sideways, np.cross(towards, sideways), -towards])
        seen = points @ self._axes.T
        low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
        self._scale = (SHADOW_SIDE - 12) / float((high - low).max())
        self._shift = 6 - low * self._scale
        image = seen[:, :2] * self._scale + self._shift
        side = (SHADOW_SIDE, SHADOW_SIDE)
        facing = _turning(image, faces, side, 1)
        depth = sum(seen[faces[facing, corner], 2] for corner in range(3)) / 3
        order = np.argsort(-depth, kind="stable")
        self._nearest = _painted(image, faces[facing[order]], depth[order], side, np.inf)
        mask = np.isfinite(self._nearest).astype(np.float32)
        self._mask = cv2.GaussianBlur(mask, (0, 0), 1.5)

    def reaching(self, points: Float[np.ndarray, "3 H W"]) -> Float[np.ndarray, "H W"]:
        """Return the fraction of the lamp's light that reaches points of the box."""
        columns, rows = (
            sum(np.float32(axis[n] * self._scale) * points[n] for n in range(3)) + np.float32(shift)
            for axis, shift in zip(self._axes[:2], self._shift, strict=True)
        )
        outside = {"borderMode": cv2.BORDER_CONSTANT}
        return 1 - cv2.remap(self._mask, columns, rows, cv2.INTER_LINEAR, **outside)

    def seen_by_lamp(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Return 1 for points of the objects that the lamp illuminates, else 0."""
        seen = points @ self._axes.T
        place = np.round(seen[:, :2] * self._scale + self._shift).astype(np.int64)
        column, row = np.clip(place, 0, SHADOW_SIDE - 1).T
        return (seen[:, 2] <= self._nearest[row, column] + CLEARANCE).astype(np.float64)


def _turning(
    image: Float[np.ndarray, "V 2"],
    faces: Int[np.ndarray, "T 3"],
    size: tuple[int, int],
    sense: int,
) -> Int[np.ndarray, " n"]:
    """Select triangles of one orientation in the image that may cover pixels."""
    (x0, y0), (x1, y1), (x2, y2) = (image[faces[:, corner]].T for corner in range(3))
    turns = sense * ((x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)) > 0
    inside = (np.maximum(np.maximum(x0, x1), x2) > 0) & (np.maximum(np.maximum(y0, y1), y2) > 0)
    inside &= np.minimum(np.minimum(x0, x1), x2) < size[0]
    inside &= np.minimum(np.minimum(y0, y1), y2) < size[1]
    return np.flatnonzero(turns & inside)


def _painted(
    image: Float[np.ndarray, "V 2"],
    faces: Int[np.ndarray, "n 3"],
    values: Float[np.ndarray, " n"] | Int[np.ndarray, " n"],
    size: tuple[int, int],
    empty: float,
) -> Float[np.ndarray, "H W"]:
    """Fill triangles with their values, one after the other."""
    picture = np.full((size[1], size[0]), empty, np.float32)
    # OpenCV's pixel centres have integer coordinates.
    fixed = np.clip(np.round((image - 0.5) * 2**SHIFT), -(2**20), 2**20).astype(np.int32)
    for corners, value in zip(fixed[faces], values.tolist(), strict=True):
        cv2.fillConvexPoly(picture, corners, value, cv2.LINE_8, SHIFT)
    return picture


def _sampled(
    picture: UInt8[np.ndarray, "H W 3"],
    columns: Float[np.ndarray, " n"],
    rows: Float[np.ndarray, " n"],
) -> UInt8[np.ndarray, "n 3"]:
    """Interpolate the texture's colours between its pixels."""
    # OpenCV rejects empty maps and maps of more than 32767 rows.
    shape = (len(columns) // 256 + 1, 256)
    maps = [np.resize(values.astype(np.float32), shape) for values in (columns, rows)]
    return cv2.remap(picture, *maps, cv2.INTER_LINEAR).reshape(-1, 3)[: len(columns)]


def _rays(camera: Camera, size: tuple[int, int]) -> Float[np.ndarray, "3 H W"]:
    """Return the view directions of the pixels, none of them parallel to an axis."""
    width, height = size
    x = ((np.arange(width) + 0.5 - width / 2) / height).astype(np.float32)
    y = ((np.arange(height) + 0.5 - height / 2) / height).astype(np.float32)
    right, down, forward = camera.axes.astype(np.float32)[..., None, None]
    rays = right * x + down * y[:, None] + np.float32(camera.focal) * forward
    rays[rays == 0] = 1e-9
    return rays


def _weights(
    corners: Float[np.ndarray, "n 3 2"], pixel: Int[np.ndarray, " n"], width: int
) -> Float[np.ndarray, "n 3"]:
    """Return the barycentric weights of each pixel in its triangle."""
    rows, columns = np.divmod(pixel, width)
    at = np.stack([columns + 0.5, rows + 0.5], axis=1) - corners[:, 0]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    area = np.where(np.abs(area) < 1e-6, 1.0, area)
    second = np.clip((at[:, 0] * two[:, 1] - at[:, 1] * two[:, 0]) / area, 0, 1)
    third = np.clip((one[:, 0] * at[:, 1] - one[:, 1] * at[:, 0]) / area, 0, 1)
    total = np.maximum(second + third, 1.0)
    second, third = second / total, third / total
    return np.stack([1 - second - third, second, third], axis=1)


def _unit(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return vectors / np.maximum(length, 1e-9)[:, None]
