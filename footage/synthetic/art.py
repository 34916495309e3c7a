"""Textures, shapes and sprites for the rendered worlds.

A texture is a height field in [0, 1]. A shape is a list of coloured polygons in the square
[-1, 1] x [-1, 1], y downwards. A sprite is a shape painted with a texture and lit from one side.
Everything is drawn from the generator that is passed in, so a seed fixes every pixel.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Texture = Float[np.ndarray, "H W"]
Colour = Float[np.ndarray, " 3"]
Sprite = UInt8[np.ndarray, "side side 4"]
"""Red, green, blue, opacity; the colours are already multiplied by the opacity."""


Number = int | float


class Part(NamedTuple):
    """One polygon of a shape; `tone` selects one of the object's three colours."""

    outline: Float[np.ndarray, "n 2"]
    tone: int


# --- textures -----------------------------------------------------------------------------------


def noise(generator: np.random.Generator, height: int, width: int, coarsest: int = 4) -> Texture:
    """Make fractal value noise: four octaves, each twice as fine and half as strong as the last."""
    total = np.zeros((height, width), np.float32)
    for octave in range(4):
        cells = coarsest * 2**octave
        grid = generator.random((cells + 2, cells + 2), np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return _stretched(total)


def _stretched(field: Texture) -> Texture:
    """Rescale a field to [0, 1]."""
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / max(high - low, 1e-6), np.float32)


def _grid(
    generator: np.random.Generator, height: int, width: int, warp: float
) -> tuple[Texture, Texture]:
    """Make two rotated, slightly warped coordinates with about ten cells across the image."""
    angle = generator.uniform(0, np.pi)
    cells = generator.uniform(7, 13) / max(height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) * np.float32(cells)
    x = x + np.float32(warp) * noise(generator, height, width)
    y = y + np.float32(warp) * noise(generator, height, width)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cosine + y * sine, y * cosine - x * sine


def _stripes(generator: np.random.Generator, height: int, width: int) -> Texture:
    across, _ = _grid(generator, height, width, warp=1.0)
    return _stretched(np.clip(np.sin(across * 2 * np.pi) * 2.5, -1, 1))


def _tiles(generator: np.random.Generator, height: int, width: int) -> Texture:
    across, along = _grid(generator, height, width, warp=0.3)
    checks = (np.floor(across) + np.floor(along)) % 2
    return _stretched(checks + 0.5 * noise(generator, height, width))


def _dots(generator: np.random.Generator, height: int, width: int) -> Texture:
    across, along = _grid(generator, height, width, warp=0.4)
    bumps = np.cos(across * 2 * np.pi) + np.cos(along * 2 * np.pi)
    return _stretched(np.clip(bumps * 2.0, -1, 1))


def _cells(generator: np.random.Generator, height: int, width: int) -> Texture:
    """Make pebbles from the distance to the nearest of many scattered points."""
    seeds = np.full((height, width), 255, np.uint8)
    count = int(generator.integers(60, 140))
    seeds[generator.integers(0, height, count), generator.integers(0, width, count)] = 0
    return _stretched(cv2.distanceTransform(seeds, cv2.DIST_L2, 3))


def _clouds(generator: np.random.Generator, height: int, width: int) -> Texture:
    return noise(generator, height, width, coarsest=int(generator.integers(4, 10)))


TextureMaker = Callable[[np.random.Generator, int, int], Texture]
TEXTURES: dict[str, TextureMaker] = {
    "clouds": _clouds,
    "stripes": _stripes,
    "tiles": _tiles,
    "dots": _dots,
    "pebbles": _cells,
}
# --- shapes -------------------------------------------------------------------------------------


def _polygon(tone: int, *points: tuple[Number, Number]) -> Part:
    return Part(np.asarray(points, np.float32), tone)


def _oval(tone: int, x: Number, y: Number, wide: Number, high: Number) -> Part:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    outline = np.stack([x + wide * np.cos(angle), y + high * np.sin(angle)], axis=1)
    return Part(outline.astype(np.float32), tone)


def _box(tone: int, left: Number, top: Number, right: Number, bottom: Number) -> Part:
    return _polygon(tone, (left, top), (right, top), (right, bottom), (left, bottom))


def _dome(tone: int, x: Number, y: Number, wide: Number, high: Number) -> Part:
    angle = np.linspace(np.pi, 2 * np.pi, 24)
    outline = np.stack([x + wide * np.cos(angle), y + high * np.sin(angle)], axis=1)
    return Part(outline.astype(np.float32), tone)


def _around(part: Callable[[float, float], Part], count: int, radius: Number) -> list[Part]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [part(radius * float(np.cos(a)), radius * float(np.sin(a))) for a in angles]


SHAPES: dict[str, list[Part]] = {
    "tree": [
        _box(1, -0.12, 0.3, 0.12, 0.95),
        _polygon(0, (-0.75, 0.5), (0.75, 0.5), (0, -0.2)),
        _polygon(0, (-0.6, 0.1), (0.6, 0.1), (0, -0.6)),
        _polygon(0, (-0.42, -0.3), (0.42, -0.3), (0, -0.95)),
    ],
    "house": [
        _box(0, -0.7, -0.1, 0.7, 0.9),
        _polygon(1, (-0.9, -0.05), (0.9, -0.05), (0, -0.85)),
        _box(2, -0.2, 0.35, 0.15, 0.9),
        _box(2, 0.3, 0.1, 0.55, 0.4),
    ],
    "car": [
        _polygon(2, (-0.5, -0.05), (-0.3, -0.45), (0.3, -0.45), (0.6, -0.05)),
        _polygon(0, (-0.95, -0.05), (0.8, -0.05), (0.95, 0.15), (0.95, 0.4), (-0.95, 0.4)),
        _oval(1, -0.5, 0.4, 0.22, 0.22),
        _oval(1, 0.5, 0.4, 0.22, 0.22),
    ],
    "fish": [
        _polygon(1, (0.45, 0), (0.95, -0.45), (0.85, 0), (0.95, 0.45)),
        _polygon(1, (-0.1, -0.3), (0.25, -0.7), (0.3, -0.2)),
        _oval(0, -0.15, 0, 0.75, 0.42),
        _oval(2, -0.6, -0.1, 0.1, 0.1),
    ],
    "flower": [
        _box(1, -0.06, 0.1, 0.06, 0.95),
        *[Part(p.outline - np.asarray([0, 0.35], np.float32), 0) for p in _around(
            lambda x, y: _oval(0, x, y, 0.26, 0.26), 6, 0.34)],
        _oval(2, 0, -0.35, 0.2, 0.2),
    ],
    "mushroom": [
        _polygon(2, (-0.22, 0.0), (0.22, 0.0), (0.3, 0.9), (-0.3, 0.9)),
        _dome(0, 0, 0.1, 0.9, 0.9),
    ],
    "bird": [
        _polygon(1, (0.3, 0.0), (0.95, -0.2), (0.9, 0.25)),
        _oval(0, 0.0, 0.1, 0.55, 0.4),
        _oval(0, -0.5, -0.3, 0.28, 0.28),
        _polygon(2, (-0.72, -0.35), (-0.98, -0.22), (-0.72, -0.15)),
        _polygon(1, (-0.2, 0.0), (0.35, -0.05), (0.15, 0.4)),
    ],
    "boat": [
        _box(1, -0.04, -0.9, 0.04, 0.35),
        _polygon(2, (0.08, -0.85), (0.08, 0.2), (0.75, 0.2)),
        _polygon(2, (-0.08, -0.6), (-0.08, 0.2), (-0.55, 0.2)),
        _polygon(0, (-0.95, 0.3), (0.95, 0.3), (0.6, 0.8), (-0.65, 0.8)),
    ],
    "balloon": [
        _polygon(1, (-0.3, 0.2), (0.3, 0.2), (0.15, 0.6), (-0.15, 0.6)),
        _oval(0, 0, -0.3, 0.62, 0.65),
        _box(2, -0.18, 0.6, 0.18, 0.92),
    ],
    "person": [
        _box(1, -0.28, 0.3, -0.05, 0.95),
        _box(1, 0.05, 0.3, 0.28, 0.95),
        _polygon(2, (-0.3, -0.35), (-0.65, 0.15), (-0.5, 0.25), (-0.2, -0.1)),
        _polygon(2, (0.3, -0.35), (0.65, 0.15), (0.5, 0.25), (0.2, -0.1)),
        _polygon(0, (-0.35, -0.4), (0.35, -0.4), (0.3, 0.4), (-0.3, 0.4)),
        _oval(2, 0, -0.65, 0.25, 0.28),
    ],
    "bottle": [
        _box(2, -0.14, -0.95, 0.14, -0.75),
        _polygon(0, (-0.13, -0.75), (0.13, -0.75), (0.42, -0.2), (0.42, 0.9), (-0.42, 0.9),
                 (-0.42, -0.2)),
        _box(1, -0.42, 0.1, 0.42, 0.5),
    ],
    "star": [
        _polygon(0, *[(float(r * np.sin(a)), float(-r * np.cos(a))) for r, a in zip(
            [0.95, 0.42] * 5, np.linspace(0, 2 * np.pi, 10, endpoint=False), strict=True)]),
    ],
}  # fmt: skip

# --- sprites ------------------------------------------------------------------------------------


def painted(texture: Texture, low: Colour, high: Colour) -> Float[np.ndarray, "H W 3"]:
    """Map a texture to colours from `low` to `high`, both in [0, 1]."""
    return np.asarray(low + texture[..., None] * (high - low), np.float32)


def sprite(
    parts: list[Part],
    textures: list[Texture],
    colours: Float[np.ndarray, "tones 3"],
    light_angle: float,
    generator: np.random.Generator,
) -> Sprite:
    """Make a sprite of a shape: painted, lit from `light_angle` (radians) and randomly distorted.

    It looks rounded because the distance to the outline is lit as a height field.
    """
    size = textures[0].shape[0]
    bend = np.eye(2) + generator.uniform(-0.13, 0.13, (2, 2))
    picture = np.zeros((size, size, 3), np.float32)
    opacity = np.zeros((size, size), np.float32)
    for part in parts:
        corners = (part.outline @ bend.T * 0.42 + 0.5) * size
        drawn = np.zeros((size, size), np.uint8)
        points = np.round(corners * 16).astype(np.int32)
        cv2.fillPoly(drawn, [points], 255, lineType=cv2.LINE_AA, shift=4)
        cover = drawn.astype(np.float32) / 255
        colour = colours[part.tone % len(colours)]
        texture = textures[part.tone % len(textures)]
        paint = painted(texture, colour * 0.55, np.minimum(colour * 1.15, 1))
        paint *= _relief(drawn, light_angle)[..., None]
        picture += cover[..., None] * (paint - picture)
        opacity = np.maximum(opacity, cover)
    stacked = np.dstack([np.clip(picture, 0, 1) * opacity[..., None], opacity])
    return np.round(stacked * 255).astype(np.uint8)


def _relief(drawn: UInt8[np.ndarray, "H W"], light_angle: float) -> Float[np.ndarray, "H W"]:
    """Return the brightness, about 1, of each point of a lit cushion with this outline."""
    size = drawn.shape[0]
    height = np.minimum(cv2.distanceTransform(drawn, cv2.DIST_L2, 3), size / 8)
    height = cv2.GaussianBlur(height, (0, 0), size / 50)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) / 8
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) / 8
    lit = slope_x * np.cos(light_angle) + slope_y * np.sin(light_angle)
    return np.asarray(np.clip(0.95 + 0.4 * lit, 0.35, 1.4), np.float32)
