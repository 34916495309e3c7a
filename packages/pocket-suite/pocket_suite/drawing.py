"""The interface of tasks: a function from the split and number of an image to the labelled image.

    render = open_task(seed, assets)           once in each process
    render(part, number) -> Example            always the same pixels

An image depends only on the seed, its split and its number. So any number of processes draw the
same suite, and a miniature consists of its first images.
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
    """One labelled image and its sources."""

    pixels: Pixels
    label: int
    source: str
    """The mesh, tile, font or tuple of factors, or several joined by the separator; each is in only
    one split of a task."""


TaskRenderer = Callable[[Part, int], Example]

OpenRenderer = Callable[[int, Path], TaskRenderer]
"""Makes the renderer of a task from the seed and the folder of unpacked packages."""


def part_number(part: Part) -> int:
    """Return the number of a split, for the keys of random draws."""
    return PARTS.index(part)


def to_pixels(picture: Picture) -> Pixels:
    """Clip a picture to [0, 1] and round it to bytes."""
    return np.asarray(np.round(np.clip(picture, 0, 1) * 255), np.uint8)


def grey_to_pixels(grey: UInt8[np.ndarray, "H W"]) -> Pixels:
    """Repeat a grey image in three channels, as VTAB does."""
    return np.repeat(grey[..., None], 3, axis=2)


def png(pixels: Pixels) -> bytes:
    """Encode pixels as PNG; the same pixels give the same bytes."""
    done, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    assert done
    return encoded.tobytes()
