"""What the decoding of one video may cost, and the confined process in which it happens."""

import contextlib
import dataclasses
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from footage.confinement.child import run_confined as run_in_child
from footage.confinement.layers import Sandbox
from footage.confinement.messages import Confinement, Deadline, Send
from footage.errors import ConfigError, ConfinedError, VideoError

__all__ = ["Limits", "Sandbox", "Send", "run_confined"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Resources that one video may use before it is given up."""

    max_pixels: int = 9_437_184
    """Largest picture in pixels (4096x2304); checked before memory is taken for it."""
    max_file_bytes: int = 20 * 2**30
    """Largest file in bytes, also for files that are fetched."""
    memory_bytes: int = 2 * 2**30
    """Memory for decoding one video, in bytes."""
    cpu_seconds: int = 7200
    """CPU time for one video, in seconds."""
    wall_seconds: float = 14400.0
    """Time for one video, in seconds."""
    silent_seconds: float = 60.0
    """Kill a decoder that makes no progress for this many seconds."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value <= 0:
                raise ConfigError(
                    f"limits.{field.name} must be above 0, got {value}", "raise it, or leave it out"
                )

    @property
    def confinement(self) -> Confinement:
        """What a confined process that decodes one video may cost."""
        return Confinement(
            memory_bytes=self.memory_bytes,
            cpu_seconds=self.cpu_seconds,
            wall_seconds=self.wall_seconds,
            silent_seconds=self.silent_seconds,
        )


def run_confined(
    work: Callable[[Send], None],
    on_message: Callable[[bytes, bytes], Deadline | None],
    limits: Limits,
    keep: Sequence[int] = (),
) -> Sandbox:
    """Decode one video in a confined child; see `footage.confinement.child.run_confined`.

    Raises:
        VideoError: The video cannot be decoded within its limits; the message is the reason.
        MachineError: It could not be tried here and now.
    """
    try:
        return run_in_child(work, on_message, limits.confinement, keep)
    except ConfinedError as error:
        raise VideoError(error.message) from error


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a video file for a confined child, which cannot open files itself.

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
