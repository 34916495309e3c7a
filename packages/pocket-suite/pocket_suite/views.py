"""instance: recognise one of forty objects from sides that no labelled image shows.

Unlike object-instance, an object keeps its paint, as a real one does. The paints of all objects are
drawn from one palette, so that a colour does not identify an object. Labelled images show the
front, test images the sides, in another light and in front of other photographs.
"""

import functools
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite import photos
from pocket_suite.drawing import Example, TaskRenderer, part_number, to_pixels
from pocket_suite.instances import LIGHTS, MODELS, light
from pocket_suite.meshes import Mesh, load
from pocket_suite.objects import CATEGORIES, around, standing
from pocket_suite.shading import render

SIDE: Final = 96
OBJECTS: Final = MODELS + tuple(
    name for category in ("chair", "sofa", "vehicle", "person") for name in CATEGORIES[category][:5]
)
"""Forty models: beds, cabinets, baths, kitchen furniture, chairs, sofas, vehicles and people."""
PALETTE: Final = np.asarray(
    [
        [0.92, 0.91, 0.88], [0.62, 0.62, 0.64], [0.22, 0.22, 0.24], [0.52, 0.35, 0.2],
        [0.78, 0.62, 0.42], [0.65, 0.2, 0.18], [0.2, 0.34, 0.58], [0.3, 0.48, 0.28],
    ]
)  # fmt: skip
"""White, grey, black, brown, beige, red, blue and green, as red, green and blue in [0, 1]."""
SECTOR: Final = 15
"""Width of a sector of azimuths, in degrees."""
SECTORS: Final[dict[Part, tuple[int, ...]]] = {
    "train800": (-3, -2, -1, 0, 1, 2),
    "val200": (-4, 3),
    "test": (-9, -8, -7, -6, 5, 6, 7, 8),
}
"""Sectors from which each split shows an object; sector 0 starts at its front."""


def open_views(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of recognising an object from another side."""
    purpose = "pocket instance"
    walls = photos.parts(purpose, seed)

    def render_example(part: Part, number: int) -> Example:
        draws = generator(purpose, seed, part_number(part), number)
        label = number % len(OBJECTS)
        name = OBJECTS[label]
        sector, side = int(draws.choice(SECTORS[part])), int(draws.choice(LIGHTS[part]))
        wall = str(draws.choice(walls[part]))
        mesh = load(assets, name)
        triangles = standing(mesh, np.radians(SECTOR * (sector + draws.random())))
        triangles = triangles._replace(colours=paint(label, mesh)[mesh.material])
        camera = around(triangles, np.radians(draws.uniform(10, 50)), draws.uniform(3.8, 5.2))
        camera = camera._replace(target=camera.target + draws.uniform(-0.2, 0.2, 3))
        behind = photos.patch(assets, wall, SIDE, draws, smallest=0.4)
        picture = render(triangles, camera, light(side, draws), behind)
        source = f"{name}@{sector} + light {side} + {wall}"
        return Example(to_pixels(picture * draws.uniform(0.8, 1.15, 3)), label, source)

    return render_example


def paint(number: int, mesh: Mesh) -> Float[np.ndarray, "materials 3"]:
    """Return the colour of each material of an object, which is the same in all images."""
    return _paint(number, int(mesh.material.max()) + 1)


@functools.cache
def _paint(number: int, materials: int) -> Float[np.ndarray, "materials 3"]:
    draws = generator("pocket instance paint", number)
    shade = draws.uniform(0.9, 1.1, (materials, 1))
    return np.asarray(PALETTE[draws.integers(len(PALETTE), size=materials)] * shade)
