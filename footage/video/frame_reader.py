"""Decode square frames of a video at a constant rate, in a confined process.

    this process --path--> a process that runs serve() --fork--> confined child: decodes
                 <----------- kind, length, bytes (frames, end, failure) ------------

The intermediate process has no torch and no threads, so it may fork a confined child for each
video. It lives as long as a `FrameReader` and is replaced when it dies.
"""

import dataclasses
import functools
import json
import math
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

import numpy as np
from jaxtyping import UInt8

from footage.data.views import resized
from footage.errors import MachineError, SandboxError, VideoError
from footage.processes import interpreters
from footage.sandbox import policy
from footage.sandbox.layers import Sandbox
from footage.sandbox.messages import plain_text
from footage.video.decode import Video
from footage.video.sandbox import Limits, Send, opened, run_confined
from footage.video.scaling import Scaler
from footage.video.timestamps import EvenTimes

HEADER = struct.Struct("<cI")
SECONDS = struct.Struct("<d")
FRAME, ALIVE, END, FAILED, UNTRIED, LAYERS = b"F", b"A", b"E", b"X", b"M", b"L"
ATTEMPTS, PAUSE_SECONDS = 3, 0.5
"""Number of attempts at a video if the machine fails, and the pause after the first failure."""

ALIVE_SECONDS = 1.0


class SquareFrame(NamedTuple):
    """A sampled frame, stretched to a square, and its presentation time."""

    seconds: float
    pixels: UInt8[np.ndarray, "H W 3"]


class FrameReader:
    """Reads videos one after another through a dedicated process.

    Args:
        size: Height and width of the frames, in pixels.
        frames_per_second: The first frame at or after each multiple of its inverse is returned,
            counted from the first frame.
    """

    def __init__(self, size: int, frames_per_second: float) -> None:
        self._size = size
        self._frames_per_second = frames_per_second
        self._process: subprocess.Popen[bytes] | None = None

    def frames(self, path: Path) -> Iterator[SquareFrame]:
        """Yield the frames of one video; frames before any damage come before the error.

        Raises:
            VideoError: The video cannot be read, or not all of it; the message is the reason.
            MachineError: The machine failed, even after several attempts.
            SandboxError: A layer is missing and the policy requires all.
        """
        num_given = 0
        for attempt in range(ATTEMPTS):
            try:
                for number, frame in enumerate(self._decoded(path)):
                    if number == num_given:
                        yield frame
                        num_given += 1
                return
            except MachineError:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(PAUSE_SECONDS * 2**attempt)

    def _decoded(self, path: Path) -> Iterator[SquareFrame]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        request = {
            "path": str(path.absolute()),
            "size": self._size,
            "frames_per_second": self._frames_per_second,
        }
        finished = False
        try:
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError as error:
                raise MachineError("the decoding process ended unexpectedly") from error
            while True:
                kind, content = _receive(process.stdout)
                finished = kind in (END, FAILED, UNTRIED)
                if kind == LAYERS:
                    active, missing, version = json.loads(content)
                    policy.check(Sandbox(tuple(active), missing, version))
                elif kind == FRAME:
                    (seconds,) = SECONDS.unpack_from(content)
                    pixels = np.frombuffer(content, np.uint8, offset=SECONDS.size)
                    yield SquareFrame(seconds, pixels.reshape(self._size, self._size, 3))
                elif kind == END:
                    damage = content.decode()
                    if damage:
                        raise VideoError(damage)
                    return
                elif kind == FAILED:
                    raise VideoError(content.decode())
                elif kind == UNTRIED:
                    raise MachineError(content.decode())
        finally:
            if not finished:  # the caller stopped or the process died: messages are out of step
                self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.communicate()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                interpreters.command("from footage.video.frame_reader import serve; serve()"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=interpreters.minimal_environment(),
            )
        return self._process

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _receive(stream: IO[bytes]) -> tuple[bytes, bytes]:
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise MachineError("the decoding process ended unexpectedly")
    kind, length = HEADER.unpack(header)
    return kind, stream.read(length)


# --- the other side ----------------------------------------------------------------------------


def serve() -> None:
    """Answer one request after another until standard input ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer

    def answer(kind: bytes, content: bytes) -> None:
        answers.write(HEADER.pack(kind, len(content)) + content)
        answers.flush()

    sandbox: Sandbox | None = None
    for line in requests:
        request = json.loads(line)
        limits = Limits()
        try:
            if sandbox is None:  # that of a video is known only when it has been decoded
                sandbox = run_confined(lambda _: None, lambda *_: None, limits.confinement(0))
            answer(LAYERS, json.dumps(sandbox).encode())
            with opened(Path(request["path"])) as descriptor:
                work = functools.partial(_decode, request, descriptor, limits.max_pixels)
                confinement = dataclasses.replace(
                    limits.confinement(os.fstat(descriptor).st_size, policy.requires_all()),
                    wall_seconds=limits.wall_seconds,  # the reader of the frames may be slow
                )
                checked = CheckedAnswers(answer, int(request["size"]))
                run_confined(work, checked.take, confinement, (descriptor,))
                checked.finish()
        except VideoError as error:
            answer(FAILED, error.message.encode("utf-8", "replace"))
        except (MachineError, SandboxError) as error:
            answer(UNTRIED, error.message.encode("utf-8", "replace"))


class CheckedAnswers:
    """Checks and forwards the messages of the confined child, which may be hostile."""

    def __init__(self, answer: Send, size: int) -> None:
        self._answer = answer
        self._frame_bytes = SECONDS.size + size * size * 3
        self._seconds = -math.inf
        self._has_ended = False

    def take(self, kind: bytes, content: bytes) -> None:
        """Check one message and forward it.

        Raises:
            VideoError: It is not valid.
        """
        if self._has_ended:
            raise _invalid("a message after the end")
        if kind == FRAME:
            self._check_frame(content)
        elif kind == END:
            self._has_ended = True
            content = plain_text(content).encode() if content else b""
        elif kind != ALIVE or content:
            raise _invalid(f"{len(content)} bytes of kind {kind!r}")
        self._answer(kind, content)

    def _check_frame(self, content: bytes) -> None:
        if len(content) != self._frame_bytes:
            raise _invalid(f"a frame of {len(content)} bytes")
        (seconds,) = SECONDS.unpack_from(content)
        if not self._seconds < seconds < math.inf:
            raise _invalid(f"a frame at {seconds} s after one at {self._seconds} s")
        self._seconds = seconds

    def finish(self) -> None:
        """Check that the end was announced."""
        if not self._has_ended:
            raise _invalid("no end")


def _invalid(reason: str) -> VideoError:
    return VideoError(f"received an invalid message from the decoder process: {reason}")


def _decode(request: dict[str, object], descriptor: int, max_pixels: int, send: Send) -> None:
    """Send the sampled frames and, at the end, a description of any damage; runs confined."""
    size = int(str(request["size"]))
    even = EvenTimes(float(str(request["frames_per_second"])))
    with Video(descriptor, max_pixels) as video:
        scale = Scaler(size)
        start: float | None = None
        decoded_seconds, num_sent = 0.0, 0
        last_sent = time.monotonic()
        for frame in video.frames():
            start = frame.seconds if start is None else start
            decoded_seconds = frame.seconds + frame.duration - start
            # A damaged frame has invented content: the next intact one is taken instead.
            if not frame.is_damaged and even.takes(frame.seconds, is_guessed=frame.is_guessed):
                pixels = resized(scale(frame), size)
                send(FRAME, SECONDS.pack(frame.seconds) + pixels.tobytes())
                num_sent += 1
                last_sent = time.monotonic()
            elif time.monotonic() - last_sent > ALIVE_SECONDS:
                send(ALIVE, b"")
                last_sent = time.monotonic()
        if not num_sent:
            raise video.no_frame()
        send(END, video.damage(decoded_seconds).encode())
