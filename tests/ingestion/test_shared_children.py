"""One confined child decodes several videos: a fault costs only the video that causes it."""

import ctypes
import os
import time
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from footage.commands.ingest import IngestConfig, ingest
from footage.errors import VideoError
from footage.ingestion import worker
from footage.store.reader import Store
from footage.video.extract import FRAME, FRAME_HEADER
from footage.video.sandbox import DecoderChild, Limits
from tests.support import synthetic
from tests.support.ingesting import HERE

NAMES = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]  # one unit
MIDDLE = "c.mp4"
LIMITS = Limits(silent_seconds=60.0, memory_bytes=2**29, cpu_seconds=3)


@pytest.fixture
def videos(tmp_path):
    """Four videos, which a child can tell apart by their sizes."""
    for number, name in enumerate(NAMES):
        path = synthetic.encode(tmp_path / "in" / name, synthetic.scene(number, 0.5))
        path.write_bytes(path.read_bytes().ljust(100_000 + number, b"\0"))
    return tmp_path / "in"


def stored(videos, out, limits=LIMITS):
    """Ingest; return status, reason and frames of each video."""
    config = IngestConfig(max_quarantined_fraction=1.0, short_side=64, limits=limits)
    report = ingest([str(videos)], out, config, HERE)
    assert not report.failures
    store = Store.open(out)
    store.verify()
    rows = {row["path"]: (row["status"], row["reason"]) for row in store.videos.to_pylist()}
    frames = {name: [] for name in NAMES}
    for part in sorted((out / "frames").rglob("*.parquet")):
        for row in pq.read_table(part).to_pylist():
            frames[row.pop("video").rpartition("#")[0]].append(row)
    return rows, frames


def before_decoding(monkeypatch, act):
    """Make the child call a function with the name of each video before decoding it."""
    right = worker.extract

    def extract(file, settings, detector, max_pixels, send):
        act(NAMES[os.fstat(file).st_size - 100_000], send)
        right(file, settings, detector, max_pixels, send)

    monkeypatch.setattr(worker, "extract", extract)


@pytest.fixture
def children(monkeypatch):
    """The started children."""
    started = []

    class Counted(DecoderChild):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(worker, "DecoderChild", Counted)
    return started


def crash(send):
    ctypes.string_at(0)


def hang(send):
    time.sleep(60)


def allocate(send):
    taken = []
    while True:
        taken.append(bytearray(2**26))


def burn(send):
    while True:
        send(b"A", b"")
        for _ in range(10**5):
            pass


def babble(send):
    send(b"?", b"garbage")


def give_up(send):
    raise VideoError("it is a test")


def leave(send):
    os._exit(0)


FAULTS = {
    crash: "crashed (SIGSEGV)",
    hang: "the decoder stalled",
    allocate: "decoding needs more than",
    burn: "more than 3 s of CPU time",
    babble: "received an invalid message",
    give_up: "it is a test",
    leave: "exited early",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_file_in_the_middle_of_a_unit_costs_only_itself(
    videos, tmp_path, monkeypatch, children, fault
):
    _, expected = stored(videos, tmp_path / "expected")
    assert len(children) == 1
    children.clear()
    before_decoding(monkeypatch, lambda name, send: name == MIDDLE and fault(send))
    limits = replace(LIMITS, silent_seconds=3.0) if fault is hang else LIMITS
    rows, frames = stored(videos, tmp_path / "out", limits)
    assert {name for name, (status, _) in rows.items() if status == "ok"} == {*NAMES} - {MIDDLE}
    assert FAULTS[fault] in rows[MIDDLE][1]
    assert frames == expected | {MIDDLE: []}
    # the first child, one that confirms the fault, and one for the last video
    assert [child.num_videos for child in children] == [3, 1, 1]


@pytest.mark.parametrize("fault", [crash, babble, give_up, leave])
def test_video_that_took_over_the_child_cannot_spoil_later_ones(
    videos, tmp_path, monkeypatch, fault
):
    """The child fails on every video after the first."""
    _, expected = stored(videos, tmp_path / "expected")
    taken_over = []

    def act(name, send):
        if taken_over:
            fault(send)
        if name == "b.mp4":
            taken_over.append(name)

    before_decoding(monkeypatch, act)
    rows, frames = stored(videos, tmp_path / "out")
    assert {status for status, _ in rows.values()} == {"ok"}
    assert frames == expected


def test_frames_that_are_sent_after_the_end_reach_no_other_video(videos, tmp_path, monkeypatch):
    _, expected = stored(videos, tmp_path / "expected")

    def act(name, send):
        if name == "b.mp4":
            send(b"\0", b"")  # the end of this video, as far as the parent knows
            for number in range(3):
                send(FRAME, FRAME_HEADER.pack(0, number, float(number)) + b"\xff\xd8")

    before_decoding(monkeypatch, act)
    rows, frames = stored(videos, tmp_path / "out")
    assert rows["b.mp4"][0] == "quarantined"
    assert "received an invalid message" in rows["b.mp4"][1]
    assert frames == expected | {"b.mp4": []}


def test_time_and_memory_are_limited_per_video(videos, tmp_path, monkeypatch, children):
    """The videos exceed each limit only together, and the fourth does not pay for the third."""
    kept = []

    def act(name, send):
        end = time.process_time() + 0.8
        while time.process_time() < end:
            pass
        bytearray(2**28)
        if name == MIDDLE:
            kept.append(bytearray(3 * 2**27))

    before_decoding(monkeypatch, act)
    rows, _ = stored(videos, tmp_path / "out")
    assert {*rows.values()} == {("ok", "")}
    assert [child.num_videos for child in children] == [4, 1]


def test_child_is_replaced_after_some_videos(videos, tmp_path, monkeypatch, children):
    monkeypatch.setattr(worker, "VIDEOS_PER_CHILD", 2)
    stored(videos, tmp_path / "out")
    assert [child.num_videos for child in children] == [2, 2]


def test_child_is_replaced_after_a_damaged_video(videos, tmp_path, children):
    path = videos / "b.mp4"
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 3000
    data[begin : begin + 300] = os.urandom(300)
    path.write_bytes(data)
    rows, _ = stored(videos, tmp_path / "out")
    assert rows["b.mp4"][0] == "partial"
    assert [child.num_videos for child in children] == [2, 2]


def test_child_has_no_descriptor_of_another_video(videos, tmp_path, monkeypatch):
    def act(name, send):
        sizes = []
        for descriptor in range(3, 64):
            try:
                sizes.append(os.fstat(descriptor).st_size)
            except OSError:
                continue
        if sum(size >= 100_000 for size in sizes) != 1 or len(sizes) != 3:
            raise VideoError(f"descriptors of {sizes} bytes")  # else: pipe, socket, this video

    before_decoding(monkeypatch, act)
    rows, _ = stored(videos, tmp_path / "out")
    assert {status for status, _ in rows.values()} == {"ok"}
