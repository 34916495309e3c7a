"""Measure the threshold of near-duplicates: how many are found, and how many images are confused.

    python benchmarks/near_duplicates.py VIDEOS --out benchmarks/results/near-duplicates.json

Six frames are taken from each of up to four videos in every subfolder of VIDEOS. Near-duplicates
are copies with another quality, size, brightness or crop, and the following frames. Frames of
videos in different subfolders should differ. Pairs of them above the threshold are listed, because
subfolders may share material.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from footage.images.descriptor import THRESHOLD, describe
from footage.runs.environment import environment

THRESHOLDS: Final = (0.85, 0.9, 0.93, 0.95, 0.97)
VIDEOS_PER_FOLDER: Final = 4
FRAMES_PER_VIDEO: Final = 6
SHORT_SIDE: Final = 224


def _jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def encoded(image: np.ndarray) -> np.ndarray:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))

    return encoded


def _scaled(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def _cropped(margin: float) -> Callable[[np.ndarray], np.ndarray]:
    def crop(image: np.ndarray) -> np.ndarray:
        rows, columns = (int(side * margin) for side in image.shape[:2])
        return image[rows : len(image) - rows, columns : image.shape[1] - columns]

    return crop


CHANGES: Final[dict[str, Callable[[np.ndarray], np.ndarray]]] = {
    "JPEG quality 30": _jpeg(30),
    "half the size, JPEG quality 50": lambda image: _jpeg(50)(_scaled(0.5)(image)),
    "brighter by 30 %": lambda image: np.clip(image * 1.3, 0, 255).astype(np.uint8),
    "gamma 0.7": lambda image: (255 * (image / 255) ** 0.7).astype(np.uint8),
    "blur, sigma 3": lambda image: cv2.GaussianBlur(image, (0, 0), 3),
    "2 % cropped on each side": _cropped(0.02),
    "5 % cropped on each side": _cropped(0.05),
}


def frames_of(path: Path) -> list[dict[str, np.ndarray]]:
    """Frames of a video, each with the next one and the one after half a second."""
    video = cv2.VideoCapture(str(path))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    later = max(2, round((video.get(cv2.CAP_PROP_FPS) or 25) / 2))
    found = []
    for start in np.linspace(count * 0.1, count * 0.8, FRAMES_PER_VIDEO).astype(int):
        video.set(cv2.CAP_PROP_POS_FRAMES, int(start))
        read = [video.read()[1] for _ in range(later + 1)] if count >= 30 else [None]
        if all(image is not None for image in read):
            named = {"frame": read[0], "next frame": read[1], "half a second later": read[-1]}
            found.append({name: _small(image) for name, image in named.items()})
    return found


def _small(image: np.ndarray) -> np.ndarray:
    factor = SHORT_SIDE / min(image.shape[:2])
    return _scaled(factor)(image) if factor < 1 else image


def above(similarities: np.ndarray) -> dict[str, float]:
    """Fractions above each threshold."""
    return {str(each): round(float((similarities > each).mean()), 4) for each in THRESHOLDS}


def measure(folder: Path) -> dict[str, Any]:
    """All measurements as JSON values."""
    frames, origins = [], []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(place.iterdir())[:VIDEOS_PER_FOLDER]:
            found = frames_of(path)
            frames += found
            origins += [place.name] * len(found)
    images = [each["frame"] for each in frames]
    described = np.stack([describe(image) for image in images])
    usable = described.any(axis=1)
    similar = described @ described.T
    origin = np.array(origins)
    different = (origin[:, None] != origin) & usable & usable[:, None]
    nearest = np.where(different, similar, -1).max(axis=1)[usable]

    def compared(changed: list[np.ndarray]) -> dict[str, float]:
        other = np.stack([describe(image) for image in changed])
        return above((described * other).sum(axis=1)[usable])

    confused = np.argwhere(np.triu(different & (similar > THRESHOLD)))
    return {
        "frames": len(images),
        "folders": len(set(origins)),
        "described": round(float(usable.mean()), 4),
        "near_duplicates_found": {
            name: compared([change(image) for image in images]) for name, change in CHANGES.items()
        }
        | {
            name: compared([each[name] for each in frames])
            for name in ("next frame", "half a second later")
        },
        "frames_with_a_similar_frame_in_another_folder": above(nearest),
        "similarity_of_different_folders": {
            str(q): round(float(np.quantile(similar[different], q)), 4) for q in (0.5, 0.99, 0.9999)
        },
        "pairs_above_the_threshold": [
            [origins[one], origins[other], round(float(similar[one, other]), 3)]
            for one, other in confused
        ],
        "environment": environment(),
    }


def main() -> None:
    """Measure, and write the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--out", type=Path, default=Path("near_duplicates.json"))
    given = parser.parse_args()
    found = measure(given.videos)
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
