import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from footage.errors import ConfigError, VideoError
from footage.video.sandbox import Limits, run_confined


def children():
    """The processes, zombies too, that this thread started."""
    return set(Path("/proc/thread-self/children").read_text().split())


def run(work, **limits):
    messages = []
    sandbox = run_confined(
        work,
        lambda kind, content: messages.append((kind, content)),
        Limits(**limits).confinement(0),
    )
    return messages, sandbox


SLOW = """
import time
from footage.video.sandbox import Limits, run_confined

def work(send):
    send(b"N", b"")
    while time.process_time() < 0.5:
        pass

limits = Limits(silent_seconds=4.0, wall_seconds=5.0).confinement(0)
run_confined(work, lambda *_: print("begun", flush=True), limits)
"""


def test_time_in_which_the_whole_job_is_stopped_does_not_count():
    """Like Ctrl-Z, or a scheduler that suspends jobs."""
    job = subprocess.Popen(
        [sys.executable, "-c", SLOW],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert job.stdout.readline() == "begun\n"
    os.killpg(job.pid, signal.SIGSTOP)
    time.sleep(6)
    os.killpg(job.pid, signal.SIGCONT)
    assert job.communicate(timeout=30)[1] == ""
    assert job.returncode == 0


def test_messages_arrive_in_order_and_whole():
    def work(send):
        for number in range(200):
            send(b"N", bytes([number]) * (number * 997))

    messages, layers = run(work)
    assert messages == [(b"N", bytes([number]) * (number * 997)) for number in range(200)]
    assert "no new privileges" in layers.active


def segfault(send):
    send(b"N", b"before")
    ctypes.string_at(0)


def abort(send):
    os.abort()


def hang(send):
    time.sleep(60)


def hang_after_work(send):
    for _ in range(100):
        send(b"N", b"")
        time.sleep(0.05)


def burn(send):
    while True:
        send(b"N", b"")
        for _ in range(10**6):
            pass


def allocate(send):
    taken = []
    while True:
        taken.append(bytearray(2**26))


def leave(send):
    os._exit(3)


def shut_up(send):
    for descriptor in range(3, 4096):
        with suppress(OSError):
            os.close(descriptor)
    time.sleep(60)


def kill_itself(send):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(send):
    raise VideoError("it is a test")


def raise_anything(send):
    raise ZeroDivisionError("by nothing")


@pytest.mark.parametrize(
    ("work", "limits", "reason"),
    [
        (segfault, {}, r"crashed \(SIGSEGV\)"),
        (abort, {}, r"crashed \(SIGABRT\)"),
        (hang, {"silent_seconds": 0.3}, "stalled: no output for 0.3 s"),
        (hang_after_work, {"wall_seconds": 0.5}, "more than 0.5 s"),
        (burn, {"cpu_seconds": 1}, "more than 1 s of CPU time"),
        (allocate, {"memory_bytes": 2**28}, "needs more than 268435456 bytes"),
        (leave, {}, "exit code 3"),
        (kill_itself, {}, "PermissionError"),
        (refuse, {}, "^it is a test$"),
        (raise_anything, {}, "ZeroDivisionError: by nothing"),
    ],
)
def test_whatever_happens_to_the_child_has_a_reason(work, limits, reason):
    before = children()
    with pytest.raises(VideoError, match=reason):
        run(work, **limits)
    assert children() == before  # and no zombie is left


def test_child_that_closes_its_pipe_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("footage.sandbox.child.DYING_SECONDS", 0.2)
    begin = time.monotonic()
    with pytest.raises(VideoError):
        run(shut_up)
    assert time.monotonic() - begin < 30  # it sleeps for twice as long


def test_child_cannot_write_files_or_reach_the_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def work(send):
            try:
                with (tmp_path / "written").open("wb") as file:
                    file.write(b"x" * 10)
            except OSError as error:
                send(b"W", type(error).__name__.encode())
            try:
                socket.socket().connect(("127.0.0.1", port))
            except OSError as error:
                send(b"C", type(error).__name__.encode())
            send(b"E", str(len(os.environ)).encode())

        messages, _ = run(work)
    answers = dict(messages)
    assert answers[b"W"] == b"PermissionError"
    assert answers[b"C"] == b"PermissionError"
    assert answers[b"E"] == b"0"


def test_limits_must_be_positive():
    with pytest.raises(ConfigError, match=r"limits\.max_pixels"):
        Limits(max_pixels=0)
