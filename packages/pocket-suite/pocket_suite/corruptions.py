"""The fifteen common corruptions of images, at five severities, as in ImageNet-C.

Hendrycks & Dietterich 2019 (https://arxiv.org/abs/1903.12261): noise, blur, weather and digital
corruptions. A classifier that was fitted to clean images is tested on corrupted ones.

Deviation: own implementation with the published strengths, whose lengths in pixels are those of an
image of 224 pixels and scale with the size of the image here; frost is drawn, not photographed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float

from footage.seeding import generator
from footage.suites.pocket import Part
from pocket_suite.drawing import (
    Example,
    OpenRenderer,
    Picture,
    TaskRenderer,
    part_number,
    to_pixels,
)

SEVERITIES: Final = 5

_FULL_SIDE: Final = 224
"""Height of the images for which the lengths were published, in pixels."""

Corruption = Callable[[Picture, int, np.random.Generator], Picture]
"""Corrupts a picture; the severity is 0 to 4."""

Grey = Float[np.ndarray, "H W"]


def corrupt(picture: Picture, name: str, severity: int, draws: np.random.Generator) -> Picture:
    """Corrupt a picture.

    Args:
        picture: Red, green and blue in [0, 1].
        name: One of `CORRUPTIONS`.
        severity: 1 (weakest) to 5.
        draws: Generator of the random draws.
    """
    return np.asarray(np.clip(CORRUPTIONS[name](picture, severity - 1, draws), 0, 1))


# --- noise ---------------------------------------------------------------------------------------


def _gaussian_noise(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    return picture + draws.normal(0, (0.08, 0.12, 0.18, 0.26, 0.38)[severity], picture.shape)


def _shot_noise(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    photons = (60, 25, 12, 5, 3)[severity]
    return np.asarray(draws.poisson(picture * photons) / photons)


def _impulse_noise(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity]
    noise = (draws.random(picture.shape) < 0.5).astype(float)
    return np.where(draws.random(picture.shape) < share, noise, picture)


# --- blur ----------------------------------------------------------------------------------------


def _defocus_blur(picture: Picture, severity: int, _: np.random.Generator) -> Picture:
    radius = _pixels(picture, (3, 4, 6, 8, 10)[severity])
    reach = np.arange(-int(np.ceil(radius)), int(np.ceil(radius)) + 1)
    distance = np.hypot(*np.meshgrid(reach, reach))
    disc = np.clip(radius + 0.5 - distance, 0, 1)
    return cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT_101)


def _glass_blur(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    sigma, reach, times = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[severity]
    sigma = _pixels(picture, sigma)
    moved = _blurred(picture, sigma)
    most = max(1, round(_pixels(picture, reach)))
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(times):
        shift = draws.integers(-most, most + 1, (2, height, width)).astype(np.float32)
        moved = _remapped(moved, columns + shift[0], rows + shift[1], cv2.INTER_NEAREST)
    return _blurred(moved, sigma)


def _motion_blur(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity]
    angle = np.radians(draws.uniform(-45, 45))
    steps = np.arange(round(_pixels(picture, 2 * radius)) + 1)
    weights = np.exp(-(steps**2) / (2 * _pixels(picture, sigma) ** 2))
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    moved = [
        weight * _remapped(picture, columns + step * np.cos(angle), rows + step * np.sin(angle))
        for step, weight in zip(steps, weights / weights.sum(), strict=True)
    ]
    return np.asarray(sum(moved))


def _zoom_blur(picture: Picture, severity: int, _: np.random.Generator) -> Picture:
    end, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.33, 0.03))[severity]
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    zoomed = [
        _remapped(
            picture,
            (columns - width / 2) / factor + width / 2,
            (rows - height / 2) / factor + height / 2,
        )
        for factor in np.arange(1, end, step)
    ]
    return np.asarray(sum(zoomed) + picture) / (len(zoomed) + 1)


# --- weather -------------------------------------------------------------------------------------


def _snow(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    mean, least, length, keeps = (
        (0.1, 0.5, 10, 0.8), (0.2, 0.5, 12, 0.7), (0.55, 0.9, 12, 0.7), (0.55, 0.85, 12, 0.65),
        (0.55, 0.85, 12, 0.55),
    )[severity]  # fmt: skip
    flakes = draws.normal(mean, 0.3, picture.shape[:2])
    flakes = np.where(flakes < least, 0, np.clip(flakes, 0, 1))
    angle = np.radians(draws.uniform(45, 135))
    count = max(2, round(_pixels(picture, length)))
    height, width = flakes.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    streaks = [
        _remapped(flakes, columns + step * np.cos(angle), rows + step * np.sin(angle))
        for step in range(count)
    ]
    layer = np.asarray(sum(streaks)) / count
    pale = np.maximum(picture, (picture.mean(axis=2, keepdims=True) * 1.5 + 0.5))
    whiter = keeps * picture + (1 - keeps) * pale
    return np.asarray(whiter + (layer + layer[::-1, ::-1])[..., None])


def _frost(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    keeps, adds = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity]
    height, width = picture.shape[:2]
    ridges = 1 - 2 * np.abs(_plasma(height, width, 1.6, draws) - 0.5)
    crystals = np.clip(ridges, 0, 1) ** 3
    covered = np.clip(3 * _plasma(height, width, 2.2, draws) - 0.9, 0, 1)
    ice = (crystals * covered)[..., None] * np.asarray([0.85, 0.95, 1.0])
    return np.asarray(keeps * picture + adds * ice)


def _fog(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    strength, decay = ((1.5, 2), (2.0, 2), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[severity]
    height, width = picture.shape[:2]
    brightest = picture.max()
    fog = strength * _plasma(height, width, decay, draws)[..., None]
    return np.asarray((picture + fog) * brightest / (brightest + strength))


def _plasma(height: int, width: int, decay: int | float, draws: np.random.Generator) -> Grey:
    """Return smooth noise from 0 to 1: octaves whose strength is divided by the decay."""
    total = np.zeros((height, width))
    cells, strength = 2, 1.0
    while cells < 2 * max(height, width):
        noise = draws.random((cells, cells))
        total += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, strength = 2 * cells, strength / decay
    total -= total.min()
    return np.asarray(total / total.max())


def _brightness(picture: Picture, severity: int, _: np.random.Generator) -> Picture:
    hsv = cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + (0.1, 0.2, 0.3, 0.4, 0.5)[severity], 0, 1)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), float)


# --- digital -------------------------------------------------------------------------------------


def _contrast(picture: Picture, severity: int, _: np.random.Generator) -> Picture:
    mean = picture.mean(axis=(0, 1))
    return np.asarray((picture - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[severity] + mean)


def _elastic_transform(picture: Picture, severity: int, draws: np.random.Generator) -> Picture:
    reach, sigma, tilt = (
        (2.0, 0.7, 0.1), (2.0, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02),
        (0.12, 0.01, 0.02),
    )[severity]  # fmt: skip
    height, width = picture.shape[:2]
    middle, square = np.asarray([width, height]) / 2, min(height, width) / 3
    corners = (middle + square * np.asarray([[1, 1], [1, -1], [-1, -1]])).astype(np.float32)
    moved = corners + draws.uniform(-tilt * height, tilt * height, (3, 2)).astype(np.float32)
    warped = cv2.warpAffine(
        picture,
        cv2.getAffineTransform(corners, moved),
        (width, height),
        borderMode=cv2.BORDER_REFLECT_101,
    )
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    shift = [
        reach * height * _blurred(draws.uniform(-1, 1, (height, width)), sigma * height)
        for _ in range(2)
    ]
    return _remapped(warped, columns + shift[0], rows + shift[1])


def _pixelate(picture: Picture, severity: int, _: np.random.Generator) -> Picture:
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity]
    height, width = picture.shape[:2]
    size = (max(1, int(width * share)), max(1, int(height * share)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def _jpeg_compression(picture: Picture, severity: int, _: np.random.Generator) -> Picture:
    quality = (25, 18, 15, 10, 7)[severity]
    pixels = cv2.cvtColor(to_pixels(picture), cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) / 255, float)


# --- helpers -------------------------------------------------------------------------------------


def _pixels(picture: Picture, length: int | float) -> float:
    """Scale a length in pixels from an image of 224 pixels to this one."""
    return length * float(min(picture.shape[:2])) / _FULL_SIDE


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.2), borderType=cv2.BORDER_REFLECT_101)


def _remapped(
    picture: np.ndarray, columns: np.ndarray, rows: np.ndarray, how: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """Return the picture's values at the given places, mirrored at the border."""
    maps = (columns.astype(np.float32), rows.astype(np.float32))
    return cv2.remap(picture, *maps, how, borderMode=cv2.BORDER_REFLECT_101)


CORRUPTIONS: Final[dict[str, Corruption]] = {
    "gaussian-noise": _gaussian_noise,
    "shot-noise": _shot_noise,
    "impulse-noise": _impulse_noise,
    "defocus-blur": _defocus_blur,
    "glass-blur": _glass_blur,
    "motion-blur": _motion_blur,
    "zoom-blur": _zoom_blur,
    "snow": _snow,
    "frost": _frost,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic-transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg-compression": _jpeg_compression,
}
"""All corruptions, by name, in the order of the paper."""

KINDS: Final = tuple(
    (name, severity) for severity in range(1, SEVERITIES + 1) for name in CORRUPTIONS
)
"""All pairs of a corruption and a severity."""


def corrupted(open_clean: OpenRenderer) -> OpenRenderer:
    """Return the renderer of a task whose test images are corrupted, each in one of 75 ways.

    All ways are equally frequent, so that the accuracy is the mean over corruptions and severities.
    """

    def open_corrupted(seed: int, assets: Path) -> TaskRenderer:
        render = open_clean(seed, assets)

        def render_example(part: Part, number: int) -> Example:
            example = render(part, number)
            if part != "test":
                return example
            draws = generator("pocket corruptions", seed, part_number(part), number)
            name, severity = KINDS[number % len(KINDS)]
            picture = corrupt(example.pixels / 255, name, severity, draws)
            return example._replace(pixels=to_pixels(picture))

        return render_example

    return open_corrupted
