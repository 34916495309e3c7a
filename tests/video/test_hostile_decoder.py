"""A decoder process that a video has taken over can send anything: it affects only that video."""

import contextlib
import json
import math
import struct

import msgspec
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from footage.commands.ingest import IngestConfig, ingest
from footage.errors import VideoError
from footage.ingestion import worker
from footage.ingestion.plain_jpeg import plain_jpeg_size
from footage.ingestion.receiving import Receiver
from footage.store.reader import Store
from footage.store.records import VideoRecord, finished_units
from footage.store.units import UnitWriter
from footage.video.extract import ALIVE, DECLARED, FRAME, FRAME_HEADER, REPORT
from footage.video.sandbox import Limits
from tests.support import synthetic
from tests.support.ingesting import HERE

NUM_BYTES = 20_000
SETTINGS = IngestConfig(short_side=64).extraction
VIDEO = "a.mp4#0000000000000000"
KNOWN = {"video": VIDEO, "path": "a.mp4", "content_hash": "0" * 64, "num_bytes": NUM_BYTES}


def jpeg(height=48, width=64, **options):
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return simplejpeg.encode_jpeg(image, **{"quality": 90, "colorsubsampling": "420"} | options)


JPEG = jpeg(16, 24)
GOOD_REPORT = {
    "container": "mov,mp4",
    "codec": "h264",
    "pixel_format": "yuv420p",
    "width": 640,
    "height": 480,
    "fps": 25.0,
    "declared_seconds": 4.0,
    "decoded_seconds": 4.0,
    "decoded_frames": 100,
    "decode_errors": 0,
    "rotation": 0,
    "mirrored": False,
    "black_frames": 0,
    "static_frames": 0,
    "status": "ok",
    "reason": "",
    "shots": [[0.0, 2.0, 0.0], [2.0, 4.0, 0.9]],
}


def frame(shot=0, number=0, seconds=0.0, data=JPEG):
    return FRAME, FRAME_HEADER.pack(shot, number, seconds) + data


def report(text=None, **changes):
    return REPORT, (json.dumps(GOOD_REPORT | changes) if text is None else text).encode()


GOOD = [
    (DECLARED, struct.pack("<QQ", 100, 640 * 480)),
    frame(0, 0, 0.0),
    (ALIVE, b""),
    frame(0, 1, 0.5),
    frame(1, 0, 2.5),
    report(),
]


def with_report(text=None, **changes):
    return [*GOOD[:-1], report(text, **changes)]


def endless():
    """300 MB of made-up frames."""
    noise = jpeg(64, 1024, quality=100, colorsubsampling="444")
    return [frame(0, n, n / 2, noise) for n in range(300_000_000 // len(noise))]


HOSTILE = {
    "a frame shorter than its header": [(FRAME, b"short"), report()],
    "a frame without a picture": [frame(data=b""), report()],
    "a frame of two bytes": [frame(data=b"\xff\xd8"), report()],
    "a negative shot": [frame(shot=-1), report()],
    "a huge shot": [frame(shot=2**31 - 1), report()],
    "an earlier shot": [frame(1, 0, 0.0), frame(0, 0, 1.0), report()],
    "a frame out of order": [frame(number=5), report()],
    "a negative number": [frame(number=-1), report()],
    "a frame at no time": [frame(seconds=math.nan), report()],
    "a frame at the end of time": [frame(seconds=math.inf), report()],
    "a frame before the last one": [frame(0, 0, 1.0), frame(0, 1, 1.0), report()],
    "too many frames for the time": [*[frame(0, n, n / 100) for n in range(9)], report()],
    "more bytes than the video could hold": endless(),
    "a frame that is larger than asked for": [frame(data=jpeg(65, 65)), report()],
    "more bytes than its pixels need": [
        frame(data=JPEG[:-2] + bytes(200_000) + JPEG[-2:]), report()],
    "a progressive frame": [frame(data=JPEG.replace(b"\xff\xc0", b"\xff\xc2", 1)), report()],
    "a grey frame": [frame(data=simplejpeg.encode_jpeg(
        np.zeros((48, 64, 1), np.uint8), colorspace="GRAY")), report()],
    "a frame with a second picture": [frame(data=JPEG + JPEG), report()],
    "a frame with a comment": [frame(data=JPEG[:2] + b"\xff\xfe\x00\x04hi" + JPEG[2:]), report()],
    "a frame that does not end": [frame(data=JPEG[:-2]), report()],
    "an unknown kind": [(b"?", b"")],
    "a kind of the sandbox itself": [(b"\x02", b"{}")],
    "a sign of life with content": [(ALIVE, b"x")],
    "a declaration of the wrong size": [(DECLARED, b"xx")],
    "nothing": [],
    "only frames": GOOD[:-1],
    "only a report": [report()],
    "two reports": [*GOOD, report()],
    "a frame after the report": [*GOOD, frame(1, 1, 3.0)],
    "a report that is not JSON": with_report("{"),
    "a report that is null": with_report("null"),
    "a report that is a list": with_report("[]"),
    "a deeply nested report": with_report("[" * 100_000 + "]" * 100_000),
    "a nested field": with_report('{"status": ' + "[" * 5000 + "]" * 5000 + "}"),
    "an integer of 6000 digits": with_report('{"width": ' + "9" * 6000 + "}"),
    "a huge report": with_report('"' + "x" * 17_000_000 + '"'),
    "text that is not UTF-8": [*GOOD[:-1], (REPORT, b'{"codec": "\xff\xfe"}')],
    "width as text": with_report(width="abc"),
    "width of 2^40": with_report(width=2**40),
    "width as a fraction": with_report(width=640.5),
    "negative height": with_report(height=-1),
    "true as a number": with_report(decode_errors=True),
    "a reason that is a list": with_report(status="partial", reason=["x"]),
    "a lone surrogate": with_report(status="partial", reason="\ud800"),
    "escape codes": with_report(status="partial", reason="\x1b[2J"),
    "a long reason": with_report(status="partial", reason="x" * 1001),
    "a codec with a line break": with_report(codec="h264\n"),
    "seconds as text": with_report(decoded_seconds="4"),
    "seconds that are NaN": with_report(decoded_seconds=math.nan),
    "infinite seconds": with_report(decoded_seconds=math.inf),
    "overflowing seconds": with_report(json.dumps(GOOD_REPORT).replace("4.0,", "1e999,")),
    "negative seconds": with_report(decoded_seconds=-1.0),
    "status banana": with_report(status="banana"),
    "status quarantined": with_report(status="quarantined", reason="x"),
    "partial without a reason": with_report(status="partial"),
    "ok with a reason": with_report(reason="x"),
    "negative counts": with_report(black_frames=-1),
    "more black frames than frames": with_report(black_frames=4),
    "fewer frames decoded than kept": with_report(decoded_frames=2),
    "an unknown field": with_report(evil=1),
    "an id of another video": with_report(video="b.mp4#1"),
    "a missing field": with_report(json.dumps({"status": "ok"})),
    "no shots": with_report(shots=[]),
    "fewer shots than frames have": with_report(shots=[[0, 4, 0]]),
    "a shot of two numbers": with_report(shots=[[0, 2], [2, 4]]),
    "a shot that ends before it starts": with_report(shots=[[0, 2, 0], [4, 2, 0]]),
    "shots out of order": with_report(shots=[[2, 4, 0], [0, 2, 0]]),
    "a shot at no time": with_report(shots=[[0, 2, 0], [2, math.nan, 0]]),
}  # fmt: skip


def receive(folder, messages, limits=None):
    """What the parent does with some messages; the record of the unit that it writes."""
    with UnitWriter(folder) as writer:
        frames = writer.frames_of(VIDEO)
        receiver = Receiver(frames, SETTINGS, limits or Limits(), NUM_BYTES)
        for kind, content in messages:
            receiver.take(kind, content)
        writer.add(*receiver.finish(KNOWN), frames)
        writer.finish({}, [])
    (unit,) = finished_units(folder)
    return unit


def test_messages_of_a_good_decoder_are_taken(tmp_path):
    unit = receive(tmp_path, GOOD)
    (record,) = unit.videos.to_pylist()
    assert (record["status"], record["num_frames"], record["num_shots"]) == ("ok", 3, 2)
    assert unit.shots["num_frames"].to_pylist() == [2, 1]
    assert (record["width"], record["codec"], record["fps"]) == (640, "h264", 25.0)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_refused_where_they_arrive(tmp_path, name):
    with pytest.raises(
        VideoError, match=r"^received an invalid message from the decoder process: "
    ):
        receive(tmp_path, HOSTILE[name])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("step", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_hostile_decoders_cost_their_own_videos_only(tmp_path, monkeypatch, step):
    """The whole way: confined processes send the cases, and the next ingest repairs them."""
    cases = list(HOSTILE.values())[::step]
    data = synthetic.encode(tmp_path / "data.mp4", synthetic.scene(1, 1.0)).read_bytes()
    (tmp_path / "in").mkdir()
    for number in range(len(cases)):
        (tmp_path / "in" / f"{number:02d}.mp4").write_bytes(data + bytes(number + 1))
    (tmp_path / "in" / "good.mp4").write_bytes(data)
    right = worker.decode_into_unit

    def decode_into_unit(writer, task, path, known):
        if path.stem == "good":
            return right(writer, task, path, known)

        def send_all(file, settings, max_pixels, send):
            for kind, content in cases[int(path.stem)]:
                send(kind, content)

        return right(writer, task, path, known, send_all)

    config = IngestConfig(workers=1, short_side=64, max_quarantined_fraction=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(worker, "decode_into_unit", decode_into_unit)
        report = ingest([str(tmp_path / "in")], tmp_path / "out", config, HERE)
    assert (report.totals["ok"], report.totals["quarantined"]) == (1, len(cases))
    reasons = {reason for _, _, reason in report.rejected}
    assert all("invalid message" in reason and reason.isprintable() for reason in reasons)
    Store.open(tmp_path / "out").verify()
    again = IngestConfig(short_side=64, limits=Limits(max_pixels=10**6))
    report = ingest([str(tmp_path / "in")], tmp_path / "out", again, HERE)
    assert (report.totals["ok"], report.totals["seen"]) == (len(cases) + 1,) * 2


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["ok", "partial", "", 2**31, 2**63, -1, 1e300, 1e-300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@st.composite
def mutated(draw):
    """The good messages with one of them changed, left out, repeated or replaced."""
    messages = list(GOOD)
    place = draw(st.integers(0, len(messages) - 1))
    kind, content = messages[place]
    match draw(st.sampled_from(["bytes", "field", "kind", "drop", "repeat", "header"])):
        case "bytes":
            begin = draw(st.integers(0, len(content)))
            end = draw(st.integers(begin, min(len(content), begin + 8)))
            content = content[:begin] + draw(st.binary(max_size=8)) + content[end:]
            messages[place] = (kind, content)
        case "field":
            field = draw(st.sampled_from([*GOOD_REPORT, "other"]))
            messages[-1] = report(**{field: draw(VALUES)})
        case "kind":
            messages[place] = (draw(st.binary(min_size=1, max_size=1)), content)
        case "drop":
            del messages[place]
        case "repeat":
            messages.insert(draw(st.integers(0, len(messages))), messages[place])
        case "header":
            header = draw(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.floats()))
            messages[1 + 2 * draw(st.booleans())] = frame(*header)
    return messages


def received_or_refused(folder, messages):
    try:
        return receive(folder, messages), ""
    except VideoError as error:
        return None, error.message


@given(messages=mutated())
def test_mutated_messages_are_refused_or_lead_to_a_valid_record(messages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    work, refusal = received_or_refused(folder, messages)
    if work is None:
        assert refusal.startswith("received an invalid message")
        assert refusal.isprintable()
        return
    (record,) = [VideoRecord(**row) for row in work.videos.to_pylist()]
    assert record.status in ("ok", "partial")
    assert all(math.isfinite(value) for value in (record.fps, record.decoded_seconds))
    assert 0 < record.num_frames <= record.decoded_frames
    assert record.reason.isprintable()
    msgspec.json.encode(record)


@pytest.mark.parametrize("options", [{}, {"quality": 100}, {"quality": 1}])
@pytest.mark.parametrize("shape", [(1, 1), (48, 64), (64, 1000)])
def test_every_frame_of_our_encoder_is_plain(shape, options):
    assert plain_jpeg_size(jpeg(*shape, **options)) == shape[::-1]


@given(begin=st.integers(0, 700), length=st.integers(0, 8), other=st.binary(max_size=8))
def test_changed_headers_of_a_jpeg_never_break_the_check(begin, length, other):
    data = JPEG[:begin] + other + JPEG[begin + length :]
    with contextlib.suppress(ValueError):
        width, height = plain_jpeg_size(data)
        assert 0 < width < 2**16
        assert 0 < height < 2**16
