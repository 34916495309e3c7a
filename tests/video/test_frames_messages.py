"""Messages of a hostile decoder to the frame reader affect only that video."""

import math
import os
import signal
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.errors import MachineError, VideoError
from footage.processes import interpreters
from footage.video import frame_reader
from footage.video.frame_reader import ALIVE, END, FRAME, CheckedAnswers, FrameReader
from tests.support import synthetic

SIZE = 4
PIXELS = bytes(SIZE * SIZE * 3)
INVALID = r"^received an invalid message from the decoder process: "


def frame(seconds=0.0, pixels=PIXELS):
    return FRAME, struct.pack("<d", seconds) + pixels


GOOD = [frame(0.0), (ALIVE, b""), frame(0.5), (END, b"")]
HOSTILE = {
    "a frame without pixels": [frame(pixels=b"")],
    "a frame shorter than its time": [(FRAME, b"123")],
    "a frame of another size": [frame(pixels=PIXELS + b"x")],
    "a frame at no time": [frame(math.nan)],
    "a frame at the end of time": [frame(math.inf)],
    "a frame before the last one": [frame(1.0), frame(1.0)],
    "a frame after the end": [(END, b""), frame()],
    "two ends": [(END, b""), (END, b"")],
    "a failure that only the parent may report": [(b"X", b"")],
    "an unknown kind": [(b"?", b"")],
    "a sign of life with content": [(ALIVE, b"x")],
    "no end": [frame()],
    "nothing": [],
}


def passed_on(messages):
    answers = []
    checked = CheckedAnswers(lambda *answer: answers.append(answer), SIZE)
    for message in messages:
        checked.take(*message)
    checked.finish()
    return answers


def test_good_messages_are_passed_on_unchanged():
    assert passed_on(GOOD) == GOOD


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_refused(name):
    with pytest.raises(VideoError, match=INVALID):
        passed_on(HOSTILE[name])


def test_words_about_damage_are_one_printable_line():
    (answer,) = passed_on([(END, b"\x1b[2J two\nlines \xff" + b"x" * 10_000)])
    assert answer[1].decode().startswith("[2J two lines \N{REPLACEMENT CHARACTER}xx")
    assert len(answer[1].decode()) == 1000
    assert answer[1].decode().isprintable()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([FRAME, ALIVE, END, b"X", b"\x00"]),
            st.binary(max_size=10) | st.floats().map(lambda seconds: frame(seconds)[1]),
        )
    )
)
def test_any_messages_are_refused_or_frames_in_order(messages):
    try:
        answers = passed_on(messages)
    except VideoError:
        return
    times = [struct.unpack_from("<d", content)[0] for kind, content in answers if kind == FRAME]
    assert times == sorted(set(times))
    assert [kind for kind, _ in answers][-1] == END


def children_of(process):
    return set(Path(f"/proc/{process}/task/{process}/children").read_text().split())


def test_frames_are_complete_when_a_decoder_is_killed_from_outside(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_reader, "PAUSE_SECONDS", 0.01)
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.cuts(range(4), 3.0))
    before = children_of(os.getpid())
    with FrameReader(size=96, frames_per_second=12.0) as reader:
        whole = [(frame.seconds, frame.pixels.tobytes()) for frame in reader.frames(path)]
        found = []
        for frame in reader.frames(path):
            if len(found) == 1:
                (server,) = children_of(os.getpid()) - before
                (decoder,) = children_of(server)
                os.kill(int(decoder), signal.SIGKILL)
            found.append((frame.seconds, frame.pixels.tobytes()))
    assert len(whole) == 144
    assert found == whole


def test_server_that_keeps_dying_is_an_error_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_reader, "PAUSE_SECONDS", 0.01)
    path = synthetic.encode(tmp_path / "a.mp4", synthetic.scene(1, 1.0))
    monkeypatch.setattr(interpreters, "command", lambda *_: [sys.executable, "-c", ""])
    with (
        FrameReader(size=16, frames_per_second=2.0) as reader,
        pytest.raises(MachineError, match="ended unexpectedly"),
    ):
        list(reader.frames(path))
