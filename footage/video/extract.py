"""The decode pass: stream a video's shots and the frames to keep as soon as they are final.

    decoded frames --+--> tiny frames --> cut detector --> boundaries --+
                     |                                                  +--> kept frames, as JPEG
                     +--> one frame at or after every t = k / fps ------+

Runs inside the confined child, so it answers with messages: `DECLARED` for the declared properties,
`FRAME` for each kept frame, `ALIVE` as a heartbeat, and one `REPORT` at the end.
"""

import dataclasses
import json
import struct
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import simplejpeg

from footage.errors import VideoError
from footage.video.decode import TimedFrame, Video
from footage.video.detectors.base import CutDetector, TinyFrame, difference
from footage.video.orientation import Orientation
from footage.video.sandbox import Declared, Send
from footage.video.scaling import Scaler, TinyFrames
from footage.video.shots import Placed, Shot, ShotBuilder
from footage.video.timestamps import EvenTimes

DECLARED, FRAME, ALIVE, REPORT = b"D", b"F", b"A", b"R"
FRAME_HEADER = struct.Struct("<iid")
"""Header before the JPEG bytes of a FRAME: shot, index in the shot, seconds."""

ALIVE_SECONDS = 1.0
BLACK_BRIGHTNESS = 16.0
"""Mean brightness (of 255) below which a kept frame counts as black."""
STATIC_DIFFERENCE = 0.004
"""Mean difference from the previous sampled frame (0 to 1) below which a frame is static."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """Settings that determine which frames are kept; part of a store's identity."""

    frames_per_second: float
    short_side: int
    jpeg_quality: int
    minimum_shot_seconds: float
    boundary_margin_seconds: float


class _Picked(NamedTuple):
    """A sampled frame that may be kept."""

    jpeg: bytes
    is_black: bool
    is_static: bool


def extract(
    file: Path | int, settings: Extraction, detector: CutDetector, max_pixels: int, send: Send
) -> None:
    """Decode one video, given by its path or a descriptor, and send the frames to keep.

    Raises:
        VideoError: Nothing can be kept; the message is the reason.
    """
    with Video(file, max_pixels) as video:
        info = video.info
        num_frames = round((info.declared_seconds or 0) * info.fps)
        send(DECLARED, Declared(num_frames, info.width * info.height).pack())
        one_pass = _Pass(video, settings, detector, send)
        for frame in video.frames():
            one_pass.take(frame)
        one_pass.finish()


class _Pass:
    """The state of one decode pass."""

    def __init__(
        self, video: Video, settings: Extraction, detector: CutDetector, send: Send
    ) -> None:
        self._video = video
        self._settings = settings
        self._detector = detector
        self._send = send
        self._scale = Scaler(settings.short_side)
        self._tiny = TinyFrames()
        self._builder: ShotBuilder | None = None
        self._start, self._end = 0.0, 0.0
        self._even = EvenTimes(settings.frames_per_second)
        self._sampled: TinyFrame | None = None
        self._last_sent = time.monotonic()
        self._frames, self._orientation = 0, Orientation()
        self._kept, self._black, self._static = 0, 0, 0

    def take(self, frame: TimedFrame) -> None:
        """Process the next decoded frame."""
        if self._builder is None:
            self._begin(frame)
        assert self._builder is not None
        self._frames += 1
        self._end = frame.seconds + frame.duration
        tiny = self._tiny(frame.picture)
        found = self._detector.push(tiny, frame.seconds)
        if found:
            self._builder.add(found)
        # A damaged frame has invented content: the next intact one is sampled instead.
        if not frame.is_damaged and self._even.takes(frame.seconds, is_guessed=frame.is_guessed):
            self._sample(frame, tiny, self._builder)
            self._keep(self._builder.settle(self._detector.settled_seconds))
        now = time.monotonic()
        if now > self._last_sent + ALIVE_SECONDS:
            self._last_sent = now
            self._send(ALIVE, b"")

    def _begin(self, frame: TimedFrame) -> None:
        settings = self._settings
        self._start = frame.seconds
        self._orientation = frame.orientation
        self._builder = ShotBuilder(
            frame.seconds, settings.minimum_shot_seconds, settings.boundary_margin_seconds
        )

    def _sample(self, frame: TimedFrame, tiny: TinyFrame, builder: ShotBuilder) -> None:
        jpeg = simplejpeg.encode_jpeg(
            self._scale(frame),
            quality=self._settings.jpeg_quality,
            colorspace="RGB",
            colorsubsampling="420",
        )
        is_black = sum(cv2.mean(tiny)) / 3 < BLACK_BRIGHTNESS
        before, self._sampled = self._sampled, tiny
        is_static = before is not None and difference(before, tiny) < STATIC_DIFFERENCE
        builder.offer(frame.seconds, _Picked(jpeg, is_black, is_static))

    def _keep(self, placed: list[Placed]) -> None:
        for one in placed:
            picked: _Picked = one.item
            self._kept += 1
            self._black += picked.is_black
            self._static += picked.is_static
            header = FRAME_HEADER.pack(one.shot, one.number, one.seconds)
            self._send(FRAME, header + picked.jpeg)

    def finish(self) -> None:
        """Send the remaining frames and the report."""
        if self._builder is None:
            raise self._video.no_frame()
        self._builder.add(self._detector.finish())
        placed, shots = self._builder.finish(self._end)
        self._keep(placed)
        damage = self._video.damage(self._end - self._start)
        if not self._kept:
            raise VideoError(f"no frame could be kept: {damage or 'every frame is damaged'}")
        self._send(REPORT, json.dumps(self._report(shots, damage)).encode())

    def _report(self, shots: list[Shot], damage: str) -> dict[str, object]:
        return self._video.info._asdict() | {
            "decoded_seconds": self._end - self._start,
            "decoded_frames": self._frames,
            "decode_errors": self._video.decode_errors,
            "rotation": self._orientation.degrees,
            "mirrored": self._orientation.mirrored,
            "black_frames": self._black,
            "static_frames": self._static,
            "status": "partial" if damage else "ok",
            "reason": damage,
            "shots": [list(shot) for shot in shots],
        }
