"""The executor `ray`: tasks of a Ray cluster, with the failure handling of footage.

Ray's own retries are off, because they do not distinguish why a task failed:

    its node died, its result was lost, it was preempted    repeat it without counting
    its worker crashed or ran out of memory                 count; give up after `ATTEMPTS`
    the function raised an exception                        cancel all tasks and raise it
    the driver is interrupted or terminated                 cancel all tasks; exit code 130 or 143

Every node needs the same version of footage and the same paths, as on a shared file system.
"""

import contextlib
import heapq
import importlib.metadata
import itertools
import logging
import os
import pickle
import signal
import socket
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from footage.errors import ConfigError, MachineError
from footage.processes.executors.base import ATTEMPTS, Outcome
from footage.processes.executors.cluster_worker import KEPT, perform, pickled_job

OLDEST: Final = (2, 60)
"""Oldest version of Ray that is supported."""
MAX_CALLS: Final = 64
"""Number of tasks after which Ray replaces a worker process."""
FEWEST_IN_FLIGHT: Final = 32
"""At least this many tasks are submitted at a time, so that an autoscaler sees the demand."""
FIRST_PAUSE: Final = 1.0
"""Seconds before a task is submitted again after its node died; doubles with every loss."""
LONGEST_PAUSE: Final = 60.0
OBJECT_STORE_BYTES: Final = 2**27
"""Shared memory of a local cluster; only functions, tasks and results pass through it."""
CONNECT_SECONDS: Final = 20.0
"""Time for a connection to the address of a cluster."""
SILENT_SECONDS: Final = 60.0
"""Time without any CPU in the cluster after which a warning is logged."""

log = logging.getLogger(__name__)


class RayTasks:
    """Tasks of a Ray cluster, spread over its nodes; each takes one CPU.

    Connects when it first runs, and stays connected until it is deleted. A program that called
    `ray.init` itself keeps its connection.

    Args:
        workers: Number of CPUs of a cluster that is started for this executor.
        environment: Environment of the workers. None inherits all variables of the caller if the
            cluster is started here, and of its nodes otherwise: the caller's credentials are never
            sent to a cluster, where its dashboard would show them.
        address: Address of a cluster; empty uses RAY_ADDRESS or else starts a local one.
        uses_gpu: Whether a task takes a GPU, too, if the cluster has any.

    Raises:
        ConfigError: Ray is not installed or too old, or there is no cluster at the address.
    """

    def __init__(
        self,
        workers: int,
        environment: Mapping[str, str] | None = None,
        *,
        address: str = "",
        uses_gpu: bool = False,
    ) -> None:
        self._workers = workers
        self._environment = environment
        self._address = address
        self._uses_gpu = uses_gpu
        self._ray = _imported()

    def run(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Outcome]:
        """Yield outcomes when they are ready; an exception of the function is raised here.

        Raises:
            MachineError: Ray itself failed.
            SystemExit: The process was terminated.
        """
        with _exit_on_sigterm():
            self._connect()
        with _exit_on_sigterm():  # Ray installs a handler of its own when it connects
            job = pickled_job(function, is_minimal=self._environment is not None)
            flight = _Flight(self._ray, self._remote(), job)
            try:
                yield from flight.outcomes(tasks)
            finally:
                flight.cancel()

    def _remote(self) -> Any:  # noqa: ANN401 (Ray's own class)
        has_gpus = self._uses_gpu and self._ray.cluster_resources().get("GPU", 0) > 0
        return self._ray.remote(
            num_cpus=1,
            num_gpus=1 if has_gpus else 0,
            max_retries=0,
            retry_exceptions=False,
            max_calls=MAX_CALLS,
            scheduling_strategy="SPREAD",
        )(perform)

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        address = self._address or os.environ.get("RAY_ADDRESS", "") or "local"
        if address.startswith("ray://"):
            raise ConfigError(
                f"--ray-address {address!r} is an address of Ray Client, which is not supported",
                "run footage on a node of the cluster, for example with `ray job submit`",
            )
        _check_reachable(address)
        options: dict[str, Any] = {"address": address}
        if address == "local":
            options |= {
                "num_cpus": self._workers,
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
            }
        variables = self._environment if address == "local" else None
        try:
            with _quiet(), _variables(variables), contextlib.chdir("/"):  # Ray imports from it
                self._ray.init(
                    **options,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise _no_cluster(address, reason) from error
        self._ray._private.worker._worker_logs_enabled = False  # each killed worker, at length
        weakref.finalize(self, _shut_down, self._ray)


class _Lost(NamedTuple):
    """A task that is submitted again at a later time."""

    when: float
    order: int
    task: Any
    attempt: int


class _Flight:
    """The tasks that are submitted and not finished."""

    def __init__(self, ray: Any, remote: Any, job: bytes) -> None:  # noqa: ANN401
        self._ray = ray
        self._remote = remote
        self._job_bytes = job
        self._job = ray.put(job)
        self._flying: dict[Any, tuple[Any, int]] = {}
        self._lost: list[_Lost] = []
        self._order = itertools.count()
        self._num_lost = 0
        self._room = FEWEST_IN_FLIGHT
        self._last_news = time.monotonic()
        self._last_look = 0.0

    def outcomes(self, tasks: Iterable[Any]) -> Iterator[Outcome]:
        """Submit the tasks, never too many at a time, and yield their outcomes."""
        left = iter(tasks)
        has_more = True
        while has_more or self._flying or self._lost:
            self._look()
            now = time.monotonic()
            while self._lost and self._lost[0].when <= now:
                lost = heapq.heappop(self._lost)
                self._submit(lost.task, lost.attempt)
            while has_more and len(self._flying) + len(self._lost) < self._room:
                try:
                    self._submit(next(left), 1)
                except StopIteration:
                    has_more = False
            yield from self._finished()

    def cancel(self) -> None:
        """Cancel all tasks and kill the workers that run them."""
        with contextlib.suppress(Exception):  # the cluster may be gone
            for reference in self._flying:
                self._ray.cancel(reference, force=True)
        self._flying.clear()

    def _submit(self, task: Any, attempt: int) -> None:  # noqa: ANN401
        reference = self._remote.remote(self._job, pickle.dumps(task))
        self._flying[reference] = task, attempt

    def _finished(self) -> Iterator[Outcome]:
        """Wait for a moment, and yield the outcomes of tasks that finished."""
        if not self._flying:
            time.sleep(0.1)
            return
        ready, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=1.0)
        for reference in ready:
            self._last_news = time.monotonic()
            task, attempt = self._flying.pop(reference)
            outcome = self._outcome(reference, task, attempt)
            if outcome is not None:
                yield outcome

    def _outcome(self, reference: Any, task: Any, attempt: int) -> Outcome | None:  # noqa: ANN401
        """The outcome of a task, or None if it is to be submitted again."""
        errors = self._ray.exceptions
        try:
            return Outcome(task, self._ray.get(reference), "")
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None)
            if not isinstance(cause, errors.ObjectLostError | errors.NodeDiedError):
                raise (error if cause is None else cause) from None
            self._lose(task, attempt)
        except (errors.NodeDiedError, errors.ObjectLostError):
            self._lose(task, attempt)
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            if attempt < ATTEMPTS:
                self._submit(task, attempt + 1)
            else:
                is_memory = isinstance(error, errors.OutOfMemoryError)
                reason = "out of memory" if is_memory else "it crashed or was killed"
                failure = f"its worker process died {ATTEMPTS} times ({reason})"
                return Outcome(task, None, failure)
        except errors.RayError as error:
            raise MachineError(
                f"Ray failed: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
                "check the cluster with `ray status`, then rerun to resume",
            ) from error
        return None

    def _lose(self, task: Any, attempt: int) -> None:  # noqa: ANN401
        """Plan another submission after a pause, in which Ray notices which nodes are gone."""
        if self._num_lost == 0:
            log.warning("a node of the Ray cluster was lost; its tasks are repeated elsewhere")
        pause = min(FIRST_PAUSE * 2 ** min(self._num_lost // self._room, 10), LONGEST_PAUSE)
        self._num_lost += 1
        self._job = self._ray.put(self._job_bytes)  # it may have been on that node
        heapq.heappush(
            self._lost, _Lost(time.monotonic() + pause, next(self._order), task, attempt)
        )

    def _look(self) -> None:
        """Adapt to the size of the cluster, and report a long wait for CPUs."""
        now = time.monotonic()
        if now - self._last_look < 1.0:
            return
        self._last_look = now
        cpus = int(self._ray.cluster_resources().get("CPU", 0))
        self._room = max(FEWEST_IN_FLIGHT, 2 * cpus)
        if cpus == 0 and now - self._last_news > SILENT_SECONDS:
            self._last_news = now
            log.warning("the Ray cluster has no CPUs; the tasks wait until a node joins it")


# --- the driver's process -----------------------------------------------------------------------


def _imported() -> Any:  # noqa: ANN401 (a module)
    hint = "pip install 'footage[ray]'"
    try:
        found = importlib.metadata.version("ray")
        with _quiet():
            import ray
            import ray.exceptions
    except ImportError as error:
        raise ConfigError("the executor 'ray' needs Ray, which is not installed", hint) from error
    if tuple(map(int, found.split(".")[:2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise ConfigError(f"the executor 'ray' needs Ray {wanted} or newer; found '{found}'", hint)
    return ray


def _check_reachable(address: str) -> None:
    """Check that something listens at HOST:PORT; Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, getattr(error, "strerror", None) or str(error)) from error


def _no_cluster(address: str, reason: str) -> ConfigError:
    hint = (
        "pass its address with --ray-address HOST:6379, or leave the option and RAY_ADDRESS out to"
        " start a local cluster"
    )
    if "RAY_AUTH_MODE" not in os.environ:
        hint += "; if the cluster asks for a token, set RAY_AUTH_MODE=token"
    return ConfigError(f"no Ray cluster can be used at {address!r}: {reason}", hint)


def _shut_down(ray: Any) -> None:  # noqa: ANN401
    with _quiet():
        ray.shutdown()
    ray._private.worker._worker_logs_enabled = True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray's warnings and hints away from the terminal, and its usage reports at home."""
    with _variables(None, RAY_USAGE_STATS_ENABLED="0"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _variables(only: Mapping[str, str] | None, **more: str) -> Iterator[None]:
    """Leave only some variables of this process, if given, and add others, for a while."""
    before = dict(os.environ)
    try:
        if only is not None:
            for name in before.keys() - only.keys():
                if not name.startswith(KEPT):
                    del os.environ[name]
            os.environ.update(only)
        os.environ.update(more)
        yield
    finally:
        for name in [one for one in (*more, *before) if os.environ.get(one) != before.get(one)]:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, so that tasks are cancelled; a caller's own handler stays."""
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or callable(before):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        numbers.append(number)
        raise SystemExit(128 + number)

    numbers: list[int] = []
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except SystemExit as error:
        if not numbers:
            raise
        raise SystemExit(128 + numbers[0]) from error  # Ray raises its own, with another code
    finally:
        signal.signal(signal.SIGTERM, before)
