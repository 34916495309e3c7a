import math
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from footage.errors import VideoError
from footage.video.decode import TimedFrame, Video
from footage.video.scaling import Scaler, TinyFrames
from tests.support import synthetic
from tests.support.descriptors import open_files

MAX_PIXELS = 4096 * 2304


def decoded(path):
    with Video(path, MAX_PIXELS) as video:
        return video.info, list(video.frames()), video.decode_errors


def test_every_frame_comes_with_its_presentation_time(tmp_path):
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 2.0))
    info, frames, errors = decoded(path)
    assert (info.codec, info.width, info.height, info.fps) == ("h264", 96, 72, 24.0)
    assert math.isclose(info.declared_seconds, 2.0)
    assert [round(frame.seconds * 24) for frame in frames] == list(range(48))
    assert errors == 0


def test_a_folder_is_refused_and_does_not_stay_open(tmp_path):
    with pytest.raises(VideoError, match="it cannot be read: Is a directory"):
        Video(tmp_path, MAX_PIXELS)
    assert open_files(tmp_path) == []


def test_variable_frame_rate_keeps_its_times(tmp_path):
    times = [0.0, 0.04, 0.5, 0.55, 2.0, 2.04, 2.08, 5.0]
    path = synthetic.encode(tmp_path / "a.mkv", synthetic.scene(1, 8 / 24), times=times)
    _, frames, _ = decoded(path)
    assert [frame.seconds for frame in frames] == pytest.approx(times, abs=1e-3)


def test_frames_without_times_continue_at_the_nominal_rate(tmp_path):
    raw = tmp_path / "a.h264"
    synthetic.encode(raw, synthetic.scene(1, 1.0), container_format="h264")
    with Video(raw, MAX_PIXELS) as video:
        frames = list(video.frames())
        steps = np.diff([frame.seconds for frame in frames])
    assert len(frames) == 24
    assert steps == pytest.approx(np.full(23, 1 / video.info.fps), rel=1e-3)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "suffix"),
    [
        ("yuv420p", "libx264", "mp4"),
        ("yuvj420p", "libx264", "mp4"),
        ("yuv422p", "libx264", "mkv"),
        ("yuv444p", "libx264", "mkv"),
        ("yuv420p10le", "libx264", "mkv"),
        ("yuv422p10le", "libx264", "mkv"),
        ("gray", "ffv1", "mkv"),
        ("gray10le", "ffv1", "mkv"),
        ("rgb24", "rawvideo", "nut"),
        ("bgr0", "ffv1", "mkv"),
        ("rgb24", "libx264rgb", "mkv"),
        ("yuva420p", "libvpx-vp9", "webm"),
        ("nv12", "rawvideo", "nut"),
        ("yuyv422", "rawvideo", "nut"),
    ],
)
def test_pictures_of_every_pixel_format_look_the_same(tmp_path, pixel_format, codec, suffix):
    images = list(synthetic.scene(3, 0.2, size=(192, 108)))
    options = {"crf": "8"} if codec in ("libx264", "libvpx-vp9") else {}
    path = synthetic.encode(
        tmp_path / f"a.{suffix}", images, codec=codec, pixel_format=pixel_format, options=options
    )
    _, frames, errors = decoded(path)
    assert len(frames) == len(images)
    assert errors == 0
    expected = images[0]
    if pixel_format.startswith("gray"):
        grey = cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY)
        expected = cv2.merge((grey, grey, grey))
    image = Scaler(108)(frames[0])
    assert np.abs(image.astype(int) - expected).mean() < 5
    tiny = TinyFrames()(frames[0].picture)
    small = cv2.resize(expected, (48, 27), interpolation=cv2.INTER_AREA)
    assert np.abs(tiny.astype(int) - small).mean() < 8


@pytest.mark.parametrize("size", [(97, 73), (50, 30), (18, 16), (640, 98), (301, 255)])
def test_odd_and_small_sizes_work(tmp_path, size):
    path = synthetic.encode(
        tmp_path / "a.mkv", synthetic.scene(1, 0.2, size=size), pixel_format="yuv444p"
    )
    _, frames, _ = decoded(path)
    assert Scaler(64)(frames[0]).shape[0] == min(64, size[1])
    assert TinyFrames()(frames[0].picture).shape == (27, 48, 3)


def test_scaling_down_does_not_alias(tmp_path):
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    path = synthetic.encode(tmp_path / "a.mkv", [stripes] * 2, codec="ffv1", pixel_format="yuv444p")
    _, frames, _ = decoded(path)
    small = Scaler(200)(frames[0]).astype(float)
    assert small.std() < 25  # a filter without averaging leaves bands of black and white: above 80


def test_pixels_that_are_not_square_are_shown_as_meant(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        for image in synthetic.scene(1, 0.2, size=(64, 64)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with Video(path, MAX_PIXELS) as video:
        assert Scaler(32)(next(video.frames())).shape == (32, 64, 3)


def test_frames_behind_damage_are_found(tmp_path):
    path = synthetic.encode(
        tmp_path / "a.mkv", synthetic.cuts(range(4), 1.0), options={"g": "12", "crf": "12"}
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = np.random.default_rng(0).bytes(1500)
    path.write_bytes(data)
    _, frames, errors = decoded(path)
    assert errors > 0
    assert frames[-1].seconds > 3.8
    assert len(frames) > 60


def test_resolution_may_change_in_the_middle(tmp_path):
    parts = []
    for number, size in enumerate([(96, 72), (160, 120)]):
        part = synthetic.encode(
            tmp_path / f"{number}.h264", synthetic.scene(1, 1.0, size=size), container_format="h264"
        )
        parts.append(part.read_bytes())
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(parts))
    _, frames, _ = decoded(path)
    scale, tiny = Scaler(48), TinyFrames()
    assert {frame.picture.width for frame in frames} == {96, 160}
    assert {scale(frame).shape for frame in frames} == {(48, 64, 3)}
    assert {tiny(frame.picture).shape for frame in frames} == {(27, 48, 3)}


def test_picture_that_is_too_large_is_refused_before_it_is_decoded(tmp_path):
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 0.2))
    with pytest.raises(VideoError, match="96x72 is larger than 6911 pixels"):
        Video(path, 96 * 72 - 1)


def test_sound_and_cover_art_are_no_video(tmp_path):
    path = tmp_path / "a.mp4"
    write_sound(path)
    with pytest.raises(VideoError, match="no video stream"):
        Video(path, MAX_PIXELS)


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        samples = np.zeros((1, 44100), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


HOSTILE = {
    "concat.mp4": "ffconcat version 1.0\nfile other.ts\n",
    "playlist.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n",
    "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_file_that_points_at_another_is_refused(tmp_path, name):
    synthetic.encode(tmp_path / "other.ts", synthetic.scene(1, 0.5))
    (tmp_path / name).write_text(HOSTILE[name])
    with pytest.raises(VideoError, match="cannot be opened"):
        Video(tmp_path / name, MAX_PIXELS)


@pytest.mark.parametrize(
    "name",
    ["http:127.0.0.1", "concat:a|b", "-i", "%03d.mp4", "new\nline.mp4", "pipe:0", b"\xff\xfe.mp4"],
)
def test_names_of_files_are_only_names(tmp_path, name, monkeypatch):
    import os

    monkeypatch.chdir(tmp_path)
    synthetic.encode(tmp_path / "plain.mp4", synthetic.scene(1, 0.5))
    Path("plain.mp4").rename(os.fsdecode(name))
    with Video(os.fsdecode(name), MAX_PIXELS) as video:
        assert len(list(video.frames())) == 12


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "ts", "mpg", "flv", "webm", "ogv"])
def test_common_containers_open(tmp_path, suffix):
    codec = {"mpg": "mpeg2video", "webm": "libvpx", "ogv": "libtheora", "avi": "mpeg4"}
    found = codec.get(suffix, "libx264")
    if found not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg cannot write {found}")
    path = synthetic.encode(tmp_path / f"a.{suffix}", synthetic.scene(1, 1.0), codec=found)
    _, frames, errors = decoded(path)
    assert len(frames) == 24
    assert errors == 0
    seconds = np.array([frame.seconds for frame in frames])
    assert np.diff(seconds) == pytest.approx(np.full(23, 1 / 24), abs=2e-3)


@pytest.mark.parametrize("colorspace", [1, 2, 5])
@pytest.mark.parametrize("colour_range", [1, 2])
def test_colours_are_read_as_they_were_meant(colorspace, colour_range):
    image = np.zeros((96, 128, 3), np.uint8)
    image[:, :64], image[:, 64:] = (200, 40, 30), (30, 180, 60)
    picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace="ITU709" if colorspace == 1 else "ITU601",
        dst_color_range=colour_range,
    )
    picture.colorspace, picture.color_range = colorspace, colour_range
    small = Scaler(48)(TimedFrame(picture, 0.0, 0.04)).astype(int)
    assert np.abs(small[:, :28] - image[0, 0]).max() <= 6
    assert np.abs(small[:, 36:] - image[0, 127]).max() <= 6


@pytest.mark.parametrize(
    ("colour_range", "dark", "bright"), [(0, 16, 235), (1, 0, 255), (2, 16, 235)]
)
@pytest.mark.parametrize("name", ["gray", "gray10le"])
def test_grey_of_limited_range_is_stretched(name, colour_range, dark, bright):
    image = np.full((96, 128), 16, np.uint8)
    image[:, 64:] = 235
    picture = av.VideoFrame.from_ndarray(image, format="gray").reformat(format=name)
    picture.color_range = colour_range
    small = Scaler(48)(TimedFrame(picture, 0.0, 0.04)).astype(int)
    tiny = TinyFrames()(picture).astype(int)
    for found in (small, tiny):
        assert np.abs(found[:, :20] - dark).max() <= 1
        assert np.abs(found[:, -20:] - bright).max() <= 1


@pytest.mark.parametrize("colorspace", [3, 8, 10, 12, 13, 14, 17, 200])
@pytest.mark.parametrize("colour_range", [0, 3])
def test_colours_that_ffmpeg_cannot_convert_are_read_as_undeclared(colorspace, colour_range):
    image = np.full((96, 128, 3), (200, 40, 30), np.uint8)
    picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p10le")
    picture.colorspace, picture.color_range = colorspace, colour_range
    assert np.abs(Scaler(48)(TimedFrame(picture, 0.0, 0.04)).astype(int) - image[0, 0]).max() <= 6
    assert TinyFrames()(picture).shape == (27, 48, 3)


@pytest.mark.parametrize("name", ["grayf32le", "yuv444p10msble", "yuv410p", "gray16be", "xyz12le"])
def test_unusual_pixel_formats_are_seen_by_the_cut_detectors(name):
    picture = av.VideoFrame.from_ndarray(next(synthetic.scene(3, 0.1, size=(192, 108))), "rgb24")
    expected = cv2.resize(picture.to_ndarray(), (48, 27), interpolation=cv2.INTER_AREA)
    if name.startswith("gray"):
        grey = cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY)
        expected = cv2.merge((grey, grey, grey))
    tiny = TinyFrames()(picture.reformat(format=name))
    assert np.abs(tiny.astype(int) - expected).mean() < 8


def test_a_pixel_format_that_cannot_be_converted_is_named():
    picture = av.VideoFrame(96, 72, "rgb4")
    with pytest.raises(VideoError, match="its pixel format 'rgb4' cannot be converted to RGB"):
        Scaler(48)(TimedFrame(picture, 0.0, 0.04))
