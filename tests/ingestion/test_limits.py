"""Limits for one video: their bounds, and deadlines by a file's size and declared properties."""

import math

import av
import numpy as np
import pytest

from footage.commands.ingest import IngestConfig, ingest
from footage.errors import ConfigError
from footage.video import sandbox
from footage.video.sandbox import Declared, Limits
from tests.support import synthetic
from tests.support.ingesting import HERE


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_pixels", 0, "must be between 1 and 2,147,483,648, got 0"),
        ("max_file_bytes", -1, "must be between 1 and"),
        ("memory_bytes", 10, "must be between 1,048,576 and"),
        ("memory_bytes", 2**70, "got 1180591620717411303424"),
        ("cpu_seconds", 0, "must be between 1 and 100,000,000, got 0"),
        ("cpu_seconds", 2**70, "got 1180591620717411303424"),
        ("wall_seconds", math.nan, "must be between 0.01 and 100,000,000.0, got nan"),
        ("wall_seconds", math.inf, "got inf"),
        ("silent_seconds", math.nan, "got nan"),
        ("silent_seconds", -1.0, "got -1.0"),
        ("cpu_seconds_per_megabyte", math.nan, "got nan"),
    ],
)
def test_limits_that_limit_nothing_are_refused(name, value, message):
    with pytest.raises(ConfigError) as e:
        Limits(**{name: value})
    assert e.value.message.startswith(f"limits.{name} must be between ")
    assert message in e.value.message
    assert f"--limits.{name.replace('_', '-')}" in e.value.hint


@pytest.mark.parametrize(
    ("num_bytes", "declared", "cpu_seconds"),
    [
        # The floor: a small file may take half a minute.
        (36_000, None, 30 + 0.036 * 40),
        # By its bytes, as long as nothing is known of it, and where it declares nothing.
        (66_000_000, None, 30 + 66 * 40),
        (66_000_000, Declared(0, 4096 * 2304), 30 + 66 * 40),
        # A bomb that declares all of its frames gets no more than its bytes allow.
        (66_000_000, Declared(733_000, 4096 * 2304), 30 + 66 * 40),
        # One that declares little gets little.
        (66_000_000, Declared(10, 4096 * 2304), 30 + 132 + 10 * (0.005 + 80e-9 * 4096 * 2304)),
        # The settings are the ceiling.
        (10**10, None, 7200),
        (10**10, Declared(10**9, 10**7), 7200),
    ],
)
def test_deadlines_follow_from_the_size_of_a_file_and_from_what_it_declares(
    num_bytes, declared, cpu_seconds
):
    deadline = Limits().deadline(num_bytes, declared)
    assert deadline.cpu_seconds == pytest.approx(cpu_seconds)
    assert deadline.wall_seconds == pytest.approx(min(14400, 300 + 20 * cpu_seconds))


@pytest.mark.parametrize(
    ("seconds", "megabytes_per_second", "height", "speed"),
    [(3600, 0.0875, 360, 23), (3600, 0.31, 720, 9), (60, 0.0875, 360, 23), (600, 2.0, 2160, 0.5)],
)
def test_ordinary_videos_have_several_times_the_time_that_they_take(
    seconds, megabytes_per_second, height, speed
):
    """Speeds, in seconds of video per second of CPU, as measured on one core of an EPYC."""
    declared = Declared(25 * seconds, height * height * 16 // 9)
    num_bytes = int(seconds * megabytes_per_second * 1e6)
    assert Limits().deadline(num_bytes, declared).cpu_seconds > 3 * seconds / speed


def bomb(path, repeats):
    """Raw H.264 of nothing but large, black pictures, which cost some bytes each."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.framerate = 4096, 2304, "yuv420p", 25
    context.options = {"preset": "ultrafast", "x264-params": "keyint=4:min-keyint=4:scenecut=0"}
    picture = av.VideoFrame.from_ndarray(np.zeros((3456, 4096), np.uint8), "yuv420p")
    packets = []
    for number in range(8):  # two groups: neighbours must differ in the number of their start
        picture.pts = number
        packets += context.encode(picture)
    data = b"".join(bytes(packet) for packet in [*packets, *context.encode()])
    path.write_bytes(data * repeats)
    return path


def test_bomb_is_stopped_at_the_deadline_of_its_size(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    path = bomb(tmp_path / "in" / "bomb.h264", 200)  # 1,600 pictures: some 15 s
    synthetic.encode(tmp_path / "in" / "good.mp4", synthetic.scene(1, 1.0))
    monkeypatch.setattr(sandbox, "FLOOR_SECONDS", 1.0)
    limits = Limits(cpu_seconds_per_megabyte=0.5 / (path.stat().st_size / 1e6))
    config = IngestConfig(short_side=64, max_quarantined_fraction=1.0, limits=limits)
    paths = [str(path), str(tmp_path / "in" / "good.mp4")]
    report = ingest(paths, tmp_path / "out", config, HERE)
    assert [video.split("#")[0] for video, _, _ in report.rejected] == ["bomb.h264"]
    assert report.rejected[0][2] == "decoding took more than 1.5 s of CPU time"
    assert report.totals["ok"] == 1


def test_declaring_little_leads_to_an_earlier_deadline(monkeypatch):
    """The child declares ten small frames, and works on: the parent stops it."""
    monkeypatch.setattr(sandbox, "FLOOR_SECONDS", 0.2)
    limits = Limits()
    content = Declared(10, 100).pack()

    def work(send):
        send(b"D", content)
        while True:
            pass

    def take(kind, message):
        return limits.deadline(10**5, Declared.unpack(message))

    with pytest.raises(sandbox.VideoError, match=r"more than 0\.5 s of CPU time"):
        sandbox.run_confined(work, take, limits.confinement(10**5))


@pytest.mark.parametrize("num_bytes", [30_000_000, 50_000_000])  # FFmpeg reports 50 as bad data
def test_memory_limit_holds_for_large_pictures(tmp_path, num_bytes):
    synthetic.encode(
        tmp_path / "in" / "a.mp4",
        [np.zeros((2304, 4096, 3), np.uint8)] * 3,
        options={"preset": "ultrafast"},
    )
    limits = Limits(memory_bytes=num_bytes)
    config = IngestConfig(workers=1, short_side=64, max_quarantined_fraction=1.0, limits=limits)
    # in a process of its own: here a decoder would find the memory that the encoder gave back
    report = ingest([str(tmp_path / "in")], tmp_path / "out", config)
    assert [reason for _, _, reason in report.rejected] == [
        f"decoding needs more than {num_bytes} bytes"
    ]
