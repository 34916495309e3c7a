"""Resource limits for decoding one video, and the confined process that decodes it."""

import contextlib
import dataclasses
import functools
import math
import os
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from footage.errors import ConfigError, ConfinedError, MissingModuleError, VideoError
from footage.sandbox.child import SharedChild
from footage.sandbox.child import run_confined as run_in_child
from footage.sandbox.layers import Sandbox
from footage.sandbox.messages import Confinement, Deadline, Send, plain_text
from footage.sandbox.shortage import is_out_of_memory

__all__ = ["Declared", "DecoderChild", "Limits", "Sandbox", "Send", "opened", "run_confined"]

FLOOR_SECONDS = 30.0
"""Base CPU time per video, in seconds."""
BYTE_SECONDS, FRAME_SECONDS, PIXEL_SECONDS = 2e-6, 5e-3, 80e-9
"""CPU seconds per byte, frame and pixel: ten times the time of ordinary videos."""
WALL_FLOOR_SECONDS, WALL_PER_CPU = 300.0, 20.0
"""Base elapsed time, and elapsed time per CPU second: processors are shared."""
NO_MODULE = b"I"
"""The message of a child whose decoder could not import something."""
_DECLARED = struct.Struct("<QQ")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Resource limits per video."""

    max_pixels: int = 9_437_184
    """Maximum frame size, in pixels (4096x2304); checked before memory is allocated."""
    max_file_bytes: int = 20 * 2**30
    """Largest file in bytes, including remote files."""
    memory_bytes: int = 2 * 2**30
    """Memory for decoding one video, in bytes."""
    cpu_seconds: int = 7200
    """Upper bound on the CPU time for one video, in seconds."""
    wall_seconds: float = 14400.0
    """Upper bound on the elapsed time for one video, in seconds."""
    silent_seconds: float = 60.0
    """Kill a decoder that makes no progress for this many seconds."""

    cpu_seconds_per_megabyte: float = 40.0
    """CPU seconds allowed per megabyte of the file, in addition to 30."""

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:  # also refuses NaN
                raise ConfigError(
                    f"limits.{name} must be between {least:,} and {most:,}, got {value!r}",
                    f"choose a value within these bounds, or leave out --limits.{_option(name)}",
                )

    def deadline(self, num_bytes: int, declared: "Declared | None" = None) -> Deadline:
        """Return the time limits for decoding a file, by its size and its declared properties.

        Args:
            num_bytes: Its size.
            declared: Its declared properties; None while they are unknown.
        """
        allowed = num_bytes / 1e6 * self.cpu_seconds_per_megabyte
        if declared is not None and declared.num_frames:
            seconds_per_frame = FRAME_SECONDS + PIXEL_SECONDS * declared.num_pixels
            allowed = min(
                allowed, BYTE_SECONDS * num_bytes + seconds_per_frame * declared.num_frames
            )
        cpu_seconds = min(float(self.cpu_seconds), FLOOR_SECONDS + allowed)
        wall_seconds = min(self.wall_seconds, WALL_FLOOR_SECONDS + WALL_PER_CPU * cpu_seconds)
        return Deadline(cpu_seconds, wall_seconds)

    def confinement(self, num_bytes: int, require_all: bool = False) -> Confinement:
        """Return the limits of a confined process that decodes a file of this size."""
        deadline = self.deadline(num_bytes)
        return Confinement(
            memory_bytes=self.memory_bytes,
            cpu_seconds=math.ceil(deadline.cpu_seconds),
            wall_seconds=deadline.wall_seconds,
            silent_seconds=self.silent_seconds,
            require_all=require_all,
        )


_BOUNDS = {
    "max_pixels": (1, 2**31),
    "max_file_bytes": (1, 2**50),
    "memory_bytes": (2**20, 2**46),
    "cpu_seconds": (1, 10**8),
    "wall_seconds": (0.01, 1e8),
    "silent_seconds": (0.01, 1e8),
    "cpu_seconds_per_megabyte": (0.001, 1e8),
}


def _option(name: str) -> str:
    return name.replace("_", "-")


class Declared(NamedTuple):
    """The declared number of frames of a file (0: unknown) and pixels per frame."""

    num_frames: int
    num_pixels: int

    def pack(self) -> bytes:
        """Encode as a message; values out of range become unknown."""
        fits = all(0 <= value < 2**40 for value in self)
        return _DECLARED.pack(*self if fits else (0, 0))

    @classmethod
    def unpack(cls, content: bytes) -> "Declared":
        """Decode a message; raises `struct.error` if it is not valid."""
        return cls(*_DECLARED.unpack(content))


def run_confined(
    work: Callable[[Send], None],
    on_message: Callable[[bytes, bytes], Deadline | None],
    confinement: Confinement,
    keep: Sequence[int] = (),
) -> Sandbox:
    """Decode one video in a confined child; see `footage.sandbox.child.run_confined`.

    Raises:
        VideoError: The video cannot be decoded within its limits; the message is the reason.
        MachineError: The machine failed.
        MissingModuleError: The child reports that a module is missing.
        SandboxError: A required layer is missing.
    """
    try:
        return run_in_child(functools.partial(_do, work), _checked(on_message), confinement, keep)
    except ConfinedError as error:
        raise VideoError(error.message) from error


class DecoderChild:
    """A confined child that decodes several videos; see `footage.sandbox.child.SharedChild`.

    Args:
        work: Decodes an open file in the child.
        confinement: As in `SharedChild`.
        keep: As in `SharedChild`.
    """

    def __init__(
        self, work: Callable[[int, Send], None], confinement: Confinement, keep: Sequence[int] = ()
    ) -> None:
        def do(file: int, send: Send) -> None:
            _do(functools.partial(work, file), send)

        self._child = SharedChild(do, confinement, keep)

    @property
    def num_videos(self) -> int:
        """Number of videos so far."""
        return self._child.num_inputs

    def run(
        self,
        file: int,
        on_message: Callable[[bytes, bytes], Deadline | None],
        confinement: Confinement,
    ) -> Sandbox:
        """Decode the next video; raises what `run_confined` raises."""
        try:
            return self._child.run(file, _checked(on_message), confinement)
        except ConfinedError as error:
            raise VideoError(error.message) from error

    def end(self) -> None:
        """Kill the child, if it is still alive."""
        self._child.end()


def _checked(
    on_message: Callable[[bytes, bytes], Deadline | None],
) -> Callable[[bytes, bytes], Deadline | None]:
    """Return a handler that also accepts the message that a module is missing."""

    def take(kind: bytes, content: bytes) -> Deadline | None:
        if kind == NO_MODULE:
            reason = plain_text(content)
            raise MissingModuleError(f"{reason} in a decoder process: reinstall footage")
        return on_message(kind, content)

    return take


def _do(work: Callable[[Send], None], send: Send) -> None:
    """Do the work, and report a failed import separately from faults of the video."""
    try:
        work(send)
    except ImportError as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        send(NO_MODULE, str(error).encode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a video file for a confined child, which cannot open files itself.

    Raises:
        VideoError: It cannot be opened, or is not a regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would block
    except OSError as error:
        raise VideoError(f"it cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise VideoError("it is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)
