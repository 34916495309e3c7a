"""Files with impossible timestamps, and the times they must still give."""

import itertools

import av
import numpy as np
import pytest

from footage.commands.ingest import ingest
from footage.store.reader import Store
from footage.video.decode import Video
from footage.video.frame_reader import FrameReader
from tests.support import synthetic
from tests.support.ingesting import CONFIG, HERE
from tests.support.odd_videos import numbered, write_stamped

STEP = 0.05


def decoded(path):
    """Times of all frames, the length from the first to the end of the last, and what is wrong."""
    with Video(path, 10**7) as video:
        frames = list(video.frames())
        length = frames[-1].seconds + frames[-1].duration - frames[0].seconds
        brightness = [float(one.picture.to_ndarray(format="gray").mean()) for one in frames]
        return [one.seconds for one in frames], length, video.damage(length), brightness


def even(count, start=0.0):
    return [start + STEP * number for number in range(count)]


def repeated(count):
    """Every third frame has the time of the one before it."""
    return [0.075 * (2 * (n // 3) + min(n % 3, 1)) for n in range(count)]


def test_repeated_timestamps_move_neither_the_end_nor_a_cut(tmp_path):
    (tmp_path / "in").mkdir()
    stills = [next(iter(synthetic.scene(seed, 0.1))) for seed in (1, 2)]
    images = [still for still in stills for _ in range(150)]
    write_stamped(tmp_path / "in" / "a.mkv", images, repeated(300))
    ingest([str(tmp_path / "in")], tmp_path / "out", CONFIG, HERE)
    store = Store.open(tmp_path / "out")
    (row,) = store.videos.to_pylist()
    assert (row["status"], row["reason"], row["decoded_frames"]) == ("ok", "", 300)
    assert row["declared_seconds"] == pytest.approx(14.975)
    assert row["decoded_seconds"] == pytest.approx(14.975)
    assert store.every_shot["start_seconds"].to_pylist() == pytest.approx([0.0, 7.5])
    kept = [frame.seconds for shot in range(2) for frame in store.frames_of_shot(shot)]
    assert len(kept) >= 26
    assert set(np.round(kept, 3)) <= set(np.round(repeated(300), 3))
    with FrameReader(32, 2.0) as reader:
        seen = [frame.seconds for frame in reader.frames(tmp_path / "in" / "a.mkv")]
    assert len(seen) == 30
    assert set(np.round(seen, 3)) <= set(np.round(repeated(300), 3))


def changed(change, count=42):
    return [change(number, STEP * number) for number in range(count)]


KINDS = {
    "one back": (changed(lambda n, t: t - 0.5 * (n == 20)), even(42)),
    "one far back": (changed(lambda n, t: 0.0 if n == 30 else t), even(42)),
    "two back": (changed(lambda n, t: t - 0.6 * (n in (20, 21))), even(42)),
    "again and again": (changed(lambda n, t: t - 0.3 * (n % 5 == 4)), even(42)),
    "one far ahead": (changed(lambda n, t: t + 100 * (n == 20)), even(42)),
    "three far ahead": (changed(lambda n, t: t + 100 * (20 <= n < 23)), even(42)),
}


@pytest.mark.parametrize("suffix", ["mkv", "ts", "flv"])
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_timestamps_move_only_their_own_frames(tmp_path, kind, suffix):
    stamps, expected = KINDS[kind]
    path = write_stamped(tmp_path / f"a.{suffix}", numbered(42), stamps)
    found, length, damage, brightness = decoded(path)
    found = [one - found[0] for one in found]  # FLV moves all timestamps
    assert found == pytest.approx(expected, abs=1e-3)
    assert length == pytest.approx(2.1, abs=2e-3)
    assert damage == ""
    assert all(a < b for a, b in itertools.pairwise(brightness))


def test_constant_timestamps_stay_within_the_declared_length(tmp_path):
    path = write_stamped(tmp_path / "a.mkv", numbered(40), [0.0] * 40)
    found, length, damage, _ = decoded(path)
    assert len(found) == 40
    assert found[0] == 0.0
    assert all(a < b for a, b in itertools.pairwise(found))
    assert length == pytest.approx(0.05)
    assert damage == ""


@pytest.mark.parametrize(
    ("size", "back"),
    [
        ((64, 48), 0.4),
        ((64, 48), 1.0),
        pytest.param((1920, 1080), 1.0, marks=pytest.mark.slow),
    ],
)
def test_a_clock_set_back_once_stays_within_the_declared_length(tmp_path, size, back):
    stamps = changed(lambda n, t: t - back * (n >= 25), count=50)
    path = write_stamped(tmp_path / "a.mkv", numbered(50, size), stamps)
    found, length, damage, _ = decoded(path)
    again = 25 + round(back / STEP)
    assert found[:25] == pytest.approx(stamps[:25])
    assert found[again:] == pytest.approx(stamps[again:])
    assert all(a < b for a, b in itertools.pairwise(found))
    assert length == pytest.approx(2.5 - back)
    assert damage == ""


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_recording_that_starts_again_continues(tmp_path, suffix):
    path = write_stamped(tmp_path / f"a.{suffix}", numbered(50), even(25) + even(25))
    found, length, damage, _ = decoded(path)
    assert found == pytest.approx(even(50), abs=1e-4)
    assert length == pytest.approx(2.5, abs=1e-3)
    assert damage == ""


def transport_stream(path, frames, start):
    """24 fps MPEG-TS that begins at some second of its clock."""
    times = [start + number / 24 for number in range(len(frames))]
    return synthetic.encode(path, frames, times=times)


def joined(tmp_path, *starts, count=60):
    path = tmp_path / "joined.ts"
    parts = [
        transport_stream(tmp_path / f"{n}.ts", list(synthetic.scene(n, count / 24)), start)
        for n, start in enumerate(starts)
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize(
    "starts",
    [(0, 0), (10, 10), (5000, 0), (0, 1.0), (40000, 0), (90000, 0), (10, 0, 1), (95442, 0)],
)
def test_joined_transport_streams_follow_each_other(tmp_path, starts):
    found, length, damage, _ = decoded(joined(tmp_path, *starts))
    assert len(found) == 60 * len(starts)
    assert np.diff(found) == pytest.approx(np.full(len(found) - 1, 1 / 24), abs=2e-3)
    assert length == pytest.approx(2.5 * len(starts), abs=0.01)
    assert damage == ""


def test_a_clock_of_33_bits_may_overflow(tmp_path):
    path = transport_stream(tmp_path / "a.ts", list(synthetic.scene(1, 4.0)), 2**33 / 90000 - 2)
    found, length, damage, _ = decoded(path)
    assert np.diff(found) == pytest.approx(np.full(95, 1 / 24), abs=2e-3)
    assert length == pytest.approx(4.0, abs=0.01)
    assert damage == ""


@pytest.mark.parametrize(
    ("suffix", "codec", "start"),
    [
        ("mp4", "libx264", 5.0),
        ("mkv", "libx264", 100.0),
        ("ts", "libx264", -5.0),
        ("ts", "libx264", 5000.0),
        ("nut", "ffv1", 100.0),
        ("asf", "wmv2", 5.0),
        ("flv", "libx264", 5.0),
        ("ivf", "libvpx", -5.0),
    ],
)
def test_videos_that_begin_early_or_late_are_whole_in_ingest_and_embed(
    tmp_path, suffix, codec, start
):
    path = synthetic.encode(
        tmp_path / f"a.{suffix}",
        synthetic.scene(1, 2.0),
        codec=codec,
        times=[start + number / 24 for number in range(48)],
        container_options={"avoid_negative_ts": "disabled"},
    )
    ingest([str(path)], tmp_path / "out", CONFIG, HERE)
    store = Store.open(tmp_path / "out")
    (row,) = store.videos.to_pylist()
    assert (row["status"], row["reason"], row["num_frames"]) == ("ok", "", 4)
    assert row["decoded_seconds"] == pytest.approx(2.0, abs=0.05)
    expected = pytest.approx([start, start + 0.5, start + 1.0, start + 1.5], abs=2e-3)
    assert [frame.seconds for frame in store.frames_of_shot(0)] == expected
    with FrameReader(32, 2.0) as reader:
        assert [frame.seconds for frame in reader.frames(path)] == expected


def test_an_edit_list_cuts_off_what_comes_before_it(tmp_path):
    path = write_stamped(tmp_path / "a.mp4", numbered(40), even(40, -1.0))
    found, length, _, brightness = decoded(path)
    assert found == pytest.approx(even(20), abs=1e-4)
    assert length == pytest.approx(1.0, abs=2e-3)
    assert abs(brightness[0] - decoded_brightness(tmp_path)) < 2


def decoded_brightness(tmp_path):
    """Of the picture with number 20."""
    path = write_stamped(tmp_path / "plain.mp4", numbered(40), even(40))
    return decoded(path)[3][20]


def test_negative_times_that_matroska_cannot_hold_come_before_the_others(tmp_path):
    path = write_stamped(tmp_path / "a.mkv", numbered(40), even(40, -1.0))
    found, _, damage, _ = decoded(path)
    assert found == pytest.approx(even(40, -1.0))
    assert damage == ""


@pytest.mark.parametrize("frames_between", [1, 2, 3])
def test_avi_with_frames_out_of_order_is_even(tmp_path, frames_between):
    path = synthetic.encode(
        tmp_path / "a.avi",
        synthetic.scene(1, 2.0),
        options={"bf": str(frames_between), "preset": "medium"},
    )
    with av.open(str(path)) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    assert any(np.diff(stamps) < 0)  # what FFmpeg makes of it
    found, length, damage, _ = decoded(path)
    assert np.diff(found) == pytest.approx(np.full(47, 1 / 24), abs=1e-6)
    assert length == pytest.approx(2.0)
    assert damage == ""
