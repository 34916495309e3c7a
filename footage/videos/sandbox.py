"""Decoding untrusted files where it can do no harm: a confined child process for each of them.

The child is forked, takes away its own rights, works, and reports through one pipe. Whatever
happens to it (a crash, a hang, a memory or CPU bomb) costs this one file and gets a reason.

    parent                                   child
    run_confined ---- fork ----------------> confine, work(send)
       on_message <--- kind, length, bytes ---- send(kind, bytes)
       reads, watches the clock, kills          exits

Nothing that the child says is unpickled.
"""

import contextlib
import ctypes
import ctypes.util
import dataclasses
import gc
import os
import resource
import select
import signal
import struct
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from footage.errors import ConfigError, VideoError

Send = Callable[[bytes, bytes], None]
"""Sends a message to the parent: one byte that says its kind, then its content."""

_HEADER = struct.Struct("<cI")
DYING_SECONDS = 5.0
"""How long a child may take to end after it closed its pipe (a core dump, perhaps)."""
_LARGEST_MESSAGE = 64 * 2**20
_DONE, _FAILED, _LAYERS = b"\x00", b"\x01", b"\x02"
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one video may cost before it is given up."""

    max_pixels: int = 9_437_184
    """Largest picture in pixels (4096x2304); checked before memory is taken for it."""
    max_file_bytes: int = 20 * 2**30
    """Largest file in bytes, also for files that are fetched."""
    memory_bytes: int = 2 * 2**30
    """Memory that the decoding of one video may take, in bytes."""
    cpu_seconds: int = 7200
    """CPU time for one video, in seconds."""
    wall_seconds: float = 14400.0
    """Time for one video, in seconds."""
    silent_seconds: float = 60.0
    """Time without any progress after which a decoder is thought to hang, in seconds."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value <= 0:
                raise ConfigError(
                    f"limits.{field.name} must be above 0, got {value}", "raise it, or leave it out"
                )


def run_confined(
    work: Callable[[Send], None],
    on_message: Callable[[bytes, bytes], None],
    limits: Limits,
    keep: Sequence[int] = (),
) -> list[str]:
    """Run `work` in a confined child and hand its messages to `on_message` as they come.

    Args:
        work: Runs in the child.
        on_message: Runs here, with the kind and the content of each message.
        limits: What the child may cost.
        keep: Open file descriptors that the child needs.

    Returns:
        The layers of protection that were active.

    Raises:
        VideoError: The work failed, or the child died or was killed; the message is the reason.
    """
    reading, writing = os.pipe()
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python warns of forks beside threads. The child takes none of their locks: it runs only
        # decoding, which has been imported by then.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _be_the_child(work, writing, limits, keep, parent)
    os.close(writing)
    patience = 0.0
    try:
        layers = _listen(reading, on_message, limits)
        patience = DYING_SECONDS if layers is None else 0.0
    finally:
        os.close(reading)
        status = _reap(child, patience)
    if layers is None:
        raise VideoError(_reason_of_death(status, limits))
    return layers


def _reap(child: int, patience: float) -> int:
    """The exit status of a child; it is killed if it does not end by itself in time (seconds)."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _listen(
    reading: int, on_message: Callable[[bytes, bytes], None], limits: Limits
) -> list[str] | None:
    """Messages until the child says that it is done (its layers) or falls silent (None)."""
    layers: list[str] = []
    buffer = bytearray()
    end = time.monotonic() + limits.wall_seconds
    while True:
        patience = min(limits.silent_seconds, end - time.monotonic())
        ready, _, _ = select.select([reading], [], [], max(0.0, patience))
        if not ready:
            if time.monotonic() >= end:
                raise VideoError(f"decoding took more than {limits.wall_seconds:g} s")
            raise VideoError(f"the decoder hung: nothing came for {limits.silent_seconds:g} s")
        data = os.read(reading, 2**20)
        if not data:
            return None
        buffer += data
        while len(buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(buffer)
            if length > _LARGEST_MESSAGE:
                raise VideoError("the decoder process sent nonsense")
            if len(buffer) < _HEADER.size + length:
                break
            content = bytes(buffer[_HEADER.size : _HEADER.size + length])
            del buffer[: _HEADER.size + length]
            if kind == _DONE:
                return layers
            if kind == _FAILED:
                raise VideoError(content.decode("utf-8", "replace")[:1000])
            if kind == _LAYERS:
                layers = content.decode("ascii", "replace").split(",")
            else:
                on_message(kind, content)


def _reason_of_death(status: int, limits: Limits) -> str:
    if not os.WIFSIGNALED(status):
        return f"the decoder process ended early (exit code {os.waitstatus_to_exitcode(status)})"
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return f"decoding took more than {limits.cpu_seconds} s of CPU time"
    if number == signal.SIGKILL:
        return "the decoder was killed from outside (SIGKILL; the machine may be out of memory)"
    return f"the decoder crashed ({signal.Signals(number).name})"


def _be_the_child(
    work: Callable[[Send], None], writing: int, limits: Limits, keep: Sequence[int], parent: int
) -> NoReturn:
    """Everything the child does; it never returns into the parent's code."""
    code = 1
    try:
        gc.disable()  # the parent's objects are not ours to finalise
        layers = _confine({writing, *keep}, limits, parent)

        def send(kind: bytes, content: bytes) -> None:
            view = memoryview(_HEADER.pack(kind, len(content)) + content)
            while view:
                view = view[os.write(writing, view) :]

        try:
            send(_LAYERS, ",".join(layers).encode("ascii"))
            work(send)
            send(_DONE, b"")
        except MemoryError:
            send(_FAILED, f"decoding needs more than {limits.memory_bytes} bytes".encode())
        except VideoError as error:
            send(_FAILED, error.message.encode("utf-8", "replace"))
        except Exception as error:  # the boundary of one video: anything becomes its reason
            send(_FAILED, f"{type(error).__name__}: {error}".encode("utf-8", "replace"))
        code = 0
    finally:
        os._exit(code)


def _confine(keep: set[int], limits: Limits, parent: int) -> list[str]:
    """Take away what decoding does not need; return the layers that this system allowed."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    last = 2
    for descriptor in sorted(keep):
        os.closerange(last + 1, descriptor)
        last = descriptor
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    layers = []
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        layers.append("no new privileges")
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) == 0:
        layers.append("no network")
    _limit(limits)
    layers.append("limits of memory and time and files")
    return layers


def _limit(limits: Limits) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    now = pages * resource.getpagesize()  # the fork starts with the parent's address space
    for what, value in {
        resource.RLIMIT_AS: now + limits.memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }.items():
        resource.setrlimit(what, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
