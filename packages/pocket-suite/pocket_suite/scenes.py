"""scene-count and scene-distance: solids on a plane, after CLEVR.

Three to ten solids of two sizes, matt or shiny, in eight colours, lit from one side (Johnson et al.
2017). One task is to count them; the other is to estimate the distance of the nearest from the
camera, in six bins. VTAB's bins depend on CLEVR's camera; ours are equally frequent here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite.drawing import Example, Picture, TaskRenderer, part_number, to_pixels
from pocket_suite.shading import Camera, Light, Triangles, about_z, render, visible
from pocket_suite.solids import SOLIDS

SIDE: Final = 128
FEWEST, MOST = 3, 10
SMALLEST_VISIBLE: Final = 40
"""Minimum number of visible pixels of each solid; scenes that hide one are redrawn."""
COLOURS: Final = (
    "575757", "ad2323", "2a4bd7", "1d6914", "814a19", "8126c0", "29d0d0", "ffee33",
)  # fmt: skip
DISTANCES: Final = (7.15, 7.8, 8.45, 9.1, 9.85)
"""Bounds of the six distance bins. [ours] Rounded sextiles of 1000 scenes with seed 1."""


class Scene(NamedTuple):
    """The objects of a scene, before it is drawn."""

    places: Float[np.ndarray, "n 2"]
    radii: Float[np.ndarray, " n"]
    shapes: list[str]
    colours: Float[np.ndarray, "n 3"]
    shine: Float[np.ndarray, " n"]
    turns: Float[np.ndarray, " n"]
    camera: Camera
    light: Light

    @property
    def triangles(self) -> Triangles:
        """The triangles of all solids."""
        parts = []
        for number, name in enumerate(self.shapes):
            corners, normals = SOLIDS[name]
            turn = about_z(self.turns[number])
            place = np.append(self.places[number], 0)
            count = len(corners)
            parts.append(
                Triangles(
                    corners @ turn * self.radii[number] + place,
                    normals @ turn,
                    np.tile(self.colours[number], (count, 1)),
                    np.full(count, self.shine[number]),
                    np.full(count, number),
                )
            )
        return Triangles(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    @property
    def distance(self) -> float:
        """The depth of the nearest solid's centre from the camera, as in CLEVR's `pixel_coords`."""
        centres = np.concatenate([self.places, self.radii[:, None]], axis=1)
        return float(self.camera.seen(centres)[:, 2].min())


def open_count(seed: int, _assets: Path) -> TaskRenderer:
    """Open the task of counting solids."""
    return _renderer("pocket scene count", seed, lambda scene: len(scene.radii) - FEWEST)


def open_distance(seed: int, _assets: Path) -> TaskRenderer:
    """Open the task of estimating the distance to the nearest solid."""
    return _renderer("pocket scene distance", seed, lambda scene: distance_class(scene.distance))


def distance_class(distance: float) -> int:
    """Return the bin of a distance; a distance on a bound is in the lower bin, as in VTAB."""
    return sum(bound < distance for bound in DISTANCES)


def _renderer(purpose: str, seed: int, asked: Callable[[Scene], int]) -> TaskRenderer:
    def render_example(part: Part, number: int) -> Example:
        key = (seed, part_number(part), number)
        scene = shown_scene(purpose, *key)
        ground = _ground(generator(purpose + " ground", *key))
        picture = render(scene.triangles, scene.camera, scene.light, ground)
        return Example(to_pixels(picture), asked(scene), f"scene-{part}-{number}")

    return render_example


def shown_scene(purpose: str, *key: int) -> Scene:
    """Draw a scene in which every solid is visible; the number of solids is drawn only once."""
    count = int(generator(purpose, *key).integers(FEWEST, MOST + 1))
    attempt = 0
    while True:
        scene = _scene(generator(purpose, *key, attempt), count)
        seen = visible(scene.triangles, scene.camera, SIDE, count)
        if seen.min() >= SMALLEST_VISIBLE:
            return scene
        attempt += 1


def _scene(draws: np.random.Generator, count: int) -> Scene:
    radii = np.where(draws.random(count) < 0.5, 0.38, 0.7)
    colours = np.asarray([[int(code[at : at + 2], 16) for at in (0, 2, 4)] for code in COLOURS])
    place = np.asarray([0.0, -8.6, 5.2]) * draws.uniform(0.9, 1.3) + draws.uniform(-0.6, 0.6, 3)
    azimuth, height = draws.uniform(0, 2 * np.pi), draws.uniform(0.5, 1.1)
    flat = np.cos(height)
    towards = np.asarray([np.cos(azimuth) * flat, np.sin(azimuth) * flat, np.sin(height)])
    return Scene(
        places=_places(draws, radii),
        radii=radii,
        shapes=[str(name) for name in draws.choice(sorted(SOLIDS), count)],
        colours=colours[draws.integers(0, len(colours), count)] / 255,
        shine=np.where(draws.random(count) < 0.5, 0.0, 0.7),
        turns=draws.uniform(0, 2 * np.pi, count),
        camera=Camera(place, np.asarray([0.0, 0.15, 0.3]), 1.1),
        light=Light(towards, draws.uniform(0.65, 0.85), draws.uniform(0.35, 0.45)),
    )


def _places(draws: np.random.Generator, radii: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Draw positions on the plane with a minimum gap; restart if they are too crowded."""
    while True:
        places: list[Float[np.ndarray, " 2"]] = []
        for radius in radii:
            for _ in range(30):
                place = draws.uniform(-3.0, 3.0, 2)
                apart = [
                    np.hypot(*(place - other)) - radius - taken
                    for other, taken in zip(places, radii, strict=False)
                ]
                if min(apart, default=1.0) > 0.25:
                    places.append(place)
                    break
        if len(places) == len(radii):
            return np.stack(places)


def _ground(draws: np.random.Generator) -> Picture:
    """Draw a grey, slightly uneven plane, brighter near the camera on one side."""
    cloud = cv2.resize(draws.random((6, 6)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    slope = np.linspace(-0.5, 0.5, SIDE)
    tilt = draws.uniform(-0.12, 0.12) * slope[None] + draws.uniform(0.0, 0.2) * slope[:, None]
    grey = draws.uniform(0.5, 0.66) + tilt + 0.05 * (cloud - 0.5)
    return np.asarray(np.repeat(grey[..., None], 3, axis=2))
