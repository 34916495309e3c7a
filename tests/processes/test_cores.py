import os
from pathlib import Path

import pytest

from footage.processes import cores


@pytest.fixture
def groups(tmp_path):
    """A mount point of control groups, and the file that names those of this process."""

    def make(lines, files):
        own = tmp_path / "own"
        own.write_text(lines)
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "groups", own

    return make


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "350000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 8),
        # the strictest of all groups that contain this one
        ("0::/job/step\n", {"job/cpu.max": "200000 100000", "job/step/cpu.max": "max 100000"}, 2),
        # a container shows its own group as the root
        ("0::/pod/of/the/host\n", {"cpu.max": "400000 100000"}, 4),
        # version 1
        (
            "5:memory:/a\n3:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "200000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        (
            "3:cpu,cpuacct:/a\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ("0::/\n", {}, 8),
        ("nonsense", {"cpu.max": "nonsense"}, 8),
    ],
)
def test_a_quota_limits_the_cores(groups, lines, files, expected):
    assert cores.available(*groups(lines, files)) == expected


@pytest.mark.usefixtures("eight_cores")
def test_a_machine_without_control_groups_has_the_cores_of_the_affinity(tmp_path):
    assert cores.available(tmp_path / "none", tmp_path / "none") == 8


def test_the_affinity_of_this_very_process_counts():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cores.available() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(("processes", "expected"), [("1", 8), ("3", 2), ("32", 1), ("", 8)])
def test_the_processes_of_a_launcher_share_the_cores(monkeypatch, processes, expected):
    monkeypatch.setattr(cores, "CGROUPS", Path("/nowhere"))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert cores.per_process() == expected


def test_a_process_without_a_launcher_shares_with_no_other(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert cores.processes() == 1
    assert cores.per_process() == cores.available()
