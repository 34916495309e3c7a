"""What runs in a worker process of a Ray cluster; it does not import Ray."""

import contextlib
import functools
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from footage.processes import interpreters

_SENT: Final = ("FOOTAGE_PLUGINS", "FOOTAGE_REQUIRE_SANDBOX")
"""Variables of the driver that the workers of any cluster get; none contains a credential."""
KEPT: Final = ("RAY_", "CUDA_", "NVIDIA_")
"""Prefixes of variables that Ray sets for its workers."""


class _Job(NamedTuple):
    """What a worker needs before it unpickles a function, whose import needs all of it."""

    variables: dict[str, str]
    is_minimal: bool
    folders: list[str]
    directory: str
    function: bytes


def pickled_job(function: Callable[[Any], Any], *, is_minimal: bool) -> bytes:
    """Return what `perform` needs besides a task.

    Args:
        function: Importable by name.
        is_minimal: Whether to remove variables outside the minimal environment in the worker.
    """
    variables = {name: os.environ[name] for name in _SENT if name in os.environ}
    job = _Job(variables, is_minimal, interpreters.folders(), os.getcwd(), pickle.dumps(function))
    return pickle.dumps(tuple(job))


def perform(job: bytes, task: bytes) -> Any:  # noqa: ANN401
    """Run one task in a worker of a cluster."""
    return _prepared(job)(pickle.loads(task))


@functools.lru_cache(maxsize=1)
def _prepared(job: bytes) -> Callable[[Any], Any]:
    """Make this process like one of `LocalProcesses`, and return the function."""
    variables, is_minimal, folders, directory, function = _Job(*pickle.loads(job))
    if is_minimal:
        kept = interpreters.minimal_environment()
        for name in [one for one in os.environ if not one.startswith(KEPT) and one not in kept]:
            del os.environ[name]
    os.environ.update(variables)
    sys.path += [one for one in folders if one not in sys.path]
    with contextlib.suppress(OSError):  # absolute paths work without it
        os.chdir(directory)
    unpickled: Callable[[Any], Any] = pickle.loads(function)
    return unpickled
