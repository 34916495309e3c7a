"""The processor cores that this process may use.

The affinity of the process, the CPU quota of its control group (a container, a Slurm job, a pod)
and the other processes that a launcher started on this machine all limit them.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Mount point of the control groups of both versions."""
OWN_GROUPS = Path("/proc/self/cgroup")
"""The control groups of this process."""


def available(groups: Path | str = "", own: Path = OWN_GROUPS) -> int:
    """Return the number of cores that this process may use, at least 1.

    A fractional CPU quota is rounded down, because a process that exceeds its quota is stopped for
    the rest of the period.

    Args:
        groups: Mount point of the control groups; by default that of this machine.
        own: File that names the control groups of this process.
    """
    affinity = len(os.sched_getaffinity(0))
    return max(1, min([affinity, *(int(quota) for quota in _quotas(Path(groups or CGROUPS), own))]))


def processes(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of processes that share this machine's cores, at least 1.

    Args:
        environment: Contains `LOCAL_WORLD_SIZE` if torchrun started this process.
    """
    number = environment.get("LOCAL_WORLD_SIZE", "")
    return max(int(number), 1) if number.isdecimal() else 1


def per_process() -> int:
    """Return this process's share of the cores, at least 1."""
    return max(available() // processes(), 1)


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Yield the CPU quota, in cores, of each control group that contains this process."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if number == "0":
            for folder in _up_to(groups, name):
                yield from _ratio(_words(folder / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for mount in (groups / "cpu", groups / "cpu,cpuacct"):
                for folder in _up_to(mount, name):
                    parts = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    yield from _ratio([word for part in parts for word in _words(folder / part)])


def _up_to(mount: Path, name: str) -> Iterator[Path]:
    """Yield the folder of a control group and of the groups that contain it.

    In a container its own group is usually mounted as the root, and `name` does not exist there.
    """
    parts = [part for part in name.split("/") if part not in ("", "..")]
    for length in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:length])


def _ratio(words: list[str]) -> Iterator[float]:
    """Yield quota / period; nothing without a quota, which is `max` or negative."""
    if len(words) == 2 and all(word.isdecimal() and int(word) > 0 for word in words):
        yield int(words[0]) / int(words[1])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
