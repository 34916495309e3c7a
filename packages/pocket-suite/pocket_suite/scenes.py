"""scene-count and scene-distance: solids on a plane, after CLEVR.

Three to ten solids of two sizes, matt or shiny, in eight colours, lit from one side (Johnson et al.
2017). One task asks how many there are; the other how far the nearest is from the camera, in six
bins. VTAB's bins for CLEVR follow from CLEVR's camera; ours are equally frequent in ours.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite.drawing import Example, Painter, Picture, part_number, to_pixels
from pocket_suite.shading import Camera, Light, Triangles, about_z, render, visible
from pocket_suite.solids import SOLIDS

SIDE: Final = 128
FEWEST, MOST = 3, 10
SMALLEST_VISIBLE: Final = 40
"""Pixels that must be seen of each solid; a scene that hides one is thrown again."""
COLOURS: Final = (
    "575757", "ad2323", "2a4bd7", "1d6914", "814a19", "8126c0", "29d0d0", "ffee33",
)  # fmt: skip
DISTANCES: Final = (7.15, 7.8, 8.45, 9.1, 9.85)
"""Bounds of the six bins of distance. [ours] The sextiles of 1000 scenes with seed 1, rounded."""


class Scene(NamedTuple):
    """Where everything is, before it is drawn."""

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
        """All solids, ready to be drawn."""
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
        """Depth of the nearest solid's centre from the camera, as CLEVR's `pixel_coords` has it."""
        centres = np.concatenate([self.places, self.radii[:, None]], axis=1)
        return float(self.camera.seen(centres)[:, 2].min())


def open_count(seed: int, _assets: Path) -> Painter:
    """Painter of the task that asks how many solids there are."""
    return _painter("pocket scene count", seed, lambda scene: len(scene.radii) - FEWEST)


def open_distance(seed: int, _assets: Path) -> Painter:
    """Painter of the task that asks how far the nearest solid is."""
    return _painter("pocket scene distance", seed, lambda scene: distance_class(scene.distance))


def distance_class(distance: float) -> int:
    """The bin of a distance; one on a bound is in the lower bin, as in VTAB."""
    return sum(bound < distance for bound in DISTANCES)


def _painter(purpose: str, seed: int, asked: Callable[[Scene], int]) -> Painter:
    def paint(part: Part, number: int) -> Example:
        key = (seed, part_number(part), number)
        scene = shown_scene(purpose, *key)
        ground = _ground(generator(purpose + " ground", *key))
        picture = render(scene.triangles, scene.camera, scene.light, ground)
        return Example(to_pixels(picture), asked(scene), f"scene-{part}-{number}")

    return paint


def shown_scene(purpose: str, *key: int) -> Scene:
    """A scene in which every solid can be seen; how many there are is drawn but once."""
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
    """Places on the plane, no two solids nearer than a gap; crowded throws are begun anew."""
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
    """A grey plane, brighter near the camera on one side, with a little unevenness."""
    cloud = cv2.resize(draws.random((6, 6)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    slope = np.linspace(-0.5, 0.5, SIDE)
    tilt = draws.uniform(-0.12, 0.12) * slope[None] + draws.uniform(0.0, 0.2) * slope[:, None]
    grey = draws.uniform(0.5, 0.66) + tilt + 0.05 * (cloud - 0.5)
    return np.asarray(np.repeat(grey[..., None], 3, axis=2))
