"""Frames of a store for the page: the contact sheet and thumbnails."""

import base64
from collections.abc import Collection, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg
from jaxtyping import UInt8

from footage.data.views import decode
from footage.store.reader import Store, evenly
from footage.text import clock


class ShownFrame(NamedTuple):
    """A frame and its position in the video."""

    video: str
    shot: int
    seconds: float
    jpeg: bytes


class ShownShot(NamedTuple):
    """A shot and the frames that represent it."""

    shot: int
    start_seconds: float
    end_seconds: float
    frames: list[ShownFrame]


class ShownVideo(NamedTuple):
    """One row of the contact sheet."""

    video: str
    path: str
    seconds: float
    """Decoded length."""
    num_shots: int
    num_frames: int
    cuts: list[float]
    """Start of each shot except the first, in seconds; includes shots too short to be stored."""
    shots: list[ShownShot]
    """The first shots, up to the number of frames."""


def contact_sheet(
    store: Store, held_out: Collection[str] = (), *, num_videos: int, frames_per_video: int
) -> list[ShownVideo]:
    """Select videos evenly from the store, each with frames of its first shots.

    Args:
        store: A frame store.
        held_out: Ids of videos that were not used for training and are not shown.
        num_videos: Maximum number of videos.
        frames_per_video: Maximum number of frames per video.
    """
    by_video: dict[str, list[int]] = {}
    for row, name in enumerate(store.shots["video"].to_pylist()):
        if name not in held_out:
            by_video.setdefault(name, []).append(row)
    names = list(by_video)
    chosen = [names[place] for place in evenly(len(names), num_videos)]
    records = {
        record["video"]: record
        for record in store.videos.to_pylist()
        if record["video"] in set(chosen)
    }
    begins: dict[str, list[float]] = {name: [] for name in chosen}
    for shot in store.every_shot.select(["video", "start_seconds"]).to_pylist():
        if shot["video"] in begins:
            begins[shot["video"]].append(shot["start_seconds"])
    return [
        _shown_video(store, records[name], by_video[name], begins[name], frames_per_video)
        for name in chosen
    ]


def _shown_video(
    store: Store,
    record: dict[str, object],
    rows: list[int],
    begins: list[float],
    num_frames: int,
) -> ShownVideo:
    table = store.shots.take(rows).to_pylist()
    shown_rows = rows[:num_frames]
    lengths = [shot["num_frames"] for shot in table[: len(shown_rows)]]
    shots = []
    for row, shot, count in zip(shown_rows, table, shares(lengths, num_frames), strict=False):
        frames = store.frames_of_shot(row)
        shots.append(
            ShownShot(
                shot["shot"],
                shot["start_seconds"],
                shot["end_seconds"],
                [
                    ShownFrame(shot["video"], shot["shot"], frame.seconds, frame.jpeg)
                    for frame in (frames[place] for place in evenly(len(frames), count))
                ],
            )
        )
    end = float(max(shot["end_seconds"] for shot in table))
    return ShownVideo(
        video=str(record["video"]),
        path=str(record["path"]),
        seconds=float(str(record["decoded_seconds"])) if record["decoded_seconds"] else end,
        num_shots=len(rows),
        num_frames=sum(shot["num_frames"] for shot in table),
        cuts=sorted(begins)[1:],
        shots=shots,
    )


def shares(lengths: Sequence[int], total: int) -> list[int]:
    """Distribute `total` pictures over shots: one each, the rest in proportion to length.

    No shot gets more pictures than it has frames.
    """
    given = [min(1, length) for length in lengths]
    while sum(given) < total:
        wanting = [
            (length / count, -place)
            for place, (length, count) in enumerate(zip(lengths, given, strict=True))
            if 0 < count < length
        ]
        if not wanting:
            break
        given[-max(wanting)[1]] += 1
    return given


class Picture(NamedTuple):
    """An image inside the page itself."""

    source: str
    """The JPEG file as a data URL."""
    alt: str
    width: int
    height: int


def thumbnail(frame: ShownFrame, *, height: int, quality: int = 82) -> Picture:
    """Resize a frame to a height in pixels; its alternative text is its position in the video."""
    image = decode(frame.jpeg, height)
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    small: UInt8[np.ndarray, "H W 3"] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA
    )
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=quality)
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
    alt = f"{frame.video}, shot {frame.shot}, at {clock(frame.seconds)}"
    return Picture(source, alt, width, height)
