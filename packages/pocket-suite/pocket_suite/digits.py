"""scene-digits: classify a digit on a photograph, between parts of other digits, after SVHN.

Netzer et al. 2011 cut house numbers out of street views, with one digit in the middle and its
neighbours at the edges. Here the digits are set in Debian's fonts and the walls are photographs. No
font family and no photograph is in two splits.
"""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from footage.errors import FootageError
from footage.seeding import generator
from footage.suites.pocket import FONTS, Part
from pocket_suite import photos
from pocket_suite.drawing import Example, Picture, TaskRenderer, part_number, to_pixels

SIDE: Final = 64
_FINE: Final = 3 * SIDE
"""Height and width of the drawing before it is reduced, in pixels."""
SHARES: Final[dict[Part, int]] = {"train800": 7, "val200": 2, "test": 5}
"""Number of font packages per split."""
LEAST_CONTRAST: Final = 0.25
"""Minimum contrast of brightness between a digit and the photograph behind it, in [0, 1]."""


def open_digits(seed: int, assets: Path) -> TaskRenderer:
    """Open the task of classifying the digit in the middle."""
    purpose = "pocket scene digits"
    order = iter(generator(purpose + " fonts", seed).permutation(len(FONTS)))
    families = {part: [FONTS[next(order)] for _ in range(n)] for part, n in SHARES.items()}
    fonts = {family: _files(assets, family) for family in FONTS}
    walls = photos.parts(purpose, seed)

    def render_example(part: Part, number: int) -> Example:
        draws = generator(purpose, seed, part_number(part), number)
        digit = int(draws.integers(10))
        family = str(draws.choice(families[part]))
        path = fonts[family][draws.integers(len(fonts[family]))]
        wall = str(draws.choice(walls[part]))
        picture = photos.patch(assets, wall, SIDE, draws)
        picture = _written(picture, _mask(digit, path, draws), draws)
        return Example(to_pixels(picture), digit, f"{family} + {wall}")

    return render_example


def _files(assets: Path, package: str) -> list[Path]:
    """Return the fonts of a package, sorted by name, without symbols and small capitals."""
    found = [
        path
        for path in sorted((assets / package).rglob("*.[to]tf"))
        if not path.stem.endswith(("_K", "_DR", "Thin", "Hairline", "ThinItalic", "HairlineItalic"))
    ]
    if not found:
        raise FootageError(f"the package {package} has no fonts", "try another version of it")
    return found


def _mask(digit: int, path: Path, draws: np.random.Generator) -> Float[np.ndarray, "side side"]:
    """Return the mask of a rotated, slanted digit, perhaps with one on each side; 1 is ink."""
    font = ImageFont.truetype(str(path), int(_FINE * draws.uniform(0.5, 0.95)))
    canvas = Image.new("L", (_FINE, _FINE))
    pen = ImageDraw.Draw(canvas)
    left, top, right, bottom = font.getbbox(str(digit))
    x, y = _FINE / 2 - (left + right) / 2, _FINE / 2 - (top + bottom) / 2
    pen.text((x, y), str(digit), fill=255, font=font)
    gap = font.size * draws.uniform(0.02, 0.12)
    for side in (-1, 1):
        other = str(draws.integers(10))
        start, _, end, _ = font.getbbox(other)
        offset = x + right + gap - start if side > 0 else x + left - gap - end
        if draws.random() < 0.6:
            pen.text((offset, y), other, fill=255, font=font)
    middle = (_FINE / 2, _FINE / 2)
    turn = np.asarray(cv2.getRotationMatrix2D(middle, draws.normal(0, 6), 1.0), np.float64)
    slant = draws.normal(0, 0.1)
    turn[0] += [0, slant, -slant * _FINE / 2]
    turn[:, 2] += draws.uniform(-0.06, 0.06, 2) * _FINE
    ink = cv2.warpAffine(np.asarray(canvas), turn, (_FINE, _FINE))
    return np.asarray(cv2.resize(ink, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255)


def _written(
    wall: Picture, mask: Float[np.ndarray, "side side"], draws: np.random.Generator
) -> Picture:
    """Return the wall with ink in a distinguishable colour; blurred, lit and noisy."""
    behind = float((wall.mean(axis=2) * mask).sum() / max(mask.sum(), 1e-6))
    colour = draws.random(3)
    while abs(colour.mean() - behind) < LEAST_CONTRAST:
        colour = draws.random(3)
    picture = wall + (mask * draws.uniform(0.75, 1.0))[..., None] * (colour - wall)
    picture = cv2.GaussianBlur(picture, (0, 0), draws.uniform(0.3, 1.6))
    picture = picture * draws.uniform(0.7, 1.2) + draws.uniform(-0.05, 0.05)
    return np.asarray(picture + draws.normal(0, draws.uniform(0, 0.05), picture.shape))
