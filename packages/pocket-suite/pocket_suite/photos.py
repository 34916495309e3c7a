"""Load photographs for backgrounds from Debian's wallpaper packages; drawings are not listed.

Each photograph is in only one split of a task.
"""

import functools
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from PIL import Image

from footage.errors import FootageError
from footage.seeding import generator
from footage.suites.pocket import WALLPAPERS, Part
from pocket_suite.drawing import Picture, Pixels

PLASMA, MATE = WALLPAPERS
SHARES: Final[dict[Part, int]] = {"train800": 13, "val200": 4, "test": 9}
"""Number of photographs per split."""
WIDEST: Final = 1024
"""Size to which a photograph is reduced when it is read, in pixels."""

PHOTOS: Final[dict[str, tuple[str, ...]]] = {
    PLASMA: (
        "Autumn", "BytheWater", "ColdRipple", "ColorfulCups", "DarkestHour", "EveningGlow",
        "FallenLeaf", "Grey", "Kite", "OneStandsOut", "Path", "Shell", "Volna", "summer_1am",
    ),
    MATE: (
        "Aqua", "Blinds", "Dune", "FreshFlower", "Garden", "GreenMeadow", "LadyBird",
        "RainDrops", "Storm", "TwoWings", "Wood", "YellowFlower",
    ),
}  # fmt: skip


def parts(purpose: str, seed: int) -> dict[Part, list[str]]:
    """Return the names of the photographs of each split."""
    names = [f"{package}/{name}" for package, of_package in PHOTOS.items() for name in of_package]
    order = iter(generator(purpose + " photos", seed).permutation(len(names)))
    return {part: [names[next(order)] for _ in range(count)] for part, count in SHARES.items()}


def patch(
    assets: Path, name: str, side: int, draws: np.random.Generator, smallest: float = 0.15
) -> Picture:
    """Crop a random square of a photograph, from `smallest` to all of its height."""
    photo = _photo(assets, name)
    high, wide = photo.shape[:2]
    size = int(high * draws.uniform(smallest, 1.0))
    top, left = int(draws.integers(high - size + 1)), int(draws.integers(wide - size + 1))
    square = photo[top : top + size, left : left + size]
    if draws.random() < 0.5:
        square = square[:, ::-1]
    resized = cv2.resize(np.ascontiguousarray(square), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(resized / 255, np.float64)


class Window(NamedTuple):
    """A square part of a photograph that can be moved over it."""

    fraction: float
    """Its height as a fraction of the photograph's height."""
    is_mirrored: bool


def window(assets: Path, name: str, side: int, part: Window, place: tuple[float, float]) -> Picture:
    """Crop a square at a place between pixels.

    Args:
        assets: The folder of unpacked packages.
        name: Name of the photograph.
        side: Height and width of the result.
        part: The window.
        place: Position from the top and from the left, as fractions of the free space.
    """
    photo = _photo(assets, name)
    size = part.fraction * photo.shape[0]
    top, left = ((side - size) * at for side, at in zip(photo.shape[:2], place, strict=True))
    scale = size / side
    shift = 0.5 * scale - 0.5
    matrix = np.asarray([[scale, 0.0, left + shift], [0.0, scale, top + shift]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    smooth = cv2.GaussianBlur(photo, (0, 0), max(0.4 * scale, 0.1))  # against aliasing
    square = cv2.warpAffine(smooth, matrix, (side, side), flags=how, borderMode=cv2.BORDER_REFLECT)
    return np.asarray((square[:, ::-1] if part.is_mirrored else square) / 255, np.float64)


@functools.lru_cache(maxsize=32)
def _photo(assets: Path, name: str) -> Pixels:
    """Return the largest file of a wallpaper, reduced."""
    package, stem = name.split("/")
    folder = assets / package
    found = [
        *folder.glob(f"usr/share/wallpapers/{stem}/contents/images/*.*"),
        *folder.glob(f"usr/share/backgrounds/mate/nature/{stem}.*"),
    ]
    if not found:
        raise FootageError(f"{package} has no wallpaper {stem}", "try another version of it")
    with Image.open(max(found, key=lambda path: (path.stat().st_size, path.name))) as image:
        image.draft("RGB", (WIDEST, WIDEST))
        reduced = image.convert("RGB")
    reduced.thumbnail((WIDEST, WIDEST), Image.Resampling.BOX)
    return np.asarray(reduced)
