"""Executors run tasks somewhere: on this machine, on a Ray cluster, or where a plugin runs them.

base     the interface, the registry and `Outcome`
local    `LocalProcesses`, a pool of processes on this machine; the default
cluster  `RayTasks`, tasks of a Ray cluster; imported on first use, as Ray itself is
"""

from footage.processes.executors.base import (
    ATTEMPTS as ATTEMPTS,
)
from footage.processes.executors.base import (
    EXECUTORS as EXECUTORS,
)
from footage.processes.executors.base import (
    Executor as Executor,
)
from footage.processes.executors.base import (
    ExecutorSettings as ExecutorSettings,
)
from footage.processes.executors.base import (
    Outcome as Outcome,
)
from footage.processes.executors.base import (
    register_executor as register_executor,
)
from footage.processes.executors.local import LocalProcesses as LocalProcesses


@register_executor("local")
def _local(settings: ExecutorSettings) -> Executor:
    return LocalProcesses(settings.workers, settings.environment)


@register_executor("ray")
def _ray(settings: ExecutorSettings) -> Executor:
    from footage.processes.executors.cluster import RayTasks

    return RayTasks(
        settings.workers,
        settings.environment,
        address=settings.ray_address,
        uses_gpu=settings.uses_gpu,
    )
