"""object-azimuth and object-elevation: grey models from all sides, after smallNORB.

smallNORB (LeCun et al. 2004) shows toys of five categories, from 18 azimuths 20 degrees apart and 9
elevations 5 degrees apart under six lightings; its test split shows different toys. Here there
are six categories of furniture, cars and people, and no model is in two splits. Azimuth 0 is the
front of each model according to its catalogue, which must be learned.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite.drawing import Example, TaskRenderer, part_number, to_pixels
from pocket_suite.meshes import Mesh, load
from pocket_suite.shading import Camera, Light, Triangles, about_z, render

SIDE: Final = 96
NUM_AZIMUTHS, NUM_ELEVATIONS = 18, 9
FOCAL: Final = 1.7
CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "chair": (
        "blendswap-cc-0/plasticChair", "blendswap-cc-0/sillaBlanca", "blendswap-cc-0/chair",
        "blendswap-cc-0/antiqueChair", "blendswap-cc-0/chair2", "blendswap-cc-by/ella_chair_f",
        "blendswap-cc-by/kitchenChair", "blendswap-cc-by/chair4", "katorlegaz/dining-chair",
        "scopia/chair", "scopia/white_kitchen_chair", "scopia/plastic_chair",
    ),
    "armchair": (
        "blendswap-cc-0/armchair2", "blendswap-cc-0/modernArmchair", "blendswap-cc-by/armchair1",
        "blendswap-cc-by/fotel", "katorlegaz/mid-century-chair", "scopia/armchair3",
        "scopia/armchair", "scopia/armchair2", "scopia/modern_armchair",
        "blendswap-cc-0/winchesterArmchair", "scopia/rattanArmchair", "blendswap-cc-by/armChair2",
    ),
    "sofa": (
        "blendswap-cc-0/sofa2", "blendswap-cc-by/sofa2", "blendswap-cc-by/sofa3",
        "katorlegaz/mid-century-sofa", "scopia/simple_sofa", "scopia/leather_sofa",
        "scopia/sofa_white_beige", "scopia/beige_sofa_2seats", "blendswap-cc-0/winchesterSofa",
        "blendswap-cc-by/couch3", "blendswap-cc-0/couch", "scopia/burlap_sofa",
    ),
    "bed": (
        "blendswap-cc-0/bed1", "blendswap-cc-0/bed2", "blendswap-cc-0/bed3",
        "blendswap-cc-0/bedWithTexture", "blendswap-cc-by/lettoCloud", "scopia/bed1",
        "scopia/captains-bed", "blendswap-cc-by/juniorBed", "scopia/children_bed",
        "scopia/hospital-bed", "scopia/iron_bed", "blendswap-cc-by/bunkBed",
    ),
    "vehicle": (
        "katorlegaz/concept-sedan-01v2", "blendswap-cc-by/fordFocus", "scopia/peugeot-308",
        "scopia/renault-scenic", "scopia/suv", "scopia/seat_leon", "scopia/chevrolet",
        "scopia/smart-car", "scopia/van", "katorlegaz/VW-new-beetle", "scopia/truck",
        "scopia/scooter2",
    ),
    "person": (
        "reallusion/female01", "reallusion/female02", "reallusion/female03", "reallusion/male01",
        "reallusion/male02", "reallusion/male03", "katorlegaz/female-01-casual-clothing",
        "katorlegaz/male-01-suit", "reallusion/boyStanding", "reallusion/girlStanding",
        "scopia/mannequinMale", "scopia/mannequinBrunette",
    ),
}  # fmt: skip
SHARES: Final[dict[Part, int]] = {"train800": 6, "val200": 2, "test": 4}
"""Number of models per category in each split."""


def open_azimuth(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of classifying the azimuth of a model."""
    return _renderer("pocket object azimuth", seed, assets, lambda azimuth, _: azimuth)


def open_elevation(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of classifying the elevation of the camera."""
    return _renderer("pocket object elevation", seed, assets, lambda _, elevation: elevation)


def models(purpose: str, seed: int) -> dict[Part, list[str]]:
    """Return the models of each split; every split has all categories."""
    parts: dict[Part, list[str]] = {part: [] for part in SHARES}
    for number, names in enumerate(CATEGORIES.values()):
        order = iter(generator(purpose + " models", seed, number).permutation(len(names)))
        for part, count in SHARES.items():
            parts[part] += [names[next(order)] for _ in range(count)]
    return parts


def _renderer(
    purpose: str, seed: int, assets: Path, asked: Callable[[int, int], int]
) -> TaskRenderer:
    parts = models(purpose, seed)

    def render_example(part: Part, number: int) -> Example:
        draws = generator(purpose, seed, part_number(part), number)
        name = str(draws.choice(parts[part]))
        azimuth = int(draws.integers(NUM_AZIMUTHS))
        elevation = int(draws.integers(NUM_ELEVATIONS))
        triangles = standing(load(assets, name), 2 * np.pi * azimuth / NUM_AZIMUTHS)
        camera = around(triangles, np.radians(30 + 5 * elevation), draws.uniform(4.0, 4.6))
        grey = np.full((SIDE, SIDE, 3), draws.uniform(0.45, 0.75))
        picture = render(triangles, camera, _light(draws), grey)
        return Example(to_pixels(picture), asked(azimuth, elevation), name)

    return render_example


def standing(mesh: Mesh, azimuth: float) -> Triangles:
    """Place a grey model on the ground at the origin, about 2 units wide.

    At azimuth 0, its front is visible from -y; it rotates counter-clockwise as seen from above.
    """
    count = len(mesh.corners)
    turn = about_z(azimuth)
    return Triangles(
        mesh.corners / mesh.radius @ turn,
        mesh.normals @ turn,
        np.full((count, 3), 0.7),
        np.zeros(count),
        np.zeros(count, np.int64),
    )


def around(triangles: Triangles, elevation: float, distance: float, azimuth: float = 0.0) -> Camera:
    """Make a camera that looks at the middle of a model, from the side of -y at azimuth 0."""
    middle = np.asarray([0.0, 0.0, triangles.corners[..., 2].max() / 2])
    flat = np.asarray([0.0, -np.cos(elevation), np.sin(elevation)])
    return Camera(middle + flat @ about_z(azimuth) * distance, middle, FOCAL)


def _light(draws: np.random.Generator) -> Light:
    """Draw one of six lightings, as in smallNORB: four directions, from above, and dim."""
    kind = int(draws.integers(6))
    angle = kind * np.pi / 2 + np.pi / 4
    flat = (0.1, 0.0) if kind >= 4 else (np.cos(angle), np.sin(angle))
    towards = np.asarray([*flat, 0.9])
    strength = 0.35 if kind == 5 else 0.7
    return Light(towards / np.linalg.norm(towards), strength, 0.35)
