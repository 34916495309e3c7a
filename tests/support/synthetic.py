"""Small videos that are made, not found: every cut, time and colour in them is known.

All is drawn from seeds, so a test sees the same pixels on every machine with the same encoder.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

FPS = 24


def scene(seed: int, seconds: float, size: tuple[int, int] = (96, 72), fps: int = FPS):
    """RGB frames of one shot: a soft texture that drifts, and two discs that cross it."""
    width, height = size
    random = np.random.default_rng(seed)
    hue = int(random.integers(180))
    coarse = np.empty((5, 7, 3), np.uint8)
    coarse[..., 0] = (hue + random.integers(0, 25, (5, 7))) % 180
    coarse[..., 1] = random.integers(90, 255, (5, 7))
    coarse[..., 2] = random.integers(40, 255, (5, 7)) * (0.5 + 0.5 * random.random())
    ground = cv2.cvtColor(coarse, cv2.COLOR_HSV2RGB)
    ground = cv2.resize(ground, (width * 2, height * 2), interpolation=cv2.INTER_CUBIC)
    drift = random.uniform(-0.25, 0.25, 2)
    discs = [
        (random.uniform(0.1, 0.9, 2), random.uniform(-0.3, 0.3, 2), random.integers(0, 255, 3))
        for _ in range(2)
    ]
    for number in range(round(seconds * fps)):
        time = number / fps
        x = round(width / 2 + drift[0] * width * np.sin(time))
        y = round(height / 2 + drift[1] * height * np.sin(time))
        image = np.ascontiguousarray(ground[y : y + height, x : x + width])
        for place, speed, colour in discs:
            centre = ((place + speed * np.sin(time)) * (width, height)).astype(int)
            cv2.circle(image, centre.tolist(), height // 7, colour.tolist(), -1, cv2.LINE_AA)
        yield image


def dissolve(before: Sequence[np.ndarray], after: Sequence[np.ndarray], length: int) -> list[Any]:
    """Two shots whose last and first `length` frames are mixed."""
    mixed = [
        cv2.addWeighted(old, 1 - (i + 1) / (length + 1), new, (i + 1) / (length + 1), 0)
        for i, (old, new) in enumerate(zip(before[-length:], after[:length], strict=True))
    ]
    return [*before[:-length], *mixed, *after[length:]]


def fade(frames: Sequence[np.ndarray], length: int, *, to_black: bool) -> list[np.ndarray]:
    """A shot that ends in black, or that begins in it."""
    shades = [1 - (i + 1) / length for i in range(length)]
    if to_black:
        return [*frames[:-length], *map(_shade, frames[-length:], shades)]
    return [*map(_shade, frames[:length], shades[::-1]), *frames[length:]]


def _shade(image: np.ndarray, alpha: float) -> np.ndarray:
    return cv2.convertScaleAbs(image, alpha=alpha)


def cuts(seeds: Iterable[int], seconds: float = 2.0, **how: Any) -> Iterator[np.ndarray]:
    """Frames of several shots joined by hard cuts, each `seconds` long."""
    return itertools.chain.from_iterable(scene(seed, seconds, **how) for seed in seeds)


def encode(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    fps: int = FPS,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
    container_format: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write RGB frames as a video; `times` (seconds) makes the frame rate variable."""
    defaults = {"preset": "ultrafast", "crf": "20", "threads": "1"} if codec == "libx264" else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(
        str(path), "w", format=container_format, options=container_options or {}
    ) as container:
        stream = None
        for number, image in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=fps, options=defaults | (options or {}))
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = pixel_format
                if times is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[number] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode())
    return path


def folder_of_videos(folder: Path, videos: int = 6, shots: int = 3, seconds: float = 2.0) -> Path:
    """A folder of whole videos of `shots` shots each, hard cuts between them."""
    for video in range(videos):
        seeds = range(100 * video, 100 * video + shots)
        encode(folder / f"group{video % 2}" / f"video{video}.mp4", cuts(seeds, seconds))
    return folder
