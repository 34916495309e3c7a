"""Splice frames of several clips into one video: same size and frame rate, cuts and dissolves.

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
"""Maximum time for which the last frame of a clip shorter than in its manifest is repeated."""

SLACK = 1e-3
"""Tolerance for frame times in seconds, against rounding."""

Picture = UInt8[np.ndarray, "H W 3"]


class Piece(NamedTuple):
    """An interval of a clip, in seconds from its first frame."""

    clip: str
    start_seconds: float
    end_seconds: float


class Transition(NamedTuple):
    """Transition between shots: from the first mixed frame to the first one of the new shot.

    A hard cut starts and ends with the first frame of the new shot.
    """

    kind: str
    start_seconds: float
    end_seconds: float


class Look(NamedTuple):
    """Common size and frame rate of all pieces of a video."""

    width: int
    height: int
    fps: Fraction


def even_frames(path: Path, piece: Piece, look: Look) -> Iterator[Picture]:
    """Resample a piece to the video's size and frame rate: at each time the frame shown then."""
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
    """Return the first second of a clip as three tiny pictures, 0 to 1, to detect copies."""
    tiny, seen = TinyFrames(), []
    with Video(path, MOST_PIXELS) as video:
        for frame in video.frames():
            if frame.seconds >= len(seen) * 0.5:
                seen.append(tiny(frame.picture))
            if len(seen) == 3:
                break
    return np.concatenate(([*seen, *seen[-1:] * 3])[:3]).ravel() / 255.0


def covering(image: Picture, width: int, height: int) -> Picture:
    """Scale a picture so that it just covers the given size, and crop its middle."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    if size != (image.shape[1], image.shape[0]):
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, size, interpolation=how)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


class Splice:
    """Concatenate frames of shots; `transitions` is complete once all frames were consumed.

    Args:
        shots: The frames of each shot.
        dissolves: For each shot except the first, the number of frames shared with the previous
            one; 0 is a hard cut. At most a third of the shorter shot is shared.
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
    """Mix equally many frames of both, with linearly increasing weight of the second."""
    for number, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        share = number / (len(before) + 1)
        yield cv2.addWeighted(old, 1 - share, new, share, 0)


def encode(path: Path, frames: Iterable[Picture], look: Look, quality: int = 23) -> None:
    """Write H.264 in MP4, then rename it into place; the same frames give the same bytes."""
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=look.fps)
        stream.width, stream.height, stream.pix_fmt = look.width, look.height, "yuv420p"
        stream.codec_context.thread_count = 1
        # Use a constant quantiser: rate control gives different bytes from one run to the next.
        stream.options = {"preset": "veryfast", "qp": str(quality)}
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    partial.replace(path)
