"""Frames of several clips as one video: scaled alike, in even time, joined by cuts and dissolves.

clip A    aaaaaaaaaa
clip B             bbbbbbbbbb        a dissolve mixes the last frames of the one with
video     aaaaaaaaammmmbbbbbbb       the first of the other
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from jaxtyping import Float, UInt8

from footage.video.decode import Video
from footage.video.scaling import Scaler, TinyFrames

MOST_PIXELS = 10**8
MOST_SECONDS_REPEATED = 1.0
"""A clip that ends earlier than its manifest says is held for no longer than this."""

SLACK = 1e-3
"""Seconds: a frame that is due at this very moment is shown, whatever times are rounded to."""

Picture = UInt8[np.ndarray, "H W 3"]


class Piece(NamedTuple):
    """A stretch of a clip, in seconds of the clip from its first frame."""

    clip: str
    start_seconds: float
    end_seconds: float


class Transition(NamedTuple):
    """How one shot becomes the next: from the first mixed frame to the first one of the new shot.

    A hard cut begins and ends with the first frame of the new shot.
    """

    kind: str
    start_seconds: float
    end_seconds: float


class Look(NamedTuple):
    """What all pieces of a video are made alike in."""

    width: int
    height: int
    fps: Fraction


def even_frames(path: Path, piece: Piece, look: Look) -> Iterator[Picture]:
    """A piece at the video's size and frame rate: at each moment the frame shown then."""
    count = max(1, round((piece.end_seconds - piece.start_seconds) * look.fps))
    moments = [piece.start_seconds + float(number / look.fps) + SLACK for number in range(count)]
    shown: Picture | None = None
    number = 0
    with Video(path, MOST_PIXELS) as video:
        scaler = Scaler(max(look.width, look.height) * 4)
        begin = None
        for frame in video.frames():
            begin = frame.seconds if begin is None else begin
            while shown is not None and number < count and moments[number] < frame.seconds - begin:
                yield shown
                number += 1
            if number == count:
                return
            if frame.seconds - begin + 2 * frame.duration > moments[number]:
                shown = covering(scaler(frame), look.width, look.height)
    held = min(count - number, round(MOST_SECONDS_REPEATED * look.fps))
    yield from [shown] * held if shown is not None else []


def opening(path: Path) -> Float[np.ndarray, " n"]:
    """The first second of a clip in three tiny pictures, 0 to 1, by which copies are known."""
    tiny, seen = TinyFrames(), []
    with Video(path, MOST_PIXELS) as video:
        for frame in video.frames():
            if frame.seconds >= len(seen) * 0.5:
                seen.append(tiny(frame.picture))
            if len(seen) == 3:
                break
    return np.concatenate(([*seen, *seen[-1:] * 3])[:3]).ravel() / 255.0


def covering(image: Picture, width: int, height: int) -> Picture:
    """The middle of a picture, scaled so that it just covers the given size."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    if size != (image.shape[1], image.shape[0]):
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, size, interpolation=how)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


class Splice:
    """Frames of shots one behind another; `transitions` is whole once they were all taken.

    Args:
        shots: The frames of each shot.
        dissolves: For each shot but the first how many frames it shares with the one before; 0 is
            a hard cut. Shared frames are at most a third of the shorter shot.
        fps: Frames per second, for the times of the transitions.
    """

    def __init__(self, shots: Iterable[list[Picture]], dissolves: list[int], fps: Fraction) -> None:
        self._shots, self._dissolves, self._fps = shots, dissolves, fps
        self.transitions: list[Transition] = []
        self.num_frames = 0

    def __iter__(self) -> Iterator[Picture]:
        before: list[Picture] = []
        for number, shot in enumerate(self._shots):
            wanted = self._dissolves[number - 1] if number else 0
            length = min(wanted, len(before) // 3, len(shot) // 3)
            yield from self._counted(before[: len(before) - length])
            start = float(self.num_frames / self._fps)
            yield from self._counted(mixed(before[len(before) - length :], shot[:length]))
            if number:
                end = float(self.num_frames / self._fps)
                self.transitions.append(Transition("dissolve" if length else "hard", start, end))
            before = shot[length:]
        yield from self._counted(before)

    def _counted(self, frames: Iterable[Picture]) -> Iterator[Picture]:
        for frame in frames:
            self.num_frames += 1
            yield frame


def mixed(before: list[Picture], after: list[Picture]) -> Iterator[Picture]:
    """Equally many frames of both, the share of the second growing evenly."""
    for number, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        share = number / (len(before) + 1)
        yield cv2.addWeighted(old, 1 - share, new, share, 0)


def encode(path: Path, frames: Iterable[Picture], look: Look, quality: int = 23) -> None:
    """Write H.264 in MP4, aside and then renamed; the same frames give the same bytes."""
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=look.fps)
        stream.width, stream.height, stream.pix_fmt = look.width, look.height, "yuv420p"
        stream.codec_context.thread_count = 1
        # A constant quantiser: rate control gives other bytes from one run to the next.
        stream.options = {"preset": "veryfast", "qp": str(quality)}
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    partial.replace(path)
