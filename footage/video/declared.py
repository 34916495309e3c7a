"""The properties that a file declares before anything is decoded; none of them is trusted."""

import re
from typing import Final, NamedTuple

import av

from footage.errors import VideoError

LARGEST_SECONDS: Final = 1e11
"""Timestamps and durations beyond this many seconds are errors in the file."""
FASTEST_FPS: Final = 1000.0
FALLBACK_FPS: Final = 25.0
"""The frame rate of a file that declares none, or an impossible one."""
ENDS_DECLARED: Final = frozenset(["asf", "matroska,webm", "nut"])
"""Formats whose duration counts from 0, even if the video stream begins later."""


class VideoInfo(NamedTuple):
    """The properties that a file declares; None or an `fps` of 0 if it declares nothing."""

    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    fps: float
    declared_seconds: float | None


def picture_stream(container: av.container.InputContainer, max_pixels: int) -> av.VideoStream:
    """Find the largest video stream that can be decoded; cover art does not count.

    Raises:
        VideoError: There is no such stream, or its picture is too large.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        raise VideoError("no video stream")
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if not decodable:
        raise VideoError("its video stream has a codec that FFmpeg cannot decode")
    stream = max(decodable, key=lambda one: _size(one)[0] * _size(one)[1])
    width, height = _size(stream)
    if width * height > max_pixels:
        raise VideoError(f"its picture of {width}x{height} is larger than {max_pixels} pixels")
    return stream


def read_info(container: av.container.InputContainer, stream: av.VideoStream) -> VideoInfo:
    """Read the properties that the file declares for one of its streams."""
    context = stream.codec_context
    rates = [rate for rate in _rates(stream) if rate > 0]
    return VideoInfo(
        container=container.format.name,
        codec=context.codec.canonical_name,
        pixel_format=context.pix_fmt or "",
        width=_size(stream)[0],
        height=_size(stream)[1],
        fps=rates[0] if rates else 0.0,
        declared_seconds=_declared_seconds(container, stream),
    )


def usual_step(stream: av.VideoStream) -> float:
    """Return the seconds between two frames, by the first plausible declared frame rate."""
    rates = [rate for rate in _rates(stream) if 1 / LARGEST_SECONDS < rate <= FASTEST_FPS]
    return 1 / (rates[0] if rates else FALLBACK_FPS)


def _rates(stream: av.VideoStream) -> list[float]:
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [float(rate) for rate in rates if rate is not None]


def _size(stream: av.VideoStream) -> tuple[int, int]:
    return stream.codec_context.width or 0, stream.codec_context.height or 0


def _declared_seconds(
    container: av.container.InputContainer, stream: av.VideoStream
) -> float | None:
    """Return the stream's own duration; the container's may be that of longer audio."""
    begin = float((stream.start_time or 0) * (stream.time_base or 0))
    begin = begin if begin > 0 and container.format.name in ENDS_DECLARED else 0.0
    end = clock_seconds(stream.metadata.get("DURATION", ""))
    if stream.duration and stream.time_base:
        end = float(stream.duration * stream.time_base)
    elif end is None and container.duration and len(container.streams) == 1:
        end = container.duration / av.time_base
    if end is None:
        return None
    length = end - begin if end > begin else end
    return length if 0 < length <= LARGEST_SECONDS else None


_CLOCK = re.compile(r"(\d{1,9}):(\d{1,2}):(\d{1,2}(?:\.\d{0,18})?)", re.ASCII)


def clock_seconds(text: str) -> float | None:
    """Parse `hh:mm:ss.fraction`, as Matroska records the length of a stream."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


SOUND: Final = re.compile(
    rb"ID3|fLaC|RIFF....WAVE|FORM....AIF[FC]|#!AMR|caff|\.snd|MThd|wvpk|MAC |ADIF|\x0b\x77"
    rb"|\xff[\xe2\xe3\xf0-\xf3\xf8-\xfd]",
    re.DOTALL,
)
"""First bytes of audio-only formats, which are never opened."""


def reason_not_opened(error: Exception, first_bytes: bytes) -> str:
    """Describe why FFmpeg does not open a file."""
    if SOUND.match(first_bytes):
        return "no video stream"
    if isinstance(error, av.error.ArgumentError):
        return "cannot be opened: its container format is not supported"
    return f"cannot be opened: {getattr(error, 'strerror', None) or error}"
