"""landcover: classify the land cover seen from above, after EuroSAT and Resisc45.

The tiles are the ground textures of FlightGear, many of them aerial photographs. Each row below is
a group: seasons, sizes and recolourings of one photograph, or crops of one scene. All crops of a
group are in one split. Masks, overlays and reliefs in false colours are not listed, nor are tiles
that do not clearly belong to one class.
"""

import functools
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite.drawing import Example, Pixels, TaskRenderer, part_number, to_pixels
from pocket_suite.groups import Item, split

PACKAGE: Final = "flightgear-data-base"
SIDE: Final = 96
_FOLDER: Final = "usr/share/games/flightgear/Textures/Terrain"
SMALLEST_CROP, LARGEST_CROP = 160, 320
"""Height and width of a crop, in pixels of the tile."""
SHARES: Final[dict[Part, int]] = {"train800": 3, "val200": 1, "test": 2}
"""Proportions of the groups of each class."""

TILES: Final[dict[str, str]] = {
    "urban": """
        18th_century_city
        Town1
        australia-commercial
        australia_suburbs
        california-industry
        california-port
        california-town california-town2
        city1 city1-middle-east city2 city2-middle-east
        industrial industrial-alt industrial-alt2
        industry-midle-east
        latin_american_city1 latin_american_slum
        town-caribbean town-europe town-europe-autumn town-europe-south town-madagascar
        town-middle-east
        transport""",
    "crop": """
        australia-drycrop-1 australia-drycrop-2
        caatinga-crop mixedcrop mixedcrop2
        california-drycrop california-drycrop2
        california-mixedcrop
        cerrado-crop
        cerrado-crop2 cerrado-generic
        countryside1.green countryside1.ireland-autumn countryside2.green \
            countryside3.green countryside4.green uk_countryside1 uk_countryside2
        cropgrass-hires cropgrass-hires-autumn cropgrass-madagascar
        cropgrass1 cropgrass2 cropgrass3 irrcrop1 irrcrop2 irrcrop3 \
            mixedcrop1 mixedcrop3 mixedcrop4 mixedcrop-caribbean
        cropwood cropwood-autumn
        drycrop irrcrop
        drycrop1 drycrop1-autumn drycrop2 drycrop3 drycrop4
        irrcrop-europe irrcrop-europe-autumn
        naturalcrop1 naturalcrop1-autumn
        orchard
        rice1""",
    "forest": """
        australia-bush-dense-base australia-bush-dense-hires
        california-forest
        coniferous_forest
        dec_evergreen dec_evergreen-hires evergreen
        deciduous-hires deciduous-hires-autumn mixedforest-hires mixedforest-hires-autumn \
            rainforest-hawaii
        deciduous1
        deciduous2 deciduous4
        forest forest1a forest1b forest1c
        mixedforest1c
        rainforest-patch""",
    "shrub": """
        australia-heath-base australia-heath-hires
        australia-outback-scrub-hires
        australia-scrub australia-scrub-hires
        california-shrub california-shrub3
        cerrado-scrub
        shrub shrub2 shrub3
        shrub-hawaii shrub-hawaii-green shrub-southwest shrub1 shrub1-autumn shrub1_dark""",
    "grass": """
        australia-drypasture-winter-1 australia-drypasture-winter-2
        australia-grassland-green-1
        australia-grassland-summer-1-large-matched australia-grassland-summer-2-large-matched
        california-grass california-grass2 grass
        california-grass-hires grass_green_hires grass_green_hires-autumn \
            grass_hires grass_marsh_hires
        dry_pasture4 iceland_grass iceland_grass-autumn pampas-grass
        grass-caribbean
        grass_dry2 grass_dry2a grass_dry2a_darker grass_dry3 grass_dry3a
        pampas-grass-hires savanna-grass savanna-grass2
        savanna""",
    "rock": """
        australia-cliffs australia-cliffs-hires
        california-rock
        dirtrock dirtrock_dark
        dark_gravel gravel_brown gravel_gray gravel_red
        rock rock_dark rock_brown2
        rock_alt rock_brown rock_red
        rocks-desert rocks-lava""",
    "sand": """
        california-sand
        dunes dunes-lencois
        sand1 sand2 sand3
        sand4 sand-hawaii4
        sand5
        sand6 sand6_hires
        sand_hires sand_hires_ochre sand_hires_red""",
    "snow": """
        glacier1
        glacier3
        packice1
        packice2
        snow1
        snow2
        snow3
        snow4""",
}
"""Classes and their tiles; each line is a group."""


def open_landcover(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of classifying land cover."""
    parts = split(groups(), SHARES, generator("pocket landcover split", seed))
    of_class = {
        part: [[item for item in items if item.label == label] for label in range(len(TILES))]
        for part, items in parts.items()
    }
    folder = assets / PACKAGE / _FOLDER

    def render_example(part: Part, number: int) -> Example:
        draws = generator("pocket landcover", seed, part_number(part), number)
        label = int(draws.integers(len(TILES)))
        item = of_class[part][label][draws.integers(len(of_class[part][label]))]
        tile = _tile(folder / f"{draws.choice(item.name.split())}.png")
        return Example(_lit(_crop(tile, draws), draws), label, item.group)

    return render_example


def groups() -> list[Item]:
    """Return all groups; the group key is the first tile, the name contains all tiles."""
    return [
        Item(line, label, line.split()[0])
        for label, lines in enumerate(TILES.values())
        for line in lines.strip().splitlines()
    ]


@functools.lru_cache(maxsize=64)
def _tile(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _crop(tile: Pixels, draws: np.random.Generator) -> UInt8[np.ndarray, "side side 3"]:
    """Crop a square of a tile and rotate it by a multiple of 90 degrees."""
    size = min(int(draws.integers(SMALLEST_CROP, LARGEST_CROP + 1)), *tile.shape[:2])
    top = int(draws.integers(tile.shape[0] - size + 1))
    left = int(draws.integers(tile.shape[1] - size + 1))
    crop = np.rot90(tile[top : top + size, left : left + size], int(draws.integers(4)))
    return np.asarray(
        cv2.resize(np.ascontiguousarray(crop), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    )


def _lit(crop: Pixels, draws: np.random.Generator) -> Pixels:
    """Change light and haze of a crop, so that its mean colour is less informative."""
    gain = draws.uniform(0.7, 1.3) * draws.uniform(0.8, 1.2, 3)
    return to_pixels(crop / 255 * gain + draws.uniform(0, 0.1))
