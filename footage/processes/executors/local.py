"""The default executor: a pool of processes on this machine, which survives the death of any.

Workers are fresh interpreters, not forks of the caller, so it does not matter what threads or
libraries the caller has, and a script needs no `if __name__ == "__main__"`. They die with the
caller. A task whose worker dies is tried again, and given up after `ATTEMPTS`.
"""

import contextlib
import ctypes
import itertools
import os
import pickle
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

from footage.errors import MachineError
from footage.processes import interpreters
from footage.processes.executors.base import ATTEMPTS, Outcome

DYING_SECONDS = 5.0
"""Seconds that a worker may take to exit after it closed its connection."""
_PR_SET_PDEATHSIG = 1


class LocalProcesses:
    """A pool of worker processes on this machine, one task at a time each.

    Args:
        workers: Number of processes.
        environment: Their environment; None inherits that of the caller, with its credentials.
    """

    def __init__(self, workers: int, environment: Mapping[str, str] | None = None) -> None:
        self._workers = workers
        self._environment = environment

    def run(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Outcome]:
        """Yield outcomes when they are ready; an exception of the function is raised here.

        As many tasks as workers are taken in advance.
        """
        left = ((task, 1) for task in tasks)
        waiting: deque[tuple[Any, int]] = deque()
        pool: list[_Worker] = []
        try:
            while True:
                waiting += itertools.islice(left, max(0, self._workers - len(waiting)))
                if not waiting and all(worker.task is None for worker in pool):
                    return
                self._fill(pool, len(waiting), function)
                for worker in pool:
                    if waiting and worker.task is None:
                        worker.give(*waiting.popleft())
                for worker in _with_news(pool):
                    task, attempt = worker.task, worker.attempt
                    outcome = worker.take()
                    if outcome is not None:
                        yield outcome
                        continue
                    pool.remove(worker)
                    death = worker.death
                    worker.end()
                    if attempt < ATTEMPTS:
                        waiting.appendleft((task, attempt + 1))
                    else:
                        failure = f"its worker process died {ATTEMPTS} times ({death})"
                        yield Outcome(task, None, failure)
        finally:
            for worker in pool:
                worker.end()

    def _fill(self, pool: list["_Worker"], waiting: int, function: Callable[[Any], Any]) -> None:
        """Start workers; fewer than requested suffice if this machine allows no more."""
        idle = sum(worker.task is None for worker in pool)
        while len(pool) < self._workers and idle < waiting:
            try:
                pool.append(_Worker(function, self._environment))
            except OSError as error:
                if pool:
                    return
                raise MachineError(
                    f"cannot start a worker process: {error.strerror}",
                    "raise the limit that was reached (see `ulimit -a`)",
                ) from error
            idle += 1


class _Worker:
    """One worker process and the task it has."""

    def __init__(
        self, function: Callable[[Any], Any], environment: Mapping[str, str] | None
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                interpreters.command(_PROGRAM, str(theirs.fileno()), str(os.getpid())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        self.connection = Connection(ours.detach())
        self.task: Any = None
        self.attempt = 0
        self._give = [function]

    def give(self, task: Any, attempt: int) -> None:  # noqa: ANN401
        """Start a task."""
        self.task, self.attempt = task, attempt
        try:
            for item in self._give:
                self.connection.send(item)
            self.connection.send(task)
        except OSError:
            pass  # it is dead, which its connection reports
        self._give = []

    def take(self) -> Outcome | None:
        """Receive an outcome, or None if the worker has died.

        Raises:
            Exception: The exception that the function raised.
        """
        try:
            is_error, result = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None
        if is_error:
            raise result
        outcome = Outcome(self.task, result, "")
        self.task = None
        return outcome

    def end(self) -> None:
        """Kill the process if it is still alive, and release it."""
        self.connection.close()
        self._process.kill()
        self._process.wait()

    @property
    def death(self) -> str:
        """Describe how a process that closed its connection ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(DYING_SECONDS)
            return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return "it closed its connection"


def _with_news(pool: list[_Worker]) -> list[_Worker]:
    busy = {worker.connection: worker for worker in pool if worker.task is not None}
    return [busy[one] for one in wait(list(busy)) if isinstance(one, Connection)]


_PROGRAM = (
    "import sys; from footage.processes.executors.local import work; work(*map(int, sys.argv[1:]))"
)


def work(descriptor: int, parent: int) -> None:
    """Run a worker process: take tasks from a connection until it closes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides what an interrupt means
    connection = Connection(descriptor)
    try:
        function = connection.recv()
        while True:
            task = connection.recv()
            try:
                answer = (False, function(task))
            except Exception as error:
                answer = (True, error)
            connection.send(answer)
    except EOFError:
        return
