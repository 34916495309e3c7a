"""A Ray cluster of several nodes on this machine, and what the tests do to its processes."""

import contextlib
import os
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OBJECT_STORE_BYTES = 80 * 2**20
QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 4,
}


class SmallCluster:
    """A head without CPUs, and nodes with one CPU each."""

    def __init__(self, nodes: int = 3, **system: Any) -> None:
        from ray.cluster_utils import Cluster

        options = {
            "num_cpus": 0,
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
            "_system_config": QUICK_TO_NOTICE | system,
        }
        self._cluster = Cluster(initialize_head=True, head_node_args=options)
        self.nodes = [self.add_node() for _ in range(nodes)]

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add_node(self) -> Any:
        """Start a node; on a busy machine, the 30 seconds that Ray allows may not be enough."""
        for _ in range(2):
            with contextlib.suppress(Exception):
                return self._cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)
        return self._cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)

    def kill_node(self, number: int) -> None:
        """Kill the raylet of a node; the workers on it die with it."""
        self._cluster.remove_node(self.nodes.pop(number), allow_graceful=False)

    def busy_workers(self) -> list[int]:
        """The processes that run a task of footage now."""
        return [process for process, _ in self._busy()]

    def kill_busy_node(self) -> bool:
        """Kill a node that runs a task of footage; return whether there was one."""
        for _, raylet in self._busy():
            for number, node in enumerate(self.nodes):
                if raylet in _raylets(node):
                    self.kill_node(number)
                    return True
        return False

    def _busy(self) -> Iterator[tuple[int, int]]:
        raylets = {raylet for node in self.nodes for raylet in _raylets(node)}
        for process, parent, command in _processes():
            if parent in raylets and command.startswith("ray::perform"):
                yield process, parent

    def shut_down(self) -> None:
        self._cluster.shutdown()


@contextlib.contextmanager
def small_cluster(nodes: int = 3, **system: Any) -> Iterator[SmallCluster]:
    """A cluster whose processes are stopped at the end; Ray's own warnings are not ours."""
    before = os.environ.get("RAY_USAGE_STATS_ENABLED")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cluster = SmallCluster(nodes, **system)
        try:
            yield cluster
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cluster.shut_down()
    finally:
        if before is None:
            del os.environ["RAY_USAGE_STATS_ENABLED"]
        else:
            os.environ["RAY_USAGE_STATS_ENABLED"] = before


def wait_for(condition: Any, seconds: float, what: str) -> Any:
    """The first value of a function that counts as true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {what} within {seconds} s")


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _raylets(node: Any) -> list[int]:
    return [each.process.pid for each in node.all_processes.get("raylet", [])]


def _processes() -> Iterator[tuple[int, int, str]]:
    """Number, parent and title of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                title = (folder / "cmdline").read_bytes().decode(errors="replace")
                yield int(folder.name), int(status[1]), title
