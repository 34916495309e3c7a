"""Frames of a store as the page shows them: the contact sheet and small pictures."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from footage.data.views import decode
from footage.reporting.markup import Markup, photograph
from footage.store.reader import Store, evenly


class ShownFrame(NamedTuple):
    """A frame of a video and where it comes from."""

    video: str
    shot: int
    seconds: float
    jpeg: bytes


class ShownShot(NamedTuple):
    """A shot with the frames that stand for it."""

    shot: int
    start_seconds: float
    end_seconds: float
    frames: list[ShownFrame]


class ShownVideo(NamedTuple):
    """One row of the contact sheet."""

    video: str
    path: str
    seconds: float
    """Length as it was decoded."""
    num_shots: int
    num_frames: int
    cuts: list[float]
    """Where each shot but the first begins, in seconds; shots too short to keep count too."""
    shots: list[ShownShot]
    """The first shots, as many as fit."""


def contact_sheet(
    store: Store, held_out: Collection[str] = (), *, num_videos: int, frames_per_video: int
) -> list[ShownVideo]:
    """Videos evenly spread over the store, each with frames of its first shots.

    Args:
        store: A frame store.
        held_out: Ids of videos that are not shown, because they were not trained on.
        num_videos: Videos at most.
        frames_per_video: Frames of each at most.
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
    """How many of `total` pictures each shot gets: one each, the rest to the longest for its share.

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


def thumbnail(frame: ShownFrame, *, height: int) -> Markup:
    """The frame at a given height in pixels, with its place as its text."""
    image = decode(frame.jpeg, height)
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    small: UInt8[np.ndarray, "H W 3"] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA
    )
    alt = f"{frame.video}, shot {frame.shot}, at {clock(frame.seconds)}"
    return photograph(np.ascontiguousarray(small), alt)


def clock(seconds: int | float) -> str:
    """Seconds as minutes and seconds: 83.4 is 1:23.4."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"
