"""Encode frames such that the same frames give the same bytes."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from jaxtyping import UInt8


def encode_video(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    fps: int | Fraction,
    size: tuple[int, int],
) -> None:
    """Write frames of (width, height) as an MP4 file: H.264, or MPEG-4 without that encoder."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w", format="mp4") as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=fps))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        # With more threads, or with x264's rate control (crf), which reads the padding of frames,
        # the bytes differed between runs.
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "qp": "23"} if codec == "libx264" else {}
        if codec == "mpeg4":
            stream.bit_rate = 800_000
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
