"""Codecs are decoded inside the sandbox as outside of it."""

import av
import numpy as np

from footage.commands.ingest import ingest
from footage.store.reader import Store
from footage.video.decode import Video
from tests.support import synthetic
from tests.support.ingesting import CONFIG, HERE

CODECS = {
    "libx264": ("mp4", "yuv420p"),
    "libx265": ("mp4", "yuv420p10le"),
    "libsvtav1": ("mp4", "yuv420p"),
    "libaom-av1": ("mkv", "yuv420p"),
    "libvpx": ("webm", "yuv420p"),
    "libvpx-vp9": ("webm", "yuv444p"),
    "mpeg4": ("avi", "yuv420p"),
    "mpeg2video": ("ts", "yuv420p"),
    "mpeg1video": ("mpg", "yuv420p"),
    "mjpeg": ("avi", "yuvj420p"),
    "prores_ks": ("mov", "yuv422p10le"),
    "ffv1": ("mkv", "yuv420p"),
    "huffyuv": ("avi", "rgb24"),
    "flv": ("flv", "yuv420p"),
    "wmv2": ("asf", "yuv420p"),
    "gif": ("gif", "rgb8"),
    "png": ("mov", "rgba"),
    "qtrle": ("mov", "rgb24"),
    "rawvideo": ("nut", "yuv420p"),
    "jpeg2000": ("mkv", "yuv420p"),
    "libtheora": ("ogv", "yuv420p"),
    "dvvideo": ("dv", "yuv420p"),
}


def write(path, codec, pixel_format):
    """Write two scenes of a second; False if this build of FFmpeg cannot."""
    size = (720, 576) if codec == "dvvideo" else (160, 96)
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            for image in [*synthetic.scene(1, 1.0), *synthetic.scene(2, 1.0)]:
                enlarged = np.asarray(
                    av.VideoFrame.from_ndarray(image, "rgb24").reformat(*size, "rgb24").to_ndarray()
                )
                frame = av.VideoFrame.from_ndarray(enlarged, "rgb24").reformat(format=pixel_format)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError):
        path.unlink(missing_ok=True)
        return False
    return True


def test_every_codec_is_decoded_in_the_sandbox(tmp_path):
    written = [
        path
        for codec, (suffix, pixel_format) in CODECS.items()
        if write(path := tmp_path / f"{codec}.{suffix}", codec, pixel_format)
    ]
    assert len(written) >= 10
    report = ingest(written, tmp_path / "out", CONFIG, HERE)
    assert report.rejected == []
    rows = Store.open(tmp_path / "out").videos.to_pylist()
    for row in rows:
        with Video(tmp_path / row["path"], 10**6) as video:
            num_frames = sum(1 for _ in video.frames())
        assert (row["decoded_frames"], row["decode_errors"]) == (num_frames, 0), row["path"]
    assert len(rows) == len(written)
