"""The messages between a confined process and its parent, and how long the parent listens.

A message is its kind (one byte), its length (four bytes) and its content. A process reads untrusted
input only after it has reported its sandbox; later messages are not trusted.
"""

import contextlib
import dataclasses
import json
import os
import resource
import select
import signal
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from footage.errors import ConfinedError, FootageError, MachineError, SandboxError
from footage.sandbox.layers import LAYERS, Sandbox
from footage.sandbox.policy import HINT
from footage.sandbox.shortage import lower_limits

Send = Callable[[bytes, bytes], None]
"""Sends a message to the parent: one byte for its kind, then its content."""

LARGEST_MESSAGE = 64 * 2**20
LONGEST_REASON = 1000
SPARE_BYTES = 32 * 2**20
"""Work that failed with less free memory than this counts as out of memory."""
DYING_SECONDS = 5.0
"""Time that a process may take to exit after it closed its side (such as for a core dump)."""
LATE_SECONDS = 0.5
"""A parent that takes this much longer than it waited had been stopped."""
HEADER = struct.Struct("<cI")
DONE, FAILED, SANDBOX, NO_MEMORY, REFUSED = b"\x00", b"\x01", b"\x02", b"\x03", b"\x04"
"""Message kinds that are used here; all others belong to the work."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Confinement:
    """Resource limits of a confined process, and its sandbox layers."""

    memory_bytes: int
    """Address space in addition to what the process starts with."""
    cpu_seconds: int
    """Processor time."""
    wall_seconds: float
    """Time on the clock."""
    silent_seconds: float
    """Time without a message after which the process counts as stalled."""
    require_all: bool = False
    """Whether the work is refused when a layer is missing."""
    layers: tuple[str, ...] = LAYERS
    """Layers that are applied if available. Only tests omit some."""


class WorkError(ConfinedError):
    """The work reported that it failed: the process is still in step with its parent."""


class Deadline(NamedTuple):
    """Maximum CPU time and elapsed time of the work, in seconds."""

    cpu_seconds: float
    wall_seconds: float


def sender(descriptor: int) -> Send:
    """Make a function that writes messages to a descriptor."""

    def send(kind: bytes, content: bytes) -> None:
        for data in (HEADER.pack(kind, len(content)), content):
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

    return send


def do_and_send(work: Callable[[Send], None], send: Send) -> None:
    """Do the work and send the outcome."""
    try:
        work(send)
        send(DONE, b"")
    except MemoryError:
        send(NO_MEMORY, b"")
    except FootageError as error:
        if _is_short_of_memory():  # decoders report various errors when memory runs out
            send(NO_MEMORY, b"")
        else:
            send(FAILED, error.message.encode("utf-8", "backslashreplace"))
    except Exception as error:  # boundary of one input: any error becomes its reason
        send(FAILED, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))


def _is_short_of_memory() -> bool:
    try:
        bytearray(SPARE_BYTES)
    except MemoryError:
        return True
    return False


def cpu_seconds_of(process: int) -> float:
    """Return the CPU time used by another process; 0 if it has ended."""
    with contextlib.suppress(OSError):
        return time.clock_gettime((~process << 3) | 2)  # the id of its CPU clock
    return 0.0


class Listener:
    """The parent's side while the child works.

    Time in which the parent itself was stopped (Ctrl-Z, a scheduler) does not count.
    """

    def __init__(
        self,
        child: int,
        reading: int,
        on_message: Callable[[bytes, bytes], Deadline | None],
        confinement: Confinement,
        *,
        sandbox: Sandbox | None = None,
        largest_message: int = LARGEST_MESSAGE,
    ) -> None:
        self._reading = reading
        self._on_message = on_message
        self._confinement = confinement
        self._begin = time.monotonic()
        self._deadline = Deadline(float(confinement.cpu_seconds), confinement.wall_seconds)
        self._child = child
        self.cpu_begin = cpu_seconds_of(child)
        """CPU time that the process had used before, in seconds."""
        self._buffer = bytearray()
        self._largest_message = largest_message
        self.sandbox = sandbox

    def listen(self) -> bool:
        """Take messages until the child is done (True) or closes its pipe (False)."""
        now = heard = time.monotonic()
        poll = select.poll()  # select() does not support descriptors above 1023
        poll.register(self._reading, select.POLLIN)
        while True:
            patience, before = self._patience(heard), now
            is_readable = poll.poll(1000 * patience)
            if is_readable:
                data = os.read(self._reading, 2**20)
                if not data:
                    return False
                self._buffer += data
                if self._take_messages():
                    return True
            now = time.monotonic()
            stopped = max(0.0, now - before - patience - LATE_SECONDS)
            self._begin += stopped
            heard = now if is_readable else heard + stopped
            self._check_deadline(heard)

    @property
    def is_ahead(self) -> bool:
        """Return whether the process sent anything after it was done."""
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        return bool(self._buffer or poll.poll(0))

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
        if cpu_seconds_of(self._child) - self.cpu_begin >= deadline.cpu_seconds:
            raise ConfinedError(_too_much_cpu(deadline.cpu_seconds))

    def _take_messages(self) -> bool:
        buffer = self._buffer
        while len(buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(buffer)
            if length > self._largest_message:
                raise ConfinedError(
                    f"received an invalid message from the decoder process: {length} bytes"
                )
            if len(buffer) < HEADER.size + length:
                break
            content = bytes(buffer[HEADER.size : HEADER.size + length])
            del buffer[: HEADER.size + length]
            if self._take(kind, content):
                return True
        return False

    def _take(self, kind: bytes, content: bytes) -> bool:
        if self.sandbox is None:  # no untrusted input has been read yet
            if kind == REFUSED:
                raise SandboxError(content.decode("utf-8", "replace"), HINT)
            active, missing, version = json.loads(content)
            self.sandbox = Sandbox(tuple(active), missing, version)
        elif kind == DONE:
            return True
        elif kind == NO_MEMORY:
            raise self._no_memory()
        elif kind == FAILED:
            raise WorkError(plain_text(content))
        else:
            deadline = self._on_message(kind, content)
            if deadline is not None:
                self._deadline = Deadline(*map(min, zip(deadline, self._deadline, strict=True)))
        return False

    def _no_memory(self) -> FootageError:
        confinement = self._confinement
        lower = lower_limits(confinement.cpu_seconds, confinement.memory_bytes)
        lower.pop("RLIMIT_CPU", None)
        if lower:
            return MachineError(f"decoding ran out of memory: {'; '.join(lower.values())}")
        return ConfinedError(f"decoding needs more than {confinement.memory_bytes} bytes")


def plain_text(content: bytes) -> str:
    """Text from a confined process, on one line, of bounded length, without control characters."""
    text = content[: 4 * LONGEST_REASON].decode("utf-8", "replace")
    words = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return words[:LONGEST_REASON] or "decoding failed without giving a reason"


def _too_much_cpu(seconds: float) -> str:
    return f"decoding took more than {round(seconds, 1):g} s of CPU time"


def error_of_death(
    code: int | None, cpu_seconds: float, has_begun: bool, confinement: Confinement
) -> FootageError:
    """Return the error for a process that ended before it was done.

    Args:
        code: Its exit code, negative for a signal; None if it was killed here.
        cpu_seconds: CPU time that it used.
        has_begun: Whether it had reported its sandbox, so that the input may be at fault.
        confinement: Its resource limits.
    """
    if code is None:
        return ConfinedError("the decoder process closed its pipe but did not exit")
    lower = lower_limits(confinement.cpu_seconds, confinement.memory_bytes)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    given = hard - 1 if "RLIMIT_CPU" in lower else confinement.cpu_seconds
    if code == -signal.SIGXCPU or cpu_seconds >= given:
        if "RLIMIT_CPU" in lower:
            return MachineError(f"decoding ran out of CPU time: {lower['RLIMIT_CPU']}")
        return ConfinedError(_too_much_cpu(float(confinement.cpu_seconds)))
    if code == -signal.SIGKILL:
        return MachineError(
            "the decoder was killed from outside (SIGKILL; the machine may be out of memory)"
        )
    words = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    if not has_begun:
        reason = "; ".join([words, *lower.values()])
        return MachineError(f"the decoder process could not start: {reason}")
    if code >= 0:
        return ConfinedError(f"the decoder process exited early ({words})")
    return ConfinedError(f"the decoder crashed ({words})")
