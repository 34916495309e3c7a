"""A confined child process for one untrusted input: it works, and sends messages to its parent.

The child is forked, takes away its own rights, works, and reports through one pipe. Whatever
happens to it (a crash, a hang, a memory or CPU bomb) costs this one input and gets a reason.

    parent                                   child
    run_confined ---- fork ----------------> confine, work(send)
       on_message <--- kind, length, bytes ---- send(kind, bytes)
       reads, watches the clock, kills          exits

Nothing that the child sends is unpickled. The child inherits the memory of its parent: start it
from a process that holds no secrets.
"""

import contextlib
import dataclasses
import fcntl
import gc
import json
import os
import resource
import select
import signal
import struct
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from footage.confinement.layers import (
    LAYERS,
    Sandbox,
    confine,
    die_with,
    drop_descriptors,
    wipe_environment,
)
from footage.errors import ConfinedError, FootageError, MachineError, SandboxError

Send = Callable[[bytes, bytes], None]
"""Sends a message to the parent: one byte for its kind, then its content."""

DYING_SECONDS = 5.0
"""How long a child may take to end after it closed its pipe (a core dump, perhaps)."""
LARGEST_MESSAGE = 64 * 2**20
LONGEST_REASON = 1000
_HEADER = struct.Struct("<cI")
_DONE, _FAILED, _SANDBOX, _NO_MEMORY, _REFUSED = b"\x00", b"\x01", b"\x02", b"\x03", b"\x04"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """What a confined process may cost, and how it is confined."""

    memory_bytes: int
    """Address space in addition to what the process starts with."""
    cpu_seconds: int
    """Processor time."""
    wall_seconds: float
    """Time on the clock."""
    silent_seconds: float
    """Time without a message after which the process counts as stalled."""
    require_all: bool = False
    """Whether the work is refused where a layer is missing."""
    layers: tuple[str, ...] = LAYERS
    """Layers that are put on where they are available. Only tests leave some out."""


class Deadline(NamedTuple):
    """How long the work may take from its beginning: processor time and time on the clock."""

    cpu_seconds: float
    wall_seconds: float


def run_confined(
    work: Callable[[Send], None],
    on_message: Callable[[bytes, bytes], Deadline | None],
    confinement: Confinement,
    keep: Sequence[int] = (),
) -> Sandbox:
    """Run `work` in a confined child and hand its messages to `on_message` as they come.

    The child can compute, and use the descriptors in `keep`; it can open nothing. Whatever it
    needs must be imported and opened before. An exception in `on_message` ends the child.

    Args:
        work: Runs in the child. What it raises becomes the reason of a `ConfinedError`.
        on_message: Runs here, with the kind and the content of each message, which may be hostile.
            It may return a deadline, which holds if it is earlier than that of `confinement`.
        confinement: What the child may cost and how it is confined.
        keep: Open file descriptors that the child needs.

    Returns:
        The layers that were active, and those that were missing.

    Raises:
        ConfinedError: The work failed, or the child crashed or exceeded its limits; the message is
            the reason. Another attempt would end in the same way.
        MachineError: The child could not be started, was killed from outside, or met a limit of
            this process that is lower than its own. The input is not to blame.
        SandboxError: A layer is missing and `require_all` is set.
    """
    try:
        reading, writing = _pipe()
    except OSError as error:
        raise MachineError(f"no pipe to a decoder process: {error.strerror}") from error
    parent = os.getpid()
    try:
        child = _fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise MachineError(f"no decoder process can be started: {error.strerror}") from error
    if child == 0:
        _be_the_child(work, writing, confinement, keep, parent)
    os.close(writing)
    listener = _Listener(child, reading, on_message, confinement)
    patience = 0.0
    try:
        is_done = listener.listen()
        patience = 0.0 if is_done else DYING_SECONDS
    finally:
        os.close(reading)
        end = _reap(child, patience)
    if not is_done:
        raise _error_of_death(end, listener.sandbox is not None, confinement)
    assert listener.sandbox is not None
    return listener.sandbox


def lower_limits(confinement: Confinement) -> list[str]:
    """Limits of this process that are lower than what its confined children would be allowed."""
    wanted = {
        "RLIMIT_CPU": (resource.RLIMIT_CPU, confinement.cpu_seconds, "s"),
        "RLIMIT_AS": (resource.RLIMIT_AS, confinement.memory_bytes, "bytes"),
    }
    found = []
    for name, (what, value, unit) in wanted.items():
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY and hard < value:
            found.append(
                f"{name} is {hard} {unit}, below the {value} {unit} that decoding may take"
            )
    return found


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are no standard streams, even if some of those are closed."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def _fork() -> int:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    with warnings.catch_warnings():
        # Python warns of forks in processes with threads. The child takes none of their locks: it
        # runs only decoding, which has been imported by then.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


class _End(NamedTuple):
    """How a child ended; `status` is None if it was killed here."""

    status: int | None
    cpu_seconds: float


def _reap(child: int, patience: float) -> _End:
    """Wait for the end of a child; kill it if it does not end by itself in time (seconds)."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return _End(status, usage.ru_utime + usage.ru_stime)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    usage = os.wait4(child, 0)[2]
    return _End(None, usage.ru_utime + usage.ru_stime)


class _Listener:
    """The parent's side while the child works."""

    def __init__(
        self,
        child: int,
        reading: int,
        on_message: Callable[[bytes, bytes], Deadline | None],
        confinement: Confinement,
    ) -> None:
        self._reading = reading
        self._on_message = on_message
        self._confinement = confinement
        self._begin = time.monotonic()
        self._deadline = Deadline(float(confinement.cpu_seconds), confinement.wall_seconds)
        self._clock = (~child << 3) | 2  # the kernel's name for the CPU time of another process
        self._buffer = bytearray()
        self.sandbox: Sandbox | None = None

    def listen(self) -> bool:
        """Take messages until the child is done (True) or closes its pipe (False)."""
        heard = time.monotonic()
        poll = select.poll()  # select() knows no descriptors above 1023
        poll.register(self._reading, select.POLLIN)
        while True:
            if not poll.poll(1000 * self._patience(heard)):
                self._check_deadline(heard)
                continue
            data = os.read(self._reading, 2**20)
            if not data:
                return False
            heard = time.monotonic()
            self._buffer += data
            if self._take_messages():
                return True
            self._check_deadline(heard)

    def _patience(self, heard: float) -> float:
        now = time.monotonic()
        silent = heard + self._confinement.silent_seconds - now
        wall = self._begin + self._deadline.wall_seconds - now
        return max(0.0, min(silent, wall, 1.0))

    def _check_deadline(self, heard: float) -> None:
        now = time.monotonic()
        deadline = self._deadline
        if now >= self._begin + deadline.wall_seconds:
            raise ConfinedError(f"decoding took more than {deadline.wall_seconds:g} s")
        if now >= heard + self._confinement.silent_seconds:
            silent = self._confinement.silent_seconds
            raise ConfinedError(f"the decoder stalled: no output for {silent:g} s")
        if deadline.cpu_seconds >= self._confinement.cpu_seconds:
            return  # the kernel watches
        with contextlib.suppress(OSError):  # it has ended
            if time.clock_gettime(self._clock) >= deadline.cpu_seconds:
                raise ConfinedError(_too_much_cpu(deadline.cpu_seconds))

    def _take_messages(self) -> bool:
        buffer = self._buffer
        while len(buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(buffer)
            if length > LARGEST_MESSAGE:
                raise ConfinedError(f"received an invalid message of {length} bytes")
            if len(buffer) < _HEADER.size + length:
                break
            content = bytes(buffer[_HEADER.size : _HEADER.size + length])
            del buffer[: _HEADER.size + length]
            if self._take(kind, content):
                return True
        return False

    def _take(self, kind: bytes, content: bytes) -> bool:
        if self.sandbox is None:  # nothing untrusted has been looked at yet
            if kind == _REFUSED:
                raise SandboxError(content.decode("utf-8", "replace"))
            active, missing = json.loads(content)
            self.sandbox = Sandbox(tuple(active), missing)
        elif kind == _DONE:
            return True
        elif kind == _NO_MEMORY:
            raise self._no_memory()
        elif kind == _FAILED:
            raise ConfinedError(plain_text(content))
        else:
            deadline = self._on_message(kind, content)
            if deadline is not None:
                self._deadline = Deadline(*map(min, zip(deadline, self._deadline, strict=True)))
        return False

    def _no_memory(self) -> FootageError:
        wanted = self._confinement.memory_bytes
        lower = [words for words in lower_limits(self._confinement) if "RLIMIT_AS" in words]
        if lower:
            return MachineError(f"decoding ran out of memory: {lower[0]}")
        return ConfinedError(f"decoding needs more than {wanted} bytes")


def plain_text(content: bytes) -> str:
    """Text from a confined process, on one line, of bounded length, without control characters."""
    text = content[: 4 * LONGEST_REASON].decode("utf-8", "replace")
    words = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return words[:LONGEST_REASON] or "decoding failed without a reason"


def _too_much_cpu(seconds: float) -> str:
    return f"decoding took more than {seconds:g} s of CPU time"


def _error_of_death(end: _End, has_begun: bool, confinement: Confinement) -> FootageError:
    """What the death of a child means that was not done."""
    if end.status is None:
        return ConfinedError("the decoder process closed its pipe and did not end")
    code = os.waitstatus_to_exitcode(end.status)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    given = confinement.cpu_seconds if hard == resource.RLIM_INFINITY else hard - 1
    if code == -signal.SIGXCPU or end.cpu_seconds >= min(given, confinement.cpu_seconds):
        if given < confinement.cpu_seconds:
            return MachineError(f"decoding ran out of CPU time: {lower_limits(confinement)[0]}")
        return ConfinedError(_too_much_cpu(float(confinement.cpu_seconds)))
    if code == -signal.SIGKILL:
        return MachineError(
            "the decoder was killed from outside (SIGKILL; the machine may be out of memory)"
        )
    words = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    if not has_begun:
        limits = "; ".join(lower_limits(confinement))
        return MachineError(f"the decoder process could not start ({words}) {limits}".rstrip())
    if code >= 0:
        return ConfinedError(f"the decoder process ended early ({words})")
    return ConfinedError(f"the decoder crashed ({words})")


def _be_the_child(
    work: Callable[[Send], None],
    writing: int,
    confinement: Confinement,
    keep: Sequence[int],
    parent: int,
) -> NoReturn:
    """Everything the child does; it never returns into the parent's code."""
    code = 1
    try:
        gc.disable()  # the parent's objects are not ours to finalise
        die_with(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        drop_descriptors({writing, *keep})
        wipe_environment()

        def send(kind: bytes, content: bytes) -> None:
            view = memoryview(_HEADER.pack(kind, len(content)) + content)
            while view:
                view = view[os.write(writing, view) :]

        _work_confined(work, send, confinement)
        code = 0
    finally:
        os._exit(code)


def _work_confined(work: Callable[[Send], None], send: Send, confinement: Confinement) -> None:
    sandbox = confine(confinement.memory_bytes, confinement.cpu_seconds, confinement.layers)
    if confinement.require_all and sandbox.missing:
        send(_REFUSED, f"sandbox layers are missing: {sandbox.lines()[1]}".encode())
        return
    send(_SANDBOX, json.dumps(sandbox).encode())
    try:
        work(send)
        send(_DONE, b"")
    except MemoryError:
        send(_NO_MEMORY, b"")
    except FootageError as error:
        send(_FAILED, error.message.encode("utf-8", "backslashreplace"))
    except Exception as error:  # the boundary of one input: anything becomes its reason
        send(_FAILED, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
