"""The interface of executors, and their registry."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from footage.registry import Registry

ATTEMPTS: Final = 3
"""Number of attempts at a task before it is given up."""


class Outcome(NamedTuple):
    """The outcome of a task: the function's result, or the reason for a failure.

    A failure is never an exception of the function: the workers that ran it were killed, or could
    not start.
    """

    task: Any
    result: Any
    failure: str


@runtime_checkable
class Executor(Protocol):
    """Runs a function over tasks somewhere and yields results when ready, in any order."""

    def run(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Outcome]:
        """Yield an outcome per task; the function must be importable by name and may run again."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorSettings:
    """Settings that a command passes to the executor that it creates."""

    workers: int
    """Number of worker processes on this machine; a cluster has its own number."""

    environment: Mapping[str, str] | None = None
    """Environment of the workers; None inherits that of the caller, with its credentials."""

    ray_address: str = ""
    """Address of a Ray cluster; only for the executor `ray`."""

    uses_gpu: bool = False
    """Whether a task uses a GPU where there is one."""


ExecutorFactory = Callable[[ExecutorSettings], Executor]

EXECUTORS: Final = Registry[ExecutorFactory]("executor")
"""Executor factories by name."""


def register_executor(name: str) -> Callable[[ExecutorFactory], ExecutorFactory]:
    """Register an executor for `--executor NAME`.

    Args:
        name: Name on the command line.

    Raises:
        ConfigError: Another executor has this name.
    """

    def register(factory: ExecutorFactory) -> ExecutorFactory:
        EXECUTORS.register(name, factory)
        return factory

    return register
