"""Derive a store from another one: drop frames that hardly change, or crop frames around motion.

    python -m experiments.derived_store STORE --out DERIVED --keep changed
    python -m experiments.derived_store STORE --out DERIVED --crop motion
    python -m experiments.derived_store STORE --out DERIVED --crop centre

`--keep changed` (H3 in `notebook.md`) drops frames that hardly differ from the last kept frame of
their shot, so that fewer pairs of frames are nearly identical. `--crop motion` (H6) crops every
frame to a window around the centre of change; `--crop centre` does the same around the centre
of the frame, for comparison. All arms of a comparison use the same store.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import simplejpeg
from jaxtyping import Float

from footage.data.views import decode
from footage.store import manifest
from footage.store.reader import Frame, Store, evenly
from footage.store.records import ShotRecord, VideoRecord
from footage.store.units import UnitWriter

GRID: Final = 32
"""Height and width of the greyscale images that are compared."""
PERCENTILE: Final = 30
"""Drop frames that change less than this percentile of the changes between successive frames."""
FEWEST: Final = 4
"""Minimum number of frames to keep in a shot, if it has that many."""
WINDOW: Final = 0.7
"""Height and width of a crop, as a fraction of the frame."""
JPEG_QUALITY: Final = 90
"""JPEG quality of crops; uncropped frames are copied."""


def grey(frames: Sequence[Frame]) -> Float[np.ndarray, "F G G"]:
    """Return small greyscale images with values in [0, 1]."""
    images = (cv2.cvtColor(decode(frame.jpeg, GRID), cv2.COLOR_RGB2GRAY) for frame in frames)
    small = [cv2.resize(image, (GRID, GRID), interpolation=cv2.INTER_AREA) for image in images]
    return np.asarray(small, dtype=np.float64) / 255


def changes(images: Float[np.ndarray, "F G G"]) -> Float[np.ndarray, " n"]:
    """Return the mean absolute difference of each frame from the one before it."""
    differences: Float[np.ndarray, " n"] = np.abs(np.diff(images, axis=0)).mean(axis=(1, 2))
    return differences


def changed(images: Float[np.ndarray, "F G G"], least: float) -> list[int]:
    """Select frames that differ from the last one kept, or evenly spaced frames if too few do."""
    kept = [0]
    for index in range(1, len(images)):
        if np.abs(images[index] - images[kept[-1]]).mean() >= least:
            kept.append(index)
    fewest = min(FEWEST, len(images))
    return kept if len(kept) >= fewest else evenly(len(images), fewest)


def centres(images: Float[np.ndarray, "F G G"]) -> Float[np.ndarray, "F 2"]:
    """Return the centre of change in each frame, down and right, as fractions of the frame.

    The change at a pixel is the larger absolute difference from the frames before and after, minus
    the median of the frame, so that uniform camera motion counts little. Without any change, the
    result is the centre of the frame.
    """
    steps = np.abs(np.diff(images, axis=0, prepend=images[:1], append=images[-1:]))
    change = np.maximum(steps[:-1], steps[1:])
    change = np.maximum(change - np.median(change, axis=(1, 2), keepdims=True), 0)
    total = change.sum(axis=(1, 2))
    places = (np.arange(GRID) + 0.5) / GRID
    down, right = change.sum(axis=2) @ places, change.sum(axis=1) @ places
    moving = total > 1e-6
    return np.stack(
        [np.where(moving, each / np.where(moving, total, 1), 0.5) for each in (down, right)], axis=1
    )


def cropped(jpeg: bytes, centre: Float[np.ndarray, " 2"]) -> bytes:
    """Crop a frame to a window around a centre; the window is moved to lie within the frame."""
    image = decode(jpeg, 1 << 16)
    sides = [round(WINDOW * side) for side in image.shape[:2]]
    top, left = (
        int(np.clip(round(place * side - window / 2), 0, side - window))
        for place, side, window in zip(centre, image.shape[:2], sides, strict=True)
    )
    crop = np.ascontiguousarray(image[top : top + sides[0], left : left + sides[1]])
    encoded: bytes = simplejpeg.encode_jpeg(crop, quality=JPEG_QUALITY)
    return encoded


def derive(store: Store, out: Path, *, keep: str = "all", crop: str = "no") -> Store:
    """Write the derived store as a single unit; shots without frames are omitted."""
    settings: dict[str, Any] = {**store.settings, "keep": keep, "crop": crop}
    least = 0.0
    rows = range(store.shots.num_rows)
    if keep == "changed":
        found = np.concatenate([changes(grey(store.frames_of_shot(row))) for row in rows])
        least = float(np.percentile(found, PERCENTILE))
    shots_of: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for row, shot in enumerate(store.shots.to_pylist()):
        shots_of.setdefault(shot["video"], []).append((row, shot))
    with UnitWriter(out) as writer:
        for video in store.videos.to_pylist():
            own = shots_of.get(video["video"], [])
            frames, spans = writer.frames_of(video["video"]), []
            for number, (row, shot) in enumerate(own):
                kept = _frames(store.frames_of_shot(row), least, crop)
                for index, frame in enumerate(kept):
                    frames.add(number, index, frame.seconds, frame.jpeg)
                span = {name: shot[name] for name in ShotRecord._fields}
                spans.append(ShotRecord(**span | {"num_frames": len(kept)}))
            num_frames = sum(span.num_frames for span in spans)
            counted = video | {"num_shots": len(spans), "num_frames": num_frames}
            writer.add(VideoRecord(**counted), spans, frames)
            frames.close()
        writer.finish({}, [])
    manifest.commit(out, manifest.Settings(settings, {}, {}))
    return Store.open(out)


def _frames(frames: list[Frame], least: float, crop: str) -> list[Frame]:
    """Return the kept frames of a shot, cropped if requested."""
    images = grey(frames)
    kept = changed(images, least) if least else list(range(len(frames)))
    if crop == "no":
        return [frames[index] for index in kept]
    places = centres(images) if crop == "motion" else np.full((len(frames), 2), 0.5)
    return [
        frames[index]._replace(jpeg=cropped(frames[index].jpeg, places[index])) for index in kept
    ]


def main() -> None:
    """Derive a store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", help="the store to derive from")
    parser.add_argument("--out", type=Path, required=True, help="the new store")
    parser.add_argument("--keep", choices=["all", "changed"], default="all")
    parser.add_argument("--crop", choices=["no", "motion", "centre"], default="no")
    options = parser.parse_args()
    derived = derive(Store.open(options.store), options.out, keep=options.keep, crop=options.crop)
    print(f"{derived.totals['frames']} frames, content hash {derived.content_hash}")


if __name__ == "__main__":
    main()
