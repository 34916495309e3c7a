"""Small folders in the layout of DAVIS 2017: coloured squares that move over noise."""

from pathlib import Path

import numpy as np
from PIL import Image

from footage.seeding import generator

COLOURS = ((230, 40, 40), (40, 60, 230))


def write_clip(
    folder: Path,
    name: str = "one",
    *,
    frames: int = 5,
    objects: int = 1,
    side: int = 16,
    size: tuple[int, int] = (64, 96),
    step: int = 4,
    resolution: str = "480p",
) -> None:
    """Write a clip of squares that move to the right by `step` pixels per frame."""
    images = folder / "JPEGImages" / resolution / name
    masks = folder / "Annotations" / resolution / name
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    noise = generator("clip", *name.encode()).integers(90, 160, (*size, 3)).astype(np.uint8)
    for number in range(frames):
        picture, mask = noise.copy(), np.zeros(size, np.uint8)
        for index in range(objects):
            top, left = 8 + 32 * index, 16 + step * number
            place = slice(top, top + side), slice(left, left + side)
            picture[place], mask[place] = COLOURS[index], index + 1
        Image.fromarray(picture).save(images / f"{number:05d}.png")
        save_mask(mask, masks / f"{number:05d}.png")


def save_mask(mask: np.ndarray, path: Path) -> None:
    """Write a mask as a PNG with a palette, as DAVIS has them."""
    image = Image.fromarray(mask)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    image.save(path)
