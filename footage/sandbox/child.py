"""Run work on one untrusted input in a confined child process that sends messages to its parent.

The child is forked, drops its privileges, works, and reports through one pipe. A crash, a hang, or
a memory or CPU bomb affects only this input and is reported with a reason.

    parent                                   child
    run_confined ---- fork ----------------> confine, work(send)
       on_message <--- kind, length, bytes ---- send(kind, bytes)
       reads, watches the clock, kills          exits

`SharedChild` works on several inputs in one child, which receives their descriptors one by one.

Nothing that a child sends is unpickled. A child inherits the memory of its parent: start it from a
process that holds no secrets.
"""

import contextlib
import fcntl
import functools
import gc
import json
import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from footage.errors import ConfinedError, MachineError
from footage.sandbox.layers import Sandbox, confine, die_with, drop_descriptors, wipe_environment
from footage.sandbox.messages import (
    DYING_SECONDS,
    REFUSED,
    SANDBOX,
    Confinement,
    Deadline,
    Listener,
    Send,
    do_and_send,
    error_of_death,
    sender,
)
from footage.sandbox.system_calls import keep_freed_memory

UNLIMITED_SECONDS = 2**30
"""The total CPU time of a shared child is unlimited; its parent limits each input."""


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
        confinement: Resource limits of the child and its sandbox layers.
        keep: Open file descriptors that the child needs.

    Returns:
        The layers that were active, and those that were missing.

    Raises:
        ConfinedError: The work failed, or the child crashed or exceeded its limits; the message is
            the reason. Another attempt would end the same way.
        MachineError: The child could not be started, was killed from outside, or met a limit of
            this process that is lower than its own. The input is not to blame.
        SandboxError: A layer is missing and `require_all` is set.
    """
    do = functools.partial(do_and_send, work)
    child, reading = _start(do, confinement, confinement.cpu_seconds, keep)
    listener = Listener(child, reading, on_message, confinement)
    patience = 0.0
    try:
        is_done = listener.listen()
        patience = 0.0 if is_done else DYING_SECONDS
    finally:
        os.close(reading)
        code, cpu_seconds = _reap(child, patience)
    if not is_done:
        raise error_of_death(code, cpu_seconds, listener.sandbox is not None, confinement)
    assert listener.sandbox is not None
    return listener.sandbox


class SharedChild:
    """A confined child that works on several inputs, one after another.

    End it after any fault, and use it only in the thread that created it. The limits of time and
    silence hold per input, that of memory for the child. An input that fails in a child that has
    served others should therefore be retried in a new one. An input that compromises the child can
    read later inputs and falsify their results.

    Args:
        work: Runs in the child, for each input, with its descriptor.
        confinement: Limits of memory, and the layers.
        keep: Open file descriptors that the child needs for all inputs.

    Raises:
        MachineError: The child could not be started.
    """

    def __init__(
        self,
        work: Callable[[int, Send], None],
        confinement: Confinement,
        keep: Sequence[int] = (),
    ) -> None:
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise MachineError(f"cannot start a decoder process: {error.strerror}") from error
        try:
            with theirs:
                serve = functools.partial(_serve, theirs, work)
                kept = (theirs.fileno(), *keep)
                self._child, self._reading = _start(serve, confinement, UNLIMITED_SECONDS, kept)
        except BaseException:
            ours.close()
            raise
        self._requests = ours
        self._sandbox: Sandbox | None = None
        self.num_inputs = 0
        """Number of inputs so far, including one that is being worked on."""

    def run(
        self,
        file: int,
        on_message: Callable[[bytes, bytes], Deadline | None],
        confinement: Confinement,
    ) -> Sandbox:
        """Work on an input and hand the messages to `on_message`; raises what `run_confined` does.

        Args:
            file: Its descriptor.
            on_message: As in `run_confined`.
            confinement: Limits of time for this input.
        """
        self.num_inputs += 1
        listener = Listener(
            self._child, self._reading, on_message, confinement, sandbox=self._sandbox
        )
        with contextlib.suppress(OSError):  # the child has ended, which its pipe reports
            socket.send_fds(self._requests, [b"\0"], [file])
        if listener.listen():
            assert listener.sandbox is not None
            self._sandbox = listener.sandbox
            if listener.is_ahead:
                raise ConfinedError(
                    "received an invalid message from the decoder process: data after its end"
                )
            return self._sandbox
        code, cpu_seconds = self._end(DYING_SECONDS)
        used = cpu_seconds - listener.cpu_begin
        raise error_of_death(code, used, listener.sandbox is not None, confinement)

    def end(self) -> None:
        """Kill the child, if it is still alive."""
        if self._reading >= 0:
            self._end(0.0)

    def _end(self, patience: float) -> tuple[int | None, float]:
        self._requests.close()
        os.close(self._reading)
        self._reading = -1
        return _reap(self._child, patience)


def _serve(requests: socket.socket, work: Callable[[int, Send], None], send: Send) -> None:
    """Work on inputs until the parent closes its end."""
    while True:
        request, files, _, _ = socket.recv_fds(requests, 1, 1)
        if not request:
            return
        do_and_send(functools.partial(work, files[0]), send)
        os.close(files[0])
        gc.collect()  # pictures in reference cycles


def _start(
    do: Callable[[Send], None], confinement: Confinement, cpu_seconds: int, keep: Iterable[int]
) -> tuple[int, int]:
    """Fork a child that confines itself and calls `do`; return its id and the end of its pipe."""
    try:
        reading, writing = _pipe()
    except OSError as error:
        raise MachineError(
            f"cannot create a pipe to a decoder process: {error.strerror}"
        ) from error
    parent = os.getpid()
    try:
        child = _fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise MachineError(f"cannot start a decoder process: {error.strerror}") from error
    if child == 0:
        _be_the_child(do, writing, confinement, cpu_seconds, {writing, *keep}, parent)
    os.close(writing)
    return child, reading


def _pipe() -> tuple[int, int]:
    """Make a pipe whose ends are not standard streams, even if some of those are closed."""
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


def _reap(child: int, patience: float) -> tuple[int | None, float]:
    """Wait for a child's end, and kill it if it does not end by itself in time (seconds).

    Returns:
        Its exit code, None if it was killed here, and the CPU time that it used.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    usage = os.wait4(child, 0)[2]
    return None, usage.ru_utime + usage.ru_stime


def _be_the_child(
    do: Callable[[Send], None],
    writing: int,
    confinement: Confinement,
    cpu_seconds: int,
    keep: Iterable[int],
    parent: int,
) -> NoReturn:
    """Do the work of the child; never returns into the parent's code."""
    code = 1
    try:
        gc.disable()  # the parent's objects are not ours to finalise
        gc.freeze()  # nor to scan, when the work collects its own
        die_with(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        drop_descriptors(keep)
        wipe_environment()
        keep_freed_memory()
        _do_confined(do, sender(writing), confinement, cpu_seconds)
        code = 0
    finally:
        os._exit(code)


def _do_confined(
    do: Callable[[Send], None], send: Send, confinement: Confinement, cpu_seconds: int
) -> None:
    sandbox = confine(confinement.memory_bytes, cpu_seconds, confinement.layers)
    if confinement.require_all and sandbox.missing:
        send(REFUSED, sandbox.refusal.encode())
        return
    send(SANDBOX, json.dumps(sandbox).encode())
    do(send)
