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
import numpy as np

from footage.errors import VideoError
from footage.videos.orientation import Orientation, Orientations

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
    """A decoded picture, when it is shown (seconds) and how.

    `is_damaged`: the decoder concealed errors in it. `aspect`: width over height of one pixel.
    """

    picture: av.VideoFrame
    seconds: float
    duration: float
    is_damaged: bool = False
    orientation: Orientation = Orientation()
    aspect: float = 1.0


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
        of_stream, of_codec = (
            one.sample_aspect_ratio for one in (self._stream, self._stream.codec_context)
        )
        self._container_aspect = of_stream if of_stream != of_codec else None
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

    def _aspect(self) -> float:
        """Width over height of one pixel, from the container or else the bitstream by now.

        Ratios that no screen or camera has are taken for errors.
        """
        ratio = self._container_aspect or self._stream.codec_context.sample_aspect_ratio or 1
        return float(ratio) if 0.125 <= ratio <= 8 else 1.0

    def frames(self) -> Iterator[TimedFrame]:
        """All frames that can be had, in order of time.

        Times are presentation times (pts x time base). Where a file has none, or where they run
        backwards, the nominal frame rate carries on from the frame before.
        """
        step = 1 / self.info.fps if self.info.fps > 0 else 1 / FALLBACK_FPS
        last, shift = -np.inf, 0.0
        orientation, aspect = Orientations(), self._aspect()
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
            if picture.key_frame:  # the decoder reads ahead: a new ratio waits for its first frame
                aspect = self._aspect()
            yield TimedFrame(
                picture,
                seconds,
                duration,
                bool(picture.is_corrupt),
                orientation(picture),
                aspect,
            )

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
