"""Worker processes that make batches: fresh interpreters that end when the trainer does.

    trainer                                      worker
    Workers.make ---- step -------------------->  BatchMaker.make(step)
        arrays <----- shapes, open memory file --    written into a memory file

Workers are not forked, so the threads and libraries of the trainer do not matter, and a script
needs no `if __name__ == "__main__"`. They do not import torch, and import nothing from the working
directory or the folder of the script. A batch is sent as an anonymous memory file (memfd), so the
size of /dev/shm does not matter, and a kill leaves no named file to clean up.
"""

import contextlib
import mmap
import os
import queue
import signal
import socket
import subprocess
import threading
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle

import cv2
import numpy as np

from footage.data.batches import BatchMaker, Pixels
from footage.errors import FootageError, StoreError
from footage.processes import interpreters
from footage.processes.signals import STOP_SIGNALS

BATCHES_AHEAD = 2
"""Batches that each worker prepares in advance."""
_PROGRAM = "import sys; from footage.training.loader_workers import work; work(int(sys.argv[1]))"


class Workers:
    """A fixed number of worker processes; `close` ends them.

    Args:
        maker: Makes the batch of a step.
        count: Number of processes; 0 makes the batches in this one.
    """

    def __init__(self, maker: BatchMaker, count: int) -> None:
        self._maker = maker
        self._workers: list[_Worker] = []
        try:
            for _ in range(count):
                self._workers.append(_Worker())
            for worker in self._workers:
                worker.send(maker)
        except BaseException:
            self.close()
            raise

    def make(self, steps: Sequence[int]) -> Iterator[Pixels]:
        """Yield the pixels of some steps, in order.

        Raises:
            FootageError: A frame or an image cannot be read, or a worker died.
        """
        if not self._workers:
            for place, step in enumerate(steps):
                for following in steps[place + (place > 0) : place + 2]:
                    self._maker.prefetch(following)
                yield self._maker.make(step)
            return
        count = len(self._workers)
        ahead = count * BATCHES_AHEAD
        for place, step in enumerate(steps[:ahead]):
            self._workers[place % count].send(step)
        for place, step in enumerate(steps):
            worker = self._workers[place % count]
            pixels = worker.receive(step)
            for following in steps[place + ahead : place + ahead + 1]:
                worker.send(following)
            yield pixels

    def close(self) -> None:
        """End the processes immediately."""
        while self._workers:
            self._workers.pop().end()


class _Worker:
    """A worker process, as the trainer sees it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs, _blocked_signals():
            self.process = subprocess.Popen(
                interpreters.command(_PROGRAM, str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._connection = Connection(ours.detach())

    def send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # the process is dead: `receive` reports it
            self._connection.send(message)

    def receive(self, step: int) -> Pixels:
        try:
            answer = self._connection.recv()
            if isinstance(answer, FootageError):
                raise answer
            if isinstance(answer, str):
                raise RuntimeError(f"a loading worker failed:\n{answer}")
            return _opened(answer, recv_handle(self._connection))
        except (EOFError, OSError) as error:
            raise FootageError(
                f"a loading worker died before step {step}: {self._cause_of_death()}",
                "usually out of memory: use fewer --compute.workers or smaller batches",
            ) from error

    def _cause_of_death(self) -> str:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._connection.close()


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Start processes that never receive the signals that ask the trainer to stop.

    Terminals and schedulers signal the whole process group, but the trainer still needs its last
    batches. A new process inherits the blocked signals, from its first instruction on.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_Shapes = list[tuple[int, ...] | None]
"""Shapes of the arrays of a `Pixels`; None for absent arrays."""


def _opened(shapes: _Shapes, descriptor: int) -> Pixels:
    """Map a memory file to arrays; the memory is freed with the last of them."""
    sizes = [0 if shape is None else int(np.prod(shape)) for shape in shapes]
    try:
        memory = mmap.mmap(descriptor, max(sum(sizes), 1))
    finally:
        os.close(descriptor)
    arrays, start = [], 0
    for shape, size in zip(shapes, sizes, strict=True):
        flat = np.frombuffer(memory, np.uint8, size, start)
        arrays.append(None if shape is None else flat.reshape(shape))
        start += size
    return Pixels(*arrays)


# --- in the worker ------------------------------------------------------------------------------


def work(descriptor: int) -> None:
    """Run a worker's main loop: make the requested batches until the trainer ends."""
    connection = Connection(descriptor)
    steps: queue.SimpleQueue[int] = queue.SimpleQueue()
    maker: BatchMaker = connection.recv()
    threading.Thread(target=_listen, args=(connection, maker, steps), daemon=True).start()
    cv2.setNumThreads(0)  # workers already fill the cores
    while True:
        step = steps.get()
        try:
            pixels = maker.make(step)
            shared = _shared(pixels)
        except FootageError as error:
            kind = StoreError if isinstance(error, StoreError) else FootageError
            connection.send(kind(error.message, error.hint))
        except MemoryError:
            hint = "use fewer --compute.workers or smaller batches"
            connection.send(FootageError("there is not enough memory for a batch", hint))
        except Exception:
            connection.send(traceback.format_exc())
        else:
            connection.send([None if part is None else part.shape for part in pixels])
            send_handle(connection, shared, 0)
            os.close(shared)


def _listen(connection: Connection, maker: BatchMaker, steps: "queue.SimpleQueue[int]") -> None:
    """Receive requests, and end the process immediately when the trainer ends."""
    while True:
        try:
            step = connection.recv()
            with contextlib.suppress(Exception):  # making the batch raises the error again
                maker.prefetch(step)
            steps.put(step)
        except (EOFError, OSError):
            os._exit(1)


def _shared(pixels: Pixels) -> int:
    """Create a memory file with the bytes of all arrays.

    Writing reports a lack of memory as an error, whereas access to mapped memory raises SIGBUS.
    """
    descriptor = os.memfd_create("footage-batch")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            for part in pixels:
                if part is not None:
                    file.write(np.ascontiguousarray(part).reshape(-1).data)
    except OSError as error:
        os.close(descriptor)
        raise MemoryError from error
    return descriptor
