"""A small labelled folder whose classes no single colour gives away."""

from pathlib import Path

import cv2
import numpy as np

NUM_IMAGES = 40


def drawn(kind: str, seed: int) -> np.ndarray:
    """A shape in a random colour and place; any seed from 0 up."""
    draw = np.random.default_rng(seed)
    image = np.full((48, 56, 3), draw.integers(0, 256, 3), dtype=np.uint8)
    colour = [int(value) for value in draw.integers(0, 256, 3)]
    x, y = (int(value) for value in draw.integers(14, 34, 2))
    if kind == "disc":
        cv2.circle(image, (x, y), 12, colour, -1)
    elif kind == "bars":
        for offset in range(-12, 13, 6):
            cv2.line(image, (x + offset, 4), (x + offset, 44), colour, 2)
    else:
        cv2.rectangle(image, (x - 12, y - 3), (x + 12, y + 3), colour, -1)
    return image


def draw_shapes(folder: Path) -> Path:
    """Three classes of 40 drawn shapes in random colours and places."""
    for number, kind in enumerate(("disc", "bars", "slab")):
        (folder / kind).mkdir(parents=True)
        for index in range(NUM_IMAGES):
            path = folder / kind / f"{index:02}.png"
            cv2.imwrite(str(path), drawn(kind, 1000 * number + index))
    return folder
