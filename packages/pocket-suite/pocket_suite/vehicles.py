"""vehicle-distance: classify the distance to the nearest vehicle, after KITTI.

A camera at the height of a car's roof looks along a plain. The classes are those of VTAB for KITTI:
up to 8 m, up to 20 m, beyond, and no vehicle. The scenes also contain people and furniture, so that
detecting any object is not enough. No vehicle, no other model and no photograph is in two splits.
"""

from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite import photos
from pocket_suite.drawing import Example, Picture, TaskRenderer, part_number, to_pixels
from pocket_suite.meshes import load
from pocket_suite.objects import CATEGORIES
from pocket_suite.shading import Camera, Light, Triangles, about_z, render, visible

SIDE: Final = 128
BOUNDS: Final = (8.0, 20.0)
"""Bounds in metres; a vehicle at a bound is in the nearer class, as in VTAB."""
NO_VEHICLE: Final = 3
NEAREST, FARTHEST = 5.0, 45.0
SMALLEST_VISIBLE: Final = 25
"""Minimum number of visible pixels of the nearest vehicle."""
FOCAL: Final = 1.0
VEHICLES: Final = (*CATEGORIES["vehicle"], "scopia/yamaha-yzr-r6")
"""No vehicle is so long that it would reach the camera at the start of its class."""
OTHERS: Final = (*CATEGORIES["person"], *CATEGORIES["armchair"])
SHARES: Final[dict[Part, float]] = {"train800": 0.5, "val200": 0.2, "test": 0.3}
"""Proportions of the vehicles and of the other models per split."""
_TILE: Final = 256
"""Height and width of the photograph on the ground, in pixels."""
_HORIZON: Final = 0.5
"""Position of the horizon as a fraction of the height: the camera looks straight ahead."""


class Standing(NamedTuple):
    """A model on the plain."""

    name: str
    depth: float
    """Distance from the camera to its middle along the view, in metres."""
    across: float
    """Offset to the right of the middle of the view, in metres."""
    turn: float


def open_distance(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of classifying the distance to the nearest vehicle."""
    purpose = "pocket vehicle distance"
    vehicles = _shared(purpose + " vehicles", seed, VEHICLES)
    others = _shared(purpose + " others", seed, OTHERS)
    walls = photos.parts(purpose, seed)

    def render_example(part: Part, number: int) -> Example:
        key = (seed, part_number(part), number)
        label = int(generator(purpose, *key).integers(NO_VEHICLE + 1))
        attempt = 0
        while True:
            draws = generator(purpose, *key, attempt)
            wanted = _vehicles(label, vehicles[part], draws)
            models = [*wanted, *_others(others[part], draws)]
            triangles = _triangles(assets, models, draws)
            camera = _camera(draws)
            seen = visible(triangles, camera, SIDE, len(models))
            if not wanted or seen[0] >= SMALLEST_VISIBLE:
                break
            attempt += 1
        sky, ground = draws.choice(walls[part], 2, replace=False)
        behind = _plain(assets, str(sky), str(ground), camera, draws)
        picture = render(triangles, camera, _light(draws), behind)
        sources = sorted({model.name for model in models} | {str(sky), str(ground)})
        return Example(to_pixels(picture), label, " + ".join(sources))

    return render_example


def distance_class(depth: float) -> int:
    """Return the class of the nearest vehicle's depth in metres."""
    return sum(bound < depth for bound in BOUNDS)


def _shared(purpose: str, seed: int, names: tuple[str, ...]) -> dict[Part, list[str]]:
    order = [names[place] for place in generator(purpose, seed).permutation(len(names))]
    ends = np.round(np.cumsum([0, *SHARES.values()]) * len(names)).astype(int)
    return {
        part: order[start:end] for part, start, end in zip(SHARES, ends[:-1], ends[1:], strict=True)
    }


def _vehicles(label: int, names: list[str], draws: np.random.Generator) -> list[Standing]:
    """Return the nearest vehicle of its class, and up to two behind it."""
    if label == NO_VEHICLE:
        return []
    low, high = ((NEAREST, *BOUNDS)[label], (*BOUNDS, FARTHEST)[label])
    nearest = draws.uniform(low, high)
    behind = draws.uniform(nearest + 6.0, FARTHEST + 6.0, int(draws.integers(3)))
    return [_standing(str(draws.choice(names)), depth, draws) for depth in (nearest, *behind)]


def _others(names: list[str], draws: np.random.Generator) -> list[Standing]:
    depths = draws.uniform(NEAREST, 25.0, int(draws.integers(1, 4)))
    return [_standing(str(draws.choice(names)), depth, draws) for depth in depths]


def _standing(name: str, depth: float, draws: np.random.Generator) -> Standing:
    across = draws.uniform(-0.35, 0.35) * depth / FOCAL
    return Standing(name, float(depth), across, draws.uniform(0, 2 * np.pi))


def _triangles(assets: Path, models: list[Standing], draws: np.random.Generator) -> Triangles:
    parts = []
    for number, model in enumerate(models):
        mesh = load(assets, model.name)
        turn = about_z(model.turn)
        corners = mesh.corners @ turn + [model.across, model.depth, 0.0]
        colours = draws.uniform(0.1, 0.9, (int(mesh.material.max()) + 1, 3))
        colours = 0.5 * colours + 0.5 * colours.mean(axis=1, keepdims=True)
        count = len(corners)
        parts.append(
            Triangles(
                corners,
                mesh.normals @ turn,
                colours[mesh.material],
                np.full(count, 0.2),
                np.full(count, number),
            )
        )
    return Triangles(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _camera(draws: np.random.Generator) -> Camera:
    height = draws.uniform(1.5, 1.9)
    return Camera(np.asarray([0.0, 0.0, height]), np.asarray([0.0, 10.0, height]), FOCAL)


def _light(draws: np.random.Generator) -> Light:
    angle = draws.uniform(0, 2 * np.pi)
    towards = np.asarray([np.cos(angle), np.sin(angle), draws.uniform(0.6, 1.5)])
    return Light(
        towards / np.linalg.norm(towards), draws.uniform(0.5, 0.8), draws.uniform(0.35, 0.5)
    )


def _plain(
    assets: Path, sky: str, ground: str, camera: Camera, draws: np.random.Generator
) -> Picture:
    """Draw a photograph above the horizon, and another one as the ground below it."""
    picture = photos.patch(assets, sky, SIDE, draws, smallest=0.5)
    picture = 0.4 + 0.6 * cv2.GaussianBlur(picture, (0, 0), 2.0)
    flat = photos.patch(assets, ground, _TILE, draws, smallest=0.4)
    flat = 0.5 * flat + 0.5 * flat.mean(axis=(0, 1))
    horizon = int(SIDE * _HORIZON)
    depth = _depths(horizon, float(camera.place[2]))
    across = ((np.arange(SIDE) + 0.5) / SIDE - 0.5) * depth[:, None] / FOCAL
    scale = _TILE / draws.uniform(6, 14)
    down = np.broadcast_to(depth[:, None], across.shape)
    laid = cv2.remap(flat, _mirrored(across * scale), _mirrored(down * scale), cv2.INTER_LINEAR)
    # In the distance, the texture is finer than a pixel and fades into its mean.
    far = np.clip((depth - 6) / 25, 0, 1)[:, None, None]
    picture[horizon:] = laid * (1 - far) + flat.mean(axis=(0, 1)) * far
    return picture


def _mirrored(place: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Map positions on an endless floor to tiles; every other tile is mirrored to fit."""
    last = _TILE - 1
    return np.asarray(last - np.abs((place + last / 3) % (2 * last) - last), np.float32)


def _depths(horizon: int, height: float) -> Float[np.ndarray, " rows"]:
    """Return the distance to the ground in each row of pixels below the horizon, in metres."""
    below = (np.arange(horizon, SIDE) + 0.5) / SIDE - _HORIZON
    return np.asarray(height * FOCAL / below)
