"""Read a video file: its declared properties and its frames with exact times, even if damaged.

Decoding proceeds packet by packet, so frames after a damaged packet are still decoded. Skipped
packets are counted. Only container formats that cannot refer to other files are opened, and
only by the `fd` protocol, which opens nothing: see decisions/0011.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import av
import av.subtitles.codeccontext  # opening a file imports both, which is impossible when confined
import av.subtitles.stream
from av.format import Flags

from footage.errors import VideoError
from footage.video.declared import (
    LARGEST_SECONDS,
    picture_stream,
    read_info,
    reason_not_opened,
    usual_step,
)
from footage.video.orientation import Orientation, Orientations
from footage.video.timestamps import LONGEST_GAP_SECONDS, Timeline

# fmt: off
SUFFIXES = frozenset([
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m2v", ".m4v",
    ".mj2", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogg", ".ogm", ".ogv",
    ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
])
"""Suffixes of files in a folder that are tried; a file named by the user is always tried."""

FORMATS = ",".join([
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "flv",
    "mpegvideo", "h264", "hevc", "m4v", "live_flv", "asf", "asf_o", "ogg", "mxf", "nut", "rm", "dv",
    "gif", "ivf", "yuv4mpegpipe",
])
"""Containers of media data. Playlists, concat scripts and SDP would open other files."""
# fmt: on

_ANY_TITLE: dict[str, Any] = (
    {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "ignore"}
)
"""Opens files whose title is not UTF-8, which PyAV 19 always does."""
OPTIONS = {"protocol_whitelist": "fd", "format_whitelist": FORMATS, "max_streams": "64"}
SHORT_SECONDS, SHORT_SHARE = 0.5, 0.01
"""Maximum difference from the declared length of a complete video; the larger one applies."""
WAITING_BYTES = 512 * 2**20
"""Maximum memory of decoded frames that wait for later frames, in bytes."""


class TimedFrame(NamedTuple):
    """A decoded picture, its presentation time and its orientation.

    `is_damaged` means that the decoder concealed errors in it. `is_guessed` means that its
    timestamp cannot be right and was replaced. `aspect` is width over height of one pixel.
    """

    picture: av.VideoFrame
    seconds: float
    duration: float
    is_damaged: bool = False
    is_guessed: bool = False
    orientation: Orientation = Orientation()
    aspect: float = 1.0


_Decoded = tuple[av.VideoFrame, float, Orientation, float]
"""A picture, its usual duration in seconds, its orientation and the aspect ratio of its pixels."""


class Video:
    """A video file opened for one pass.

    Args:
        file: The path of a local file, or the descriptor of an open one. A name is never a URL:
            `http:x` is a file with that name.
        max_pixels: Larger pictures are refused before any memory is allocated for them.

    Raises:
        VideoError: It is not a video that footage reads, or its picture is too large.
    """

    def __init__(self, file: str | Path | int, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        try:
            self._descriptor = os.dup(file) if isinstance(file, int) else os.open(file, os.O_RDONLY)
        except OSError as error:
            raise VideoError(f"it cannot be read: {error.strerror}") from error
        self._container = self._open()
        try:
            self._stream = picture_stream(self._container, max_pixels)
        except VideoError:
            self.close()
            raise
        self.info = read_info(self._container, self._stream)
        context = self._stream.codec_context
        self._stream.thread_type = "NONE"
        context.thread_count = 1
        context.options = {"max_pixels": str(max_pixels)}
        ratio = self._stream.sample_aspect_ratio
        self._container_aspect = ratio if ratio != context.sample_aspect_ratio else None
        self._timeline = self._new_timeline()
        self.decode_errors = 0
        """Packets that could not be decoded, and frames that the decoder marked as damaged."""

    def _open(self) -> av.container.InputContainer:
        try:
            first_bytes = os.pread(self._descriptor, 64, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            os.close(self._descriptor)
            raise VideoError(f"it cannot be read: {error.strerror}") from error
        options = OPTIONS | {"fd": str(self._descriptor)}
        try:
            opened: av.container.InputContainer = av.open("fd:", options=options, **_ANY_TITLE)
            return opened
        except (av.FFmpegError, ValueError) as error:
            os.close(self._descriptor)
            if isinstance(error, MemoryError):
                raise
            raise VideoError(reason_not_opened(error, first_bytes)) from error

    def _new_timeline(self) -> Timeline:
        flags: Any = self._container.format.flags
        clocks_restart = bool(flags & Flags.ts_discont.value)
        has_no_clock = bool(flags & Flags.no_timestamps.value)
        pixels = self.info.width * self.info.height or self._max_pixels
        form = self._stream.codec_context.format
        frame_bytes = pixels * (form.padded_bits_per_pixel if form else 64) // 8 or 1
        return Timeline(
            usual_step(self._stream),
            None if clocks_restart or has_no_clock else self.info.declared_seconds,
            clocks_restart=clocks_restart,
            most_waiting=max(4, WAITING_BYTES // frame_bytes),
        )

    def _aspect(self) -> float:
        """Return width over height of one pixel, from the container or else the current bitstream.

        Implausible ratios count as errors.
        """
        ratio = self._container_aspect or self._stream.codec_context.sample_aspect_ratio or 1
        return float(ratio) if 0.125 <= ratio <= 8 else 1.0

    def frames(self) -> Iterator[TimedFrame]:
        """Yield all frames that can be decoded, in temporal order.

        Times are presentation times (pts x time base), strictly increasing. Wrong and missing ones
        are replaced: see `Timeline`.
        """
        for seconds, is_guessed, (picture, usual, orientation, aspect) in self._timeline.times(
            self._stamped()
        ):
            room = self._timeline.end - seconds
            yield TimedFrame(
                picture,
                seconds,
                min(usual, room) if room > 0 else usual,
                bool(picture.is_corrupt),
                is_guessed,
                orientation,
                aspect,
            )

    def _stamped(self) -> Iterator[tuple[float | None, _Decoded]]:
        """Yield decoded pictures with their timestamps in seconds, or None."""
        orientation, aspect = Orientations(), self._aspect()
        step = usual_step(self._stream)
        for picture in self._pictures():
            if picture.width * picture.height > self._max_pixels:
                self.decode_errors += 1
                continue
            if picture.key_frame:  # the decoder reads ahead: a new ratio waits for its first frame
                aspect = self._aspect()
            self.decode_errors += picture.is_corrupt
            tick = float(picture.time_base or self._stream.time_base or 0)
            duration = picture.duration * tick
            usual = duration if 0 < duration <= LONGEST_GAP_SECONDS else step
            yield self._stamp(picture, tick), (picture, usual, orientation(picture), aspect)

    def _stamp(self, picture: av.VideoFrame, tick: float) -> float | None:
        """Return the presentation time of a picture according to the file, in seconds.

        AVI stores only the decoding order: the presentation times that FFmpeg derives from it are
        wrong with B-frames, whereas the decoding time of the packet that completed the frame is
        right.
        """
        stamps = [picture.pts, picture.dts]
        if self.info.container == "avi":
            stamps.reverse()
        ticks = stamps[0] if stamps[0] is not None else stamps[1]
        seconds = 0.0 if ticks is None else ticks * tick
        is_good = ticks is not None and abs(seconds) <= LARGEST_SECONDS and tick > 0
        return seconds if is_good else None

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Yield decoded frames; packets that cannot be decoded are counted and skipped."""
        failures = 0
        while failures < 10:
            packets = self._container.demux(self._stream)
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    return
                except av.FFmpegError as error:
                    self._require_memory(error)
                    self.decode_errors += 1
                    failures += 1  # the reader may be past the damage: retry a few times
                    break
                yield from self._decoded(packet)

    def _decoded(self, packet: Any) -> list[av.VideoFrame]:  # noqa: ANN401  # untyped in PyAV
        try:
            return list(packet.decode())
        except av.FFmpegError as error:
            self._require_memory(error)
            if not isinstance(error, av.error.EOFError):
                self.decode_errors += 1
            return []

    def _require_memory(self, error: av.FFmpegError) -> None:
        """Raise `MemoryError` if memory ran out, which is not a bad packet.

        Some decoders of FFmpeg report a failed allocation as invalid data. So memory for another
        picture is mapped for a moment.
        """
        if isinstance(error, MemoryError):
            raise error
        if isinstance(error, av.error.EOFError):
            return
        context = self._stream.codec_context
        num_pixels = min(max(context.width * context.height, 1), self._max_pixels)
        try:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            mmap.mmap(-1, 2 * num_pixels, flags=flags).close()
        except OSError as shortage:
            raise MemoryError("there is no room for another picture") from shortage

    def no_frame(self) -> VideoError:
        """Return the error for a video without a single decodable frame."""
        count = self.decode_errors
        note = f" ({count} packets or frames are damaged)" if count else ""
        return VideoError(f"no frame could be decoded{note}")

    def damage(self, decoded_seconds: float) -> str:
        """Describe what is missing after decoding this much; "" if nothing is."""
        found = []
        if self.decode_errors:
            found.append(f"{self.decode_errors} packets or frames were damaged")
        # If clocks restart, the declared length is that of one of them. Otherwise it may be that of
        # a wrong timestamp, and then the frame with that timestamp is not missing.
        declared = None if self._timeline.has_restarted else self.info.declared_seconds
        reached = max(decoded_seconds, self._timeline.stamped_seconds)
        if declared and reached < declared - max(SHORT_SECONDS, SHORT_SHARE * declared):
            found.append(f"{decoded_seconds:.2f} s of {declared:.2f} s could be decoded")
        return "; ".join(found)

    def close(self) -> None:
        """Close the file."""
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
