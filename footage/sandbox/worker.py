"""A confined process for many untrusted inputs, one after another, replaced after a fault.

    with ConfinedWorker("footage.images.decoder_process:answer", confinement) as worker:
        with path.open("rb") as file:
            pixels = worker.call(b"request", [file.fileno()])

The process is a fresh interpreter with a minimal environment, not a fork, so the threads, libraries
and secrets of the caller do not matter. It imports the function and confines itself. From then on
it can only compute and use the descriptors that come with a request. It can open nothing, so
everything that the function needs must be imported with it. Starting one takes as long as the
import.

An input that takes over the process could falsify the answers for later inputs, so the process is
also replaced after a number of calls.
"""

import dataclasses
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from types import TracebackType

from footage.errors import ConfinedError, FootageError, MachineError
from footage.processes import interpreters
from footage.sandbox import policy
from footage.sandbox.child import UNLIMITED_SECONDS
from footage.sandbox.layers import Sandbox, confine, die_with, drop_descriptors, wipe_environment
from footage.sandbox.messages import (
    DONE,
    DYING_SECONDS,
    REFUSED,
    SANDBOX,
    Confinement,
    Listener,
    Send,
    WorkError,
    do_and_send,
    error_of_death,
    sender,
)

Function = Callable[[bytes, list[int]], bytes]
"""Handles one input: takes a request and open descriptors, returns an answer."""

MOST_FILES = 8
ANSWER = b"A"
LARGEST_ANSWER = 2**30
START_SECONDS = 300.0
"""Time limit for starting a process: a busy machine with a slow disk needs minutes."""
_REQUEST = struct.Struct("<Q")
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)  # only a process with one thread can be confined
_PROGRAM = "from footage.sandbox.worker import serve; serve(*sys.argv[1:])"


class ConfinedWorker:
    """Calls a function in a confined process.

    Use it only in the thread that created it: the process dies with that thread.

    Args:
        function: `package.module:name` of a `Function`.
        confinement: Limits of the process: memory for its lifetime, time per call.
        calls_per_process: Calls after which the process is replaced.
    """

    def __init__(
        self, function: str, confinement: Confinement, calls_per_process: int = 500
    ) -> None:
        self._function = function
        self._calls_per_process = calls_per_process
        self._confinement = confinement
        self._process: _Process | None = None
        self.sandbox: Sandbox | None = None
        """The layers of the newest process; None before the first call."""

    def call(
        self, request: bytes, files: Sequence[int] = (), largest_answer: int = LARGEST_ANSWER
    ) -> bytes:
        """Return the function's answer for one input.

        Args:
            request: Bytes for the function.
            largest_answer: A larger answer, in bytes, is refused before it is read.
            files: At most 8 open descriptors, which the function gets in the same order. It shares
                their positions with the caller.

        Raises:
            ConfinedError: The function failed, crashed or exceeded its limits on this input.
            MachineError: The process could not be started or was killed from outside.
            SandboxError: A layer is missing, and the confinement or the policy requires all.
        """
        if self._process is not None and not self._process.is_alive:
            self.close()
        process = self._process or _Process(self._function, self._confinement)
        self._process = None  # if anything interrupts the call, the process is not used again
        try:
            assert process.sandbox is not None  # it reports that before anything else
            policy.check(process.sandbox)
            answer = process.call(request, files, largest_answer)
        except WorkError:
            self._keep(process)
            raise
        except BaseException:
            process.end()
            raise
        self._keep(process)
        return answer

    def _keep(self, process: "_Process") -> None:
        self.sandbox = process.sandbox
        if process.num_calls < self._calls_per_process:
            self._process = process
        else:
            process.end()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def __enter__(self) -> "ConfinedWorker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Process:
    """One process of a worker."""

    def __init__(self, function: str, confinement: Confinement) -> None:
        self._confinement = confinement
        self.num_calls = 0
        self.sandbox: Sandbox | None = None
        start = dataclasses.replace(
            confinement, wall_seconds=START_SECONDS, silent_seconds=START_SECONDS
        )
        settings = [confinement.memory_bytes, confinement.require_all, confinement.layers]
        try:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    interpreters.command(
                        _PROGRAM,
                        function,
                        json.dumps([theirs.fileno(), os.getpid(), *settings]),
                    ),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=interpreters.minimal_environment() | _ONE_THREAD,
                    process_group=0,  # the caller decides what an interrupt means
                )
        except OSError as error:
            raise MachineError(f"cannot start a decoder process: {error.strerror}") from error
        timeout = struct.pack("ll", round(confinement.silent_seconds) + 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        try:
            self._listen(start, lambda _kind, _content: None)
        except BaseException:
            self.end()
            raise

    @property
    def is_alive(self) -> bool:
        """Return whether the process can still be called."""
        return self._process.poll() is None

    def call(self, request: bytes, files: Sequence[int], largest_answer: int) -> bytes:
        """Call the function in the process and return its answer."""
        answers: list[bytes] = []
        self.num_calls += 1

        def take(kind: bytes, content: bytes) -> None:
            if kind != ANSWER or answers:
                raise ConfinedError("received an invalid message from the decoder process")
            answers.append(content)

        try:
            header = _REQUEST.pack(len(request))
            if files:
                socket.send_fds(self._socket, [header], files)
            else:
                self._socket.sendall(header)
            self._socket.sendall(request)
        except BlockingIOError:
            raise ConfinedError("the decoder stalled: it read no input") from None
        except OSError as error:
            raise self._error_of_death() from error
        self._listen(self._confinement, take, largest_answer)
        if not answers:
            raise ConfinedError("received no answer from the decoder process")
        return answers[0]

    def _listen(
        self,
        confinement: Confinement,
        on_message: Callable[[bytes, bytes], None],
        largest_message: int = 2**16,
    ) -> None:
        listener = Listener(
            self._process.pid,
            self._socket.fileno(),
            on_message,
            confinement,
            sandbox=self.sandbox,
            largest_message=max(largest_message, 2**16),  # error reasons are messages, too
        )
        is_done = listener.listen()
        self.sandbox = listener.sandbox
        if not is_done:
            raise self._error_of_death()

    def _error_of_death(self) -> FootageError:
        try:
            code = self._process.wait(DYING_SECONDS)
        except subprocess.TimeoutExpired:
            return ConfinedError("the decoder process closed its connection but did not exit")
        if code == -signal.SIGXCPU:
            return MachineError("the decoder process used up RLIMIT_CPU")
        return error_of_death(code, 0.0, self.sandbox is not None, self._confinement)

    def end(self) -> None:
        """Kill the process if it is still alive."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


# --- the other side ----------------------------------------------------------------------------


def serve(name: str, settings: str) -> None:
    """Import the function, confine this process, and answer requests."""
    descriptor, parent, memory_bytes, require_all, layers = json.loads(settings)
    die_with(parent)
    module, attribute = name.split(":")
    function: Function = getattr(importlib.import_module(module), attribute)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError(f"importing {module} starts threads, so it cannot be confined")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)
    drop_descriptors([descriptor])
    wipe_environment()
    sandbox = confine(memory_bytes, UNLIMITED_SECONDS, layers)
    send = sender(descriptor)
    if require_all and sandbox.missing:
        send(REFUSED, sandbox.refusal.encode())
        return
    send(SANDBOX, json.dumps(sandbox).encode())
    send(DONE, b"")
    while _answer_one(connection, function, send):
        pass


def _answer_one(connection: socket.socket, function: Function, send: Send) -> bool:
    """Answer the next request; False once the caller has closed the connection."""
    header, files, _, _ = socket.recv_fds(connection, _REQUEST.size, MOST_FILES)
    if not header:
        return False
    try:
        header += _read(connection.fileno(), _REQUEST.size - len(header))
        request = _read(connection.fileno(), *_REQUEST.unpack(header))
        do_and_send(lambda send: send(ANSWER, function(request, files)), send)
    finally:
        for file in files:
            os.close(file)
    return True


def _read(descriptor: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = os.read(descriptor, min(count - len(data), 2**20))
        if not more:
            raise EOFError("the caller closed the connection")
        data += more
    return bytes(data)
