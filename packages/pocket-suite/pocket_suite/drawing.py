"""What every task of the suite is to its builder: a function from a place to a labelled image.

    painter = open_task(seed, assets)          once in each process
    painter(part, number) -> Example           the same pixels whenever and wherever it is called

An image depends on the seed, its part and its number alone, so any number of processes draw the
same suite, and a miniature of it is its beginning.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from footage.suites.pocket import COUNTS, Part

Pixels = UInt8[np.ndarray, "H W 3"]
Picture = Float[np.ndarray, "H W 3"]
"""Red, green and blue in [0, 1]."""

PARTS: tuple[Part, ...] = tuple(COUNTS)


SOURCE_SEPARATOR: Final = " + "


class Example(NamedTuple):
    """One labelled image and what it was made of."""

    pixels: Pixels
    label: int
    source: str
    """The mesh, tile, font or tuple of factors, or several of them between separators; each is in
    one part of a task only."""


Painter = Callable[[Part, int], Example]

Opener = Callable[[int, Path], Painter]
"""From the seed and the folder of unpacked packages to the painter of a task."""


def part_number(part: Part) -> int:
    """The part as a number, for the keys of random draws."""
    return PARTS.index(part)


def to_pixels(picture: Picture) -> Pixels:
    """A picture in [0, 1], rounded to bytes; what is beyond is cut off."""
    return np.asarray(np.round(np.clip(picture, 0, 1) * 255), np.uint8)


def grey_to_pixels(grey: UInt8[np.ndarray, "H W"]) -> Pixels:
    """A grey image, three times over, as VTAB treats its own."""
    return np.repeat(grey[..., None], 3, axis=2)


def png(pixels: Pixels) -> bytes:
    """The pixels as a PNG file; the same bytes for the same pixels."""
    done, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    assert done
    return encoded.tobytes()
