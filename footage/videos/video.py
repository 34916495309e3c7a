"""One video file: what it declares, and its frames with exact times, however broken it is.

Decoding goes packet by packet, so that frames behind a damaged packet are still found, and counts
what it had to skip. Only container formats that cannot point at other files are opened, and only
by the `fd` protocol, which opens nothing: see decisions/0011.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import av
import av.subtitles.stream  # opening a file imports it, which a confined process cannot
import cv2
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import UInt8

from footage.errors import VideoError

# fmt: off
SUFFIXES = frozenset([
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m2v", ".m4v",
    ".mj2", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogg", ".ogm", ".ogv",
    ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
])
"""Files in a folder that are tried; a file named by the user is tried whatever its suffix."""

FORMATS = ",".join([
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "flv",
    "mpegvideo", "h264", "hevc", "m4v", "live_flv", "asf", "asf_o", "ogg", "mxf", "nut", "rm", "dv",
    "gif", "ivf", "yuv4mpegpipe",
])
"""Containers that hold their own data. Playlists, concat scripts and SDP would open others."""
# fmt: on

OPTIONS = {"protocol_whitelist": "fd", "format_whitelist": FORMATS, "max_streams": "64"}
FALLBACK_FPS = 25.0
"""Taken for the step between frames when neither times nor a frame rate are given."""


class VideoInfo(NamedTuple):
    """What a file declares about its picture, before anything is decoded.

    `declared_seconds` is None where the container does not say; `rotation` is in degrees
    counter-clockwise, as it must be applied to show the picture upright.
    """

    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    fps: float
    declared_seconds: float | None


class TimedFrame(NamedTuple):
    """A decoded picture, when it is shown (seconds) and whether the decoder mended damage in it."""

    picture: av.VideoFrame
    seconds: float
    duration: float
    is_damaged: bool


class Video:
    """A video file opened for one pass.

    Args:
        file: The path of a local file, or a descriptor of one that is open already. A name is only
            ever a name: `http:x` is a file with that name.
        max_pixels: Larger pictures are refused before any memory is taken for them.

    Raises:
        VideoError: It is no video that we read, or its picture is too large.
    """

    def __init__(self, file: str | Path | int, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._descriptor = os.dup(file) if isinstance(file, int) else os.open(file, os.O_RDONLY)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        options = OPTIONS | {"fd": str(self._descriptor)}
        try:
            self._container = av.open("fd:", options=options, metadata_errors="ignore")
        except (av.FFmpegError, ValueError) as error:
            os.close(self._descriptor)
            raise VideoError(f"cannot be opened: {_words(error)}") from error
        try:
            self._stream = self._picture_stream()
        except VideoError:
            self.close()
            raise
        self.info = self._read_info()
        self.decode_errors = 0
        """Packets that could not be decoded and frames that the decoder marked as damaged."""

    def _picture_stream(self) -> av.VideoStream:
        """The largest picture stream; cover art is none."""
        streams = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise VideoError("it has no video stream")
        stream = max(streams, key=lambda one: (one.width or 0) * (one.height or 0))
        if stream.codec_context is None:
            raise VideoError("no decoder is known for its video stream")
        pixels = (stream.width or 0) * (stream.height or 0)
        if pixels > self._max_pixels:
            raise VideoError(
                f"its picture of {stream.width}x{stream.height} is larger than"
                f" {self._max_pixels} pixels"
            )
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(self._max_pixels)}
        return stream

    def _read_info(self) -> VideoInfo:
        stream, context = self._stream, self._stream.codec_context
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        return VideoInfo(
            container=self._container.format.name,
            codec=context.codec.canonical_name,
            pixel_format=context.pix_fmt or "",
            width=stream.width or 0,
            height=stream.height or 0,
            fps=float(rate) if rate else 0.0,
            declared_seconds=self._declared_seconds(),
        )

    def _declared_seconds(self) -> float | None:
        """The stream's own duration; the container's may be that of longer sound."""
        stream = self._stream
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        noted = _clock(stream.metadata.get("DURATION", ""))
        if noted is not None:
            start = float((stream.start_time or 0) * (stream.time_base or 0))
            return noted - start
        if self._container.duration and len(self._container.streams) == 1:
            return self._container.duration / av.time_base
        return None

    @property
    def aspect(self) -> float:
        """Width over height of one pixel as it must be shown."""
        ratio = self._stream.sample_aspect_ratio or 1
        return float(ratio) if 0.125 <= ratio <= 8 else 1.0

    def frames(self) -> Iterator[TimedFrame]:
        """All frames that can be had, in order of time.

        Times are presentation times (pts x time base). Where a file has none, or where they run
        backwards, the nominal frame rate carries on from the frame before.
        """
        step = 1 / self.info.fps if self.info.fps > 0 else 1 / FALLBACK_FPS
        last, shift = -np.inf, 0.0
        for picture in self._pictures():
            if picture.width * picture.height > self._max_pixels:
                self.decode_errors += 1
                continue
            base = float(picture.time_base or self._stream.time_base or 0)
            ticks = picture.pts if picture.pts is not None else picture.dts
            if ticks is None or base == 0:
                seconds = last + step if np.isfinite(last) else 0.0
            else:
                seconds = ticks * base + shift
            if seconds <= last:
                shift += last + step - seconds
                seconds = last + step
            duration = picture.duration * base if picture.duration else step
            last = seconds
            self.decode_errors += picture.is_corrupt
            yield TimedFrame(picture, seconds, duration, bool(picture.is_corrupt))

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Decoded frames; a packet that cannot be decoded is counted and skipped."""
        failures = 0
        while failures < 10:
            packets = self._container.demux(self._stream)
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    return
                except av.FFmpegError as error:
                    _no_memory(error)
                    self.decode_errors += 1
                    failures += 1  # the reader may be past the damage: start it again, not for ever
                    break
                yield from self._decoded(packet)

    def _decoded(self, packet: Any) -> list[av.VideoFrame]:  # noqa: ANN401  # av cannot say it
        try:
            return list(packet.decode())
        except av.FFmpegError as error:
            _no_memory(error)
            if not isinstance(error, av.error.EOFError):
                self.decode_errors += 1
            return []

    def close(self) -> None:
        """Give the file back."""
        self._container.close()
        os.close(self._descriptor)

    def __enter__(self) -> "Video":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Scaler:
    """Turns decoded pictures into upright RGB with a given short side, without aliasing.

    Smaller pictures keep their size. Alpha is dropped. Colours of high pictures that do not say
    what they mean are read as BT.709, of others as BT.601, as players do.
    """

    def __init__(self, short_side: int, aspect: float = 1.0) -> None:
        self._short_side = short_side
        self._aspect = aspect
        self._resizer, self._reformatter = VideoReformatter(), VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
        """The picture as it should be shown."""
        width, height = self._size(picture)
        turns = round(picture.rotation / 90) % 4
        is_unspecified = int(picture.colorspace) == 2
        colours = Colorspace.ITU709 if is_unspecified and picture.height >= 720 else None
        if picture.format.name in ("yuv420p", "yuvj420p"):
            picture = self._resized(picture, width, height)
        rgb = self._reformatter.reformat(
            picture,
            width,
            height,
            format="rgb24",
            src_colorspace=colours,
            interpolation="AREA",
            threads=1,
        )
        image: UInt8[np.ndarray, "H W 3"] = rgb.to_ndarray()
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _resized(self, picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        """The picture scaled as it is: FFmpeg takes five times as long to do both at once."""
        small = self._resizer.reformat(
            picture, width, height, format=picture.format.name, interpolation="AREA", threads=1
        )
        if small is not picture:
            small.colorspace, small.color_range = picture.colorspace, picture.color_range
        return small

    def _size(self, picture: av.VideoFrame) -> tuple[int, int]:
        width, height = picture.width * self._aspect, float(picture.height)
        scale = min(1.0, self._short_side / min(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))


TINY_WIDTH, TINY_HEIGHT = 48, 27
"""What cut detectors look at; TransNetV2 was trained on this size."""
ROWS_PER_CELL = 2
"""Rows that are averaged into one row of a tiny frame: all would cost twice as much."""

_LIMITED = np.clip((np.arange(256) - 16) * 255 / 219, 0, 255).astype(np.uint8)


class TinyFrames:
    """Turns decoded pictures into 48x27 RGB, from the planes as they lie in memory.

    Converting whole frames to RGB would cost more than decoding them. Rotation is not applied.
    Exact colours do not matter here: all matrices are read as BT.601.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> UInt8[np.ndarray, "27 48 3"]:
        """The tiny frame of a picture."""
        if not _has_plain_planes(picture):
            small = self._reformatter.reformat(
                picture, TINY_WIDTH, TINY_HEIGHT, format="rgb24", interpolation="AREA", threads=1
            )
            converted: UInt8[np.ndarray, "27 48 3"] = small.to_ndarray()
            return converted
        bits = picture.format.components[0].bits
        planes = [_tiny_plane(plane, bits) for plane in picture.planes[:3]]
        is_full = int(picture.color_range) == 2 or picture.format.name.startswith("yuvj")
        if not is_full:
            planes[0] = cv2.LUT(planes[0], _LIMITED)
        if len(planes) < 3:
            return cv2.merge((planes[0], planes[0], planes[0]))
        return cv2.cvtColor(cv2.merge(planes), cv2.COLOR_YUV2RGB)


def _has_plain_planes(picture: av.VideoFrame) -> bool:
    form = picture.format
    components = form.components
    return (
        form.name.startswith(("yuv", "gray"))
        and form.is_planar | (len(components) == 1)
        and not form.is_big_endian
        and len(components) in (1, 3, 4)
        and components[-1].width >= TINY_WIDTH
        and components[-1].height >= TINY_HEIGHT
        and components[1 % len(components)].width >= TINY_WIDTH
        and components[1 % len(components)].height >= TINY_HEIGHT
    )


def _tiny_plane(plane: av.video.plane.VideoPlane, bits: int) -> UInt8[np.ndarray, "27 48"]:
    """A plane averaged down: whole pixels per cell first (fast), then the little that remains."""
    sample = np.uint8 if bits == 8 else np.uint16
    rows: Any = np.frombuffer(memoryview(plane), sample).reshape(plane.height, -1)
    across, down = plane.width // TINY_WIDTH, plane.height // TINY_HEIGHT
    step = max(1, down // ROWS_PER_CELL)
    down //= step
    rows = rows[::step]
    height, width = rows.shape[0] // down, plane.width // across
    rows = rows[: height * down, : width * across]
    if bits > 8:
        rows = (rows >> (bits - 8)).astype(np.uint8)
    cells = cv2.resize(rows, (width, height), interpolation=cv2.INTER_AREA)
    tiny: UInt8[np.ndarray, "27 48"]
    tiny = cv2.resize(cells, (TINY_WIDTH, TINY_HEIGHT), interpolation=cv2.INTER_LINEAR)
    return tiny


def _clock(text: str) -> float | None:
    """Seconds of `hh:mm:ss.fraction`, as Matroska notes the length of a stream."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _no_memory(error: av.FFmpegError) -> None:
    """Running out of memory is the end of this video, not one more bad packet."""
    if isinstance(error, MemoryError):
        raise error


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
