"""Validate the messages of a decoder process and assemble them into a record.

A hostile video may have taken the process over, so nothing it sends is trusted: kinds, order,
sizes, times and every field are checked. An invalid message quarantines only this video.
"""

import math
import struct
from typing import Annotated, Any, Literal

import msgspec

from footage.errors import VideoError
from footage.ingestion.plain_jpeg import plain_jpeg_size
from footage.sandbox.messages import Deadline
from footage.store.records import ShotRecord, VideoRecord
from footage.store.units import VideoFrames
from footage.video.extract import ALIVE, DECLARED, FRAME, FRAME_HEADER, REPORT, Extraction
from footage.video.sandbox import Declared, Limits

LARGEST_ASPECT = 8
"""Maximum factor by which a pixel's aspect ratio increases the pixels of a kept frame."""
BYTES_PER_PIXEL, JPEG_OVERHEAD = 3, 4096
"""Maximum bytes per pixel; a JPEG of noise at full quality takes less."""
KEPT_PER_BYTE, KEPT_OVERHEAD = 4096, 64 * 2**20
"""The frames of a video may take this many bytes per byte of the video, and some more. Hours of a
still picture, encoded as efficiently as possible, reach half of it."""
LARGEST_REPORT = 16 * 2**20
MOST_SHOTS = 10**6

_Word = Annotated[str, msgspec.Meta(pattern=r"\A[ -~]{0,200}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_Time = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The message that ends a video, with its properties."""

    container: _Word
    codec: _Word
    pixel_format: _Word
    width: Annotated[int, msgspec.Meta(ge=0, le=2**20)]
    height: Annotated[int, msgspec.Meta(ge=0, le=2**20)]
    fps: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    declared_seconds: _Seconds | None
    decoded_seconds: _Seconds
    decoded_frames: Annotated[int, msgspec.Meta(ge=1, le=2**40)]
    decode_errors: _Count
    rotation: Annotated[int, msgspec.Meta(ge=-360, le=360)]
    mirrored: bool
    black_frames: _Count
    static_frames: _Count
    status: Literal["ok", "partial"]
    reason: Annotated[str, msgspec.Meta(max_length=1000)]
    shots: Annotated[
        list[tuple[_Time, _Time, _Time]], msgspec.Meta(min_length=1, max_length=MOST_SHOTS)
    ]
    """Start and end in seconds, and the score of the cut at the start."""

    def __post_init__(self) -> None:
        if not self.reason.isprintable():
            raise ValueError("a reason with control characters")
        if (self.status == "ok") != (self.reason == ""):
            raise ValueError("a status that does not fit its reason")
        starts = [start for start, _, _ in self.shots]
        if starts != sorted(starts) or any(start > end for start, end, _ in self.shots):
            raise ValueError("shots that are out of order")


class Receiver:
    """Takes the messages of one decoder process, and collects the frames."""

    def __init__(
        self, frames: VideoFrames, settings: Extraction, limits: Limits, num_bytes: int
    ) -> None:
        self._frames = frames
        self._settings = settings
        self._limits = limits
        self._num_bytes = num_bytes
        self._report: Report | None = None
        self._counts: list[int] = []
        self._first, self._last = math.nan, -math.inf
        self._num_frames, self._kept_bytes = 0, 0

    def take(self, kind: bytes, content: bytes) -> Deadline | None:
        """Take one message; one that declares properties of the video returns a deadline.

        Raises:
            VideoError: It is not a valid message.
        """
        try:
            if self._report is not None:
                raise ValueError("a message after the report")
            if kind == FRAME:
                self._take_frame(content)
            elif kind == REPORT:
                self._report = self._read_report(content)
            elif kind == DECLARED:
                return self._limits.deadline(self._num_bytes, Declared.unpack(content))
            elif kind != ALIVE or content:
                raise ValueError(f"{len(content)} bytes of kind {kind!r}")
        except (ValueError, RecursionError, struct.error) as error:
            raise _invalid(error) from error
        return None

    def _take_frame(self, content: bytes) -> None:
        shot, number, seconds = FRAME_HEADER.unpack_from(content)
        jpeg = content[FRAME_HEADER.size :]
        if not max(0, len(self._counts) - 1) <= shot < MOST_SHOTS:
            raise ValueError(f"a frame of shot {shot} after shot {len(self._counts) - 1}")
        self._counts += [0] * (shot + 1 - len(self._counts))
        if number != self._counts[shot]:
            raise ValueError(f"frame {number} where {self._counts[shot]} is expected")
        if not max(self._last, -1e12) < seconds < 1e12:
            raise ValueError(f"a frame at {seconds} s after one at {self._last} s")
        if math.isnan(self._first):
            self._first = seconds
        self._num_frames += 1
        self._kept_bytes += len(jpeg)
        if self._num_frames > (seconds - self._first) * self._settings.frames_per_second + 3:
            raise ValueError(f"{self._num_frames} frames in {seconds - self._first} s")
        if self._kept_bytes > KEPT_OVERHEAD + KEPT_PER_BYTE * self._num_bytes:
            raise ValueError(f"{self._kept_bytes} bytes of frames from {self._num_bytes} bytes")
        self._check_size(jpeg)
        self._counts[shot] += 1
        self._last = seconds
        self._frames.add(shot, number, seconds, jpeg)

    def _check_size(self, jpeg: bytes) -> None:
        width, height = plain_jpeg_size(jpeg)
        pixels = width * height
        if min(width, height) > self._settings.short_side or (
            pixels > LARGEST_ASPECT * self._limits.max_pixels
        ):
            raise ValueError(f"a frame of {width}x{height}")
        if len(jpeg) > BYTES_PER_PIXEL * pixels + JPEG_OVERHEAD:
            raise ValueError(f"{len(jpeg)} bytes for a frame of {width}x{height}")

    def _read_report(self, content: bytes) -> Report:
        if len(content) > LARGEST_REPORT:
            raise ValueError(f"a report of {len(content)} bytes")
        report = msgspec.json.decode(content, type=Report, strict=True)
        if not 0 < self._num_frames <= report.decoded_frames:
            raise ValueError(f"{self._num_frames} frames of {report.decoded_frames} decoded ones")
        if len(self._counts) > len(report.shots):
            raise ValueError(f"frames of {len(self._counts)} shots where {len(report.shots)} are")
        if max(report.black_frames, report.static_frames) > self._num_frames:
            raise ValueError("more black or static frames than frames")
        return report

    def finish(self, known: dict[str, Any]) -> tuple[VideoRecord, list[ShotRecord]]:
        """Return the record and the shots that the messages describe.

        Raises:
            VideoError: There was no report.
        """
        if self._report is None:
            raise _invalid("no report at the end")
        fields = msgspec.structs.asdict(self._report)
        spans = fields.pop("shots")
        counts = self._counts + [0] * (len(spans) - len(self._counts))
        shots = [
            ShotRecord(start, end, score, count)
            for (start, end, score), count in zip(spans, counts, strict=True)
        ]
        record = VideoRecord(**known, **fields, num_shots=len(shots), num_frames=self._num_frames)
        return record, shots


def _invalid(reason: object) -> VideoError:
    words = " ".join(str(reason).split())[:300]
    return VideoError(f"received an invalid message from the decoder process: {words}")
