"""Declared properties of files, true or not, and the report if nothing can be decoded."""

import io
import math
import struct
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from footage.commands.ingest import IngestConfig, ingest
from footage.errors import VideoError
from footage.store.reader import Store
from footage.video.declared import clock_seconds
from footage.video.decode import Video
from footage.video.frame_reader import FrameReader
from tests.support import synthetic
from tests.support.ingesting import HERE

MAX_PIXELS = 10**7


def reason_in_ingest(path, tmp_path):
    config = IngestConfig(max_quarantined_fraction=1.0)
    ingest([str(path)], tmp_path / "out", config, HERE)
    (row,) = Store.open(tmp_path / "out").videos.to_pylist()
    assert row["status"] == "quarantined"
    return row["reason"]


def reason_in_embed(path):
    with FrameReader(32, 1.0) as reader, pytest.raises(VideoError) as error:
        list(reader.frames(path))
    return error.value.message


def renamed_codec(path):
    """The same file with an unknown codec, in sample entries of MP4."""
    path.write_bytes(path.read_bytes().replace(b"avc1", b"xyz9"))
    return path


def test_a_codec_without_a_decoder_is_one_clear_reason_in_ingest_and_embed(tmp_path):
    path = renamed_codec(synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 0.5)))
    expected = "its video stream has a codec that FFmpeg cannot decode"
    assert reason_in_ingest(path, tmp_path) == reason_in_embed(path) == expected


def test_a_smaller_stream_with_a_decoder_is_taken_where_the_larger_has_none(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        streams = []
        for codec, size in (("libx264", (192, 144)), ("mpeg4", (96, 72))):
            stream = container.add_stream(codec, rate=24)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            streams.append((stream, size))
        for stream, size in streams:
            for image in synthetic.scene(1, 0.5, size=size):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode())
    with Video(path, MAX_PIXELS) as video:
        assert video.info.width == 192
    with Video(renamed_codec(path), MAX_PIXELS) as video:
        assert (video.info.codec, video.info.width) == ("mpeg4", 96)
        assert len(list(video.frames())) == 12


SOUND = {
    "song.mp3": "libmp3lame",
    "song.wav": "pcm_s16le",
    "song.flac": "flac",
    "song.aac": "aac",
    "song.m4a": "aac",
    "song.mp4": "aac",
    "song.mka": "aac",
    "song.aiff": "pcm_s16be",
    "song.ac3": "ac3",
    "song.au": "pcm_s16be",
    "song.ogg": "libopus",
}


def write_tone(path, codec):
    """One second of sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        resampler = av.AudioResampler(stream.format, "mono", 48000, 960)
        tone = (8000 * np.sin(np.arange(48000) / 20)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
        frame.sample_rate = 48000
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode())


@pytest.mark.parametrize("name", SOUND)
def test_sound_has_no_video_stream(tmp_path, name):
    path = tmp_path / name
    write_tone(path, SOUND[name])
    with pytest.raises(VideoError, match=r"^no video stream$"):
        Video(path, MAX_PIXELS)


def test_a_song_that_begins_with_tags_or_a_picture_has_no_video_stream(tmp_path):
    cover = io.BytesIO()
    Image.new("RGB", (64, 64)).save(cover, "jpeg")
    picture = b"APIC" + struct.pack(">IH", len(cover.getvalue()) + 14, 0)
    tags = picture + b"\0image/jpeg\0\3\0" + cover.getvalue()
    size = bytes(len(tags) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\3\0\0" + size + tags + b"\xff\xfb\x90\x64" + bytes(413) * 20)
    with pytest.raises(VideoError, match=r"^no video stream$"):
        Video(path, MAX_PIXELS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"ffconcat version 1.0\nfile other.ts\n", "its container format is not supported"),
        (b"this is not a video\n" * 100, "Invalid data found when processing input"),
        (b"\xff\xfe" + "UTF-16".encode("utf-16-le") * 50, ""),
    ],
)
def test_what_is_not_a_video_cannot_be_opened(tmp_path, content, reason):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=f"^cannot be opened: {reason}"):
        Video(tmp_path / "a.mp4", MAX_PIXELS)


def test_a_file_that_is_gone_is_one_clear_reason(tmp_path):
    with pytest.raises(VideoError, match=r"^it cannot be read: No such file or directory$"):
        Video(tmp_path / "gone.mp4", MAX_PIXELS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:14.975000000", 14.975),
        ("100:59:59.5", 100 * 3600 + 59 * 60 + 59.5),
        ("00:00:02", 2.0),
        (" 00:00:02. ", 2.0),
        ("", None),
        ("14.975", None),
        ("soon", None),
        ("00:00:nan", None),
        ("00:00:inf", None),
        ("-1:00:00.0", None),
        ("00:00:-2.0", None),
        ("00:00:1e9", None),
        ("9" * 400 + ":00:00.0", None),
        ("0x1:00:00", None),
        ("١:٠٠:٠٠", None),  # digits, but not those of a clock
    ],
)
def test_only_a_clock_is_read_as_one(text, seconds):
    assert clock_seconds(text) == seconds


@pytest.mark.parametrize("text", [b"00:00:nan", b"00:00:inf", b"99:99:99.9", b"tomorrow", b"::"])
def test_text_in_place_of_a_duration_is_not_believed(tmp_path, text):
    path = synthetic.encode(tmp_path / "a.mkv", synthetic.scene(1, 2.0))
    clock = b"00:00:02.000000000"
    data = path.read_bytes()
    assert clock in data
    path.write_bytes(data.replace(clock, text.ljust(len(clock), b"\0")))
    with Video(path, MAX_PIXELS) as video:
        declared = video.info.declared_seconds
        assert len(list(video.frames())) == 48
    assert declared == (pytest.approx(362439.9) if text == b"99:99:99.9" else 2.0)


def patched(data, element, value):
    """A Matroska element of fixed size with another value."""
    place = data.index(element) + len(element)
    length = data[place] & 0x7F
    return data[: place + 1] + value.rjust(length, b"\0")[-length:] + data[place + 1 + length :]


@pytest.mark.parametrize("nanoseconds", [0, 1, 2**32 - 1])
def test_absurd_frame_rates_are_bounded_and_do_not_move_good_timestamps(tmp_path, nanoseconds):
    path = synthetic.encode(tmp_path / "a.mkv", synthetic.scene(1, 2.0))
    data = patched(path.read_bytes(), b"\x23\xe3\x83", struct.pack(">I", nanoseconds))
    path.write_bytes(data)
    with Video(path, MAX_PIXELS) as video:
        assert 0 <= video.info.fps < math.inf
        frames = list(video.frames())
    assert [frame.seconds for frame in frames] == pytest.approx(
        [number / 24 for number in range(48)], abs=1e-3
    )


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -5.0, 0.0, 1e300, 1e-300])
def test_absurd_lengths_in_the_header_are_not_believed(tmp_path, seconds):
    path = synthetic.encode(tmp_path / "a.mkv", synthetic.scene(1, 2.0))
    data = path.read_bytes().replace(b"00:00:02.000000000", bytes(18))
    path.write_bytes(patched(data, b"\x44\x89", struct.pack(">d", seconds)))
    with Video(path, MAX_PIXELS) as video:
        declared = video.info.declared_seconds
        frames = list(video.frames())
    assert declared is None or 0 < declared <= 1e11
    assert len(frames) == 48
    assert frames[-1].seconds == pytest.approx(47 / 24, abs=1e-3)


@pytest.mark.parametrize("ratio", [Fraction(1000), Fraction(1, 1000), Fraction(1, 2**31 - 1)])
def test_absurd_pixel_aspects_are_not_believed(tmp_path, ratio):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        stream.codec_context.sample_aspect_ratio = ratio
        for image in synthetic.scene(1, 0.2, size=(64, 64)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    with Video(path, MAX_PIXELS) as video:
        assert {frame.aspect for frame in video.frames()} == {1.0}


@pytest.mark.parametrize("size", [(70000, 16), (16, 70000)])
def test_a_picture_with_a_side_too_long_for_jpeg_is_kept_smaller(tmp_path, size):
    image = np.full((size[1], size[0], 3), 120, np.uint8)
    path = synthetic.encode(tmp_path / "a.nut", [image] * 3, codec="rawvideo", pixel_format="rgb24")
    ingest([str(path)], tmp_path / "out", IngestConfig(), HERE)
    store = Store.open(tmp_path / "out")
    assert store.videos["status"].to_pylist() == ["ok"]
    (frame,) = store.frames_of_shot(0)
    height, width, _, _ = simplejpeg.decode_jpeg_header(frame.jpeg)
    assert sorted((width, height)) == [15, 65500]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_sound_and_subtitles_beside_the_picture_do_not_matter(tmp_path, suffix):
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:00,400\nHello\n\n")
    synthetic.encode(tmp_path / "picture.mkv", synthetic.scene(1, 1.0))
    write_tone(tmp_path / "sound.mka", "aac")
    path = tmp_path / f"a.{suffix}"
    names = (
        ["a.srt", "picture.mkv", "sound.mka"] if suffix == "mkv" else ["picture.mkv", "sound.mka"]
    )
    inputs = [av.open(str(tmp_path / name)) for name in names]
    with av.open(str(path), "w") as output:
        copies = [output.add_stream_from_template(one.streams[0]) for one in inputs]
        for one, copy in zip(inputs, copies, strict=True):
            for packet in one.demux():
                if packet.size:
                    packet.stream = copy
                    output.mux(packet)
            one.close()
    ingest([str(path)], tmp_path / "out", IngestConfig(), HERE)
    (row,) = Store.open(tmp_path / "out").videos.to_pylist()
    assert (row["status"], row["reason"], row["num_frames"]) == ("ok", "", 2)
    with FrameReader(32, 2.0) as reader:
        assert len(list(reader.frames(path))) == 2


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi"])
def test_a_title_that_is_not_text_does_not_matter(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as output:
        output.metadata["title"] = "LatinOne"
        stream = output.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for image in synthetic.scene(1, 1.0):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())
    assert b"LatinOne" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"LatinOne", b"\xff\xfe\x80\xc3(\xe9t\xe9"))
    ingest([str(path)], tmp_path / "out", IngestConfig(), HERE)
    (row,) = Store.open(tmp_path / "out").videos.to_pylist()
    assert (row["status"], row["reason"], row["num_frames"]) == ("ok", "", 2)
    with FrameReader(32, 2.0) as reader:
        assert len(list(reader.frames(path))) == 2


DECODE_ALL = """
import sys
from pathlib import Path
import footage.video.frame_reader, footage.ingestion.worker
from footage.errors import VideoError
from footage.video.extract import Extraction, extract
from footage.video.detectors.adaptive import AdaptiveCuts
settings = Extraction(
    frames_per_second=2.0, short_side=64, jpeg_quality=90,
    minimum_shot_seconds=0.5, boundary_margin_seconds=0.25,
)
before = set(sys.modules)
for path in sys.argv[1:]:
    try:
        extract(Path(path), settings, AdaptiveCuts(), 10**6, lambda kind, content: None)
    except VideoError as error:
        print(error.message)
print("imported:", sorted(set(sys.modules) - before))
"""


def test_decoding_imports_nothing_for_a_confined_process_cannot(tmp_path):
    paths = [
        synthetic.encode(tmp_path / f"a.{suffix}", synthetic.cuts([1, 2], 1.0), codec=codec, **how)
        for suffix, codec, how in [
            ("mp4", "libx264", {}),
            ("webm", "libvpx-vp9", {"pixel_format": "yuva420p"}),
            ("avi", "mjpeg", {"pixel_format": "yuvj420p"}),
            ("gif", "gif", {"pixel_format": "rgb8"}),
            ("ts", "mpeg2video", {}),
            ("mkv", "ffv1", {"pixel_format": "gray10le"}),
        ]
    ]
    damaged = bytearray(paths[0].read_bytes())
    damaged[3000:3400] = bytes(400)
    for name, content in {"damaged.mp4": damaged, "text.mp4": b"text" * 100}.items():
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    write_tone(tmp_path / "song.m4a", "aac")
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:00,400\nHello\n\n")
    names = [str(tmp_path / name) for name in ("a.srt", "subtitles.mkv")]
    with av.open(names[0]) as source, av.open(names[1], "w") as output:
        copy = output.add_stream_from_template(source.streams[0])
        for packet in source.demux():
            packet.stream = copy
            if packet.size:
                output.mux(packet)
    paths += [tmp_path / "song.m4a", tmp_path / "subtitles.mkv"]
    command = [sys.executable, "-c", DECODE_ALL, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"
    assert done.stdout.count("no video stream") == 2
