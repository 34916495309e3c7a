"""Pictures are stored as a player shows them: rotated, mirrored, and with the right aspect."""

import gc
import io
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from footage.commands.ingest import ingest
from footage.data.views import resized
from footage.store.reader import Store
from footage.video.decode import Video
from footage.video.frame_reader import FrameReader
from footage.video.orientation import Orientation, nearest_orientation
from footage.video.scaling import Scaler
from tests.support import odd_videos
from tests.support.ingesting import CONFIG, HERE
from tests.support.odd_videos import DIHEDRAL, marked_picture, matrix, shown

RECORDED = {
    "upright": (0, False),
    "90 clockwise": (-90, False),
    "180": (180, False),
    "90 counter-clockwise": (90, False),
    "mirrored": (0, True),
    "upside down": (180, True),
    "transposed": (-90, True),
    "transposed on the other diagonal": (90, True),
}
"""Degrees counter-clockwise, then whether it is mirrored left to right."""


def first_frame(path, side=64):
    with Video(path, 10**7) as video:
        return Scaler(side)(next(video.frames()))


def difference(image, other):
    assert image.shape == other.shape
    return np.abs(image.astype(int) - other).mean()


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("name", DIHEDRAL)
def test_the_whole_display_matrix_is_applied(tmp_path, name, suffix):
    image = marked_picture()
    path = odd_videos.write(
        tmp_path / f"a.{suffix}", [image] * 2, display_matrix=matrix(*DIHEDRAL[name])
    )
    upright = shown(image, *DIHEDRAL[name])
    assert difference(first_frame(path), upright) < 4
    others = [shown(image, *other) for key, other in DIHEDRAL.items() if key != name]
    assert all(
        difference(first_frame(path), other) > 20
        for other in others
        if other.shape == upright.shape
    )


def test_ingest_and_embed_see_the_same_upright_picture_and_the_store_records_it(tmp_path):
    (tmp_path / "in").mkdir()
    for number, linear in enumerate(DIHEDRAL.values()):
        path = tmp_path / "in" / f"{number}.mp4"
        odd_videos.write(path, [marked_picture()] * 24, display_matrix=matrix(*linear))
    ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, HERE)
    store = Store.open(tmp_path / "out")
    rows = store.videos.to_pylist()
    with FrameReader(32, 1.0) as reader:
        for number, (name, linear) in enumerate(DIHEDRAL.items()):
            upright = shown(marked_picture(), *linear)
            (kept, *_) = store.frames_of_shot(number)
            assert difference(simplejpeg.decode_jpeg(kept.jpeg), upright) < 6
            assert (rows[number]["rotation"], rows[number]["mirrored"]) == RECORDED[name]
            (seen, *_) = reader.frames(tmp_path / "in" / f"{number}.mp4")
            assert difference(seen.pixels, resized(upright, 32)) < 6


def turned(degrees, scale=1.0):
    """The linear part of a matrix that turns by so many degrees clockwise."""
    angle = np.radians(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return cos, sin, -sin, cos


@pytest.mark.parametrize(
    ("linear", "expected"),
    [
        (turned(10), Orientation(0)),
        (turned(80), Orientation(3)),
        (turned(-50), Orientation(1)),
        (turned(200), Orientation(2)),
        (turned(90, scale=0.01), Orientation(3)),
        ((-2, 0, 0, 1), Orientation(0, True)),
        ((0, 0, 0, 0), Orientation()),
        ((1, 0, 1, 0), Orientation()),
        ((-1, 1, 1, -1), Orientation()),
        ((-32768, 32767, 32767, -32768), Orientation()),
        ((-32768, 0, 0, -32768), Orientation(2)),
    ],
)
def test_other_angles_take_the_nearest_quarter_turn_and_collapsed_pictures_none(linear, expected):
    assert nearest_orientation(matrix(*linear)) == expected


@pytest.mark.parametrize("linear", [turned(80), (0, 0, 0, 0), (1, 0, 1, 0), (32767, 0, 0, 1)])
def test_odd_matrices_in_a_file_are_read(tmp_path, linear):
    path = odd_videos.write(
        tmp_path / "a.mp4", [marked_picture()] * 2, display_matrix=matrix(*linear)
    )
    orientation = nearest_orientation(matrix(*linear))
    assert difference(first_frame(path), orientation.apply(marked_picture())) < 4


def turned_bitstream(path, messages):
    """H.264 of four pictures per key frame, each key frame with one of the messages."""
    options = {"x264-params": "keyint=4:min-keyint=4:scenecut=0:bframes=0"}
    odd_videos.write(path, [marked_picture()] * 4 * len(messages), options=options)
    path.write_bytes(odd_videos.with_messages(path.read_bytes(), messages))
    return path


def test_orientation_in_the_bitstream_holds_until_the_next_key_frame_without_one(tmp_path):
    messages = [
        odd_videos.sei(90),
        odd_videos.sei(0, vertical=True),
        b"",
        odd_videos.sei(90, horizontal=True),
    ]
    path = turned_bitstream(tmp_path / "a.h264", messages)
    with Video(path, 10**7) as video:
        found = [frame.orientation for frame in video.frames()]
    # H.264 flips first: what is flipped and then turned left is turned right and then flipped.
    expected = [Orientation(1), Orientation(2, True), Orientation(), Orientation(3, True)]
    assert found == [one for one in expected for _ in range(4)]


def test_orientation_of_the_container_wins_over_that_of_the_bitstream(tmp_path):
    source = turned_bitstream(tmp_path / "a.h264", [odd_videos.sei(90)])
    mirrored = matrix(*DIHEDRAL["mirrored"])
    path = odd_videos.copied(source, tmp_path / "b.mkv", mirrored)
    with Video(path, 10**7) as video:
        assert {frame.orientation for frame in video.frames()} == {Orientation(0, True)}


@pytest.mark.parametrize("exif", range(1, 9))
def test_exif_orientation_of_motion_jpeg_is_applied_as_pillow_does(tmp_path, exif):
    tags = Image.Exif()
    tags[0x112] = exif
    data = io.BytesIO()
    Image.fromarray(marked_picture()).save(data, "jpeg", exif=tags, quality=95)
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=24)
        stream.width, stream.height, stream.pix_fmt = *odd_videos.SIZE, "yuvj420p"
        for number in range(3):
            packet = av.Packet(data.getvalue())
            packet.stream, packet.time_base = stream, Fraction(1, 24)
            packet.pts = packet.dts = number
            container.mux(packet)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data.getvalue()))))
    assert difference(first_frame(path), expected) < 4


def test_pictures_are_given_back_where_python_collects_no_cycles(tmp_path):
    path = odd_videos.write(tmp_path / "a.avi", [marked_picture()] * 40, codec="mjpeg")
    gc.collect()
    gc.disable()
    gc.freeze()  # existing objects are not listed below, which would take minutes
    try:
        with Video(path, 10**7) as video:
            for _ in video.frames():
                assert sum(type(one) is av.VideoFrame for one in gc.get_objects()) <= 4
    finally:
        gc.unfreeze()
        gc.enable()


def test_pixel_aspect_may_change_with_a_key_frame_of_the_bitstream(tmp_path):
    parts = [
        odd_videos.write(tmp_path / f"{number}.h264", [marked_picture()] * 10, pixel_aspect=ratio)
        for number, ratio in enumerate(["2", "1/2"])
    ]
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with Video(path, 10**7) as video:
        shapes = [Scaler(32)(frame).shape[:2] for frame in video.frames()]
    assert shapes == [(32, 96)] * 10 + [(43, 32)] * 10


def test_pixel_aspect_and_quarter_turns_go_together(tmp_path):
    path = odd_videos.write(
        tmp_path / "a.mp4",
        [marked_picture()] * 2,
        pixel_aspect="2",
        display_matrix=matrix(*DIHEDRAL["90 clockwise"]),
    )
    image = first_frame(path, side=32)
    assert image.shape == (96, 32, 3)
    wide = cv2.resize(marked_picture(), (96, 32), interpolation=cv2.INTER_AREA)
    assert difference(image, shown(wide, *DIHEDRAL["90 clockwise"])) < 6
