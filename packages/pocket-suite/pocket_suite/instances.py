"""object-instance: identify one of twenty models in another pose, light, colour and place.

This is the invariance that the shot level should learn: an object stays the same while it rotates
and the light moves. Training and test images show the models from different azimuths, lit from
different sides, in front of different photographs. Every material has a random colour in every
image, so that colours do not identify a model.
"""

from pathlib import Path
from typing import Final

import numpy as np

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite import photos
from pocket_suite.drawing import Example, TaskRenderer, part_number, to_pixels
from pocket_suite.meshes import Mesh, load
from pocket_suite.objects import around, standing
from pocket_suite.shading import Light, Triangles, about_z, render

SIDE: Final = 96
MODELS: Final = (
    "blendswap-cc-0/bed1", "blendswap-cc-by/lettoCloud", "scopia/captains-bed",
    "scopia/hospital-bed", "blendswap-cc-by/bunkBed",
    "blendswap-cc-0/cupboard", "scopia/dressing-table", "katorlegaz/filing-cabinet",
    "scopia/changing-table", "blendswap-cc-by/chest",
    "blendswap-cc-0/toiletsUnit", "blendswap-cc-0/bidet", "blendswap-cc-0/washbasin",
    "scopia/corner_bathtub", "blendswap-cc-0/modernVanity",
    "blendswap-cc-0/oven", "katorlegaz/fridge", "scopia/coffee_machine",
    "blendswap-cc-by/washing_machine", "blendswap-cc-0/sinkCabinet",
)  # fmt: skip
"""Beds, cabinets, baths and kitchen furniture, five of each."""
AZIMUTHS: Final[dict[Part, tuple[int, ...]]] = {
    "train800": (0, 2, 4, 6, 8, 10),
    "val200": (3, 9),
    "test": (1, 5, 7, 11),
}
"""Azimuth sectors of 12 degrees around the front: cabinets look alike from behind."""
LIGHTS: Final[dict[Part, tuple[int, ...]]] = {
    "train800": (0, 2, 4, 6),
    "val200": (3,),
    "test": (1, 5, 7),
}
"""Sectors of 45 degrees from which the light comes, relative to the camera."""


def open_instance(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of identifying a model."""
    purpose = "pocket object instance"
    walls = photos.parts(purpose, seed)

    def render_example(part: Part, number: int) -> Example:
        draws = generator(purpose, seed, part_number(part), number)
        label = int(draws.integers(len(MODELS)))
        sector, side = int(draws.choice(AZIMUTHS[part])), int(draws.choice(LIGHTS[part]))
        wall = str(draws.choice(walls[part]))
        mesh = load(assets, MODELS[label])
        azimuth = np.radians(12 * (sector + draws.random()) - 72)
        triangles = _painted(standing(mesh, azimuth), mesh, draws)
        camera = around(triangles, np.radians(draws.uniform(10, 50)), draws.uniform(3.8, 5.2))
        camera = camera._replace(target=camera.target + draws.uniform(-0.2, 0.2, 3))
        behind = photos.patch(assets, wall, SIDE, draws, smallest=0.4)
        picture = render(triangles, camera, light(side, draws), behind)
        source = f"{MODELS[label]}@{sector} + light {side} + {wall}"
        return Example(to_pixels(picture * draws.uniform(0.75, 1.2, 3)), label, source)

    return render_example


def _painted(triangles: Triangles, mesh: Mesh, draws: np.random.Generator) -> Triangles:
    """Paint every material in its own, rather light colour."""
    colours = draws.uniform(0.2, 1.0, (int(mesh.material.max()) + 1, 3))
    colours = 0.5 * colours + 0.5 * colours.mean(axis=1, keepdims=True)
    return triangles._replace(colours=colours[mesh.material])


def light(sector: int, draws: np.random.Generator) -> Light:
    """Draw a light from a sector of 45 degrees."""
    flat = np.asarray([0.0, -1.0, 0.0]) @ about_z(np.pi / 4 * (sector + draws.random()))
    towards = np.append(flat[:2], draws.uniform(0.5, 1.2))
    return Light(
        towards / np.linalg.norm(towards), draws.uniform(0.5, 0.8), draws.uniform(0.3, 0.45)
    )
