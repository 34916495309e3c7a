"""Training under two torchrun agents, as on two machines that share a file system."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from footage.runs import checkpoint, layout
from tests.commands.test_train_processes import (
    MOST_SECONDS,
    OPTIONS,
    assert_same_losses,
    is_alive,
    trained,
)


class Agents:
    """Two agents with some processes each, which meet on this machine."""

    def __init__(self, store, out, *, processes=2, steps=8):
        self.out, self.folder = out, out.with_name(f"{out.name}-notes-{time.time_ns()}")
        self.folder.mkdir()
        self.processes = 2 * processes
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node",
            str(processes), "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}",
            "--rdzv-id", f"test-{port}", "--local-addr", "127.0.0.1", "-m", "tests.support.faults",
            "train", "vivi-ex4-tiny", "--store", str(store), "--out", str(out),
            "--steps", str(steps), *OPTIONS,
        ]  # fmt: skip
        environment = {"OMP_NUM_THREADS": "1", "FOLDER": str(self.folder)}
        self.agents = []
        for number in (0, 1):
            with (self.folder / f"log-{number}").open("w") as log:
                self.agents.append(
                    subprocess.Popen(
                        command,
                        env={**os.environ, **environment, "GLOO_SOCKET_IFNAME": "lo"},
                        stderr=log,
                        stdout=subprocess.DEVNULL,
                    )
                )

    def log(self, number):
        return (self.folder / f"log-{number}").read_text()

    def workers(self, number):
        """Processes of an agent by id, without what they started themselves."""
        pid = self.agents[number].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        noted = {path.read_text() for path in self.folder.glob("pid-*")}
        return [int(child) for child in children if child in noted]

    def wait_for_step(self, step):
        def reached():
            notes = [int(path.read_text() or 0) for path in self.folder.glob("step-*")]
            return len(notes) == self.processes and min(notes) >= step

        while not reached():
            for number, agent in enumerate(self.agents):
                assert agent.poll() is None, self.log(number)
            time.sleep(0.02)

    def kill(self, number):
        """Kill an agent and its processes; the ids of the processes of the other agent."""
        victims, others = self.workers(number), self.workers(1 - number)
        for pid in [self.agents[number].pid, *victims]:
            os.kill(pid, signal.SIGKILL)
        self.agents[number].wait()
        return others

    def end(self, timeout=300):
        for agent in self.agents:
            agent.wait(timeout)
        return [agent.returncode for agent in self.agents]


def assert_ends_soon(pids):
    end = time.monotonic() + MOST_SECONDS
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in pids if is_alive(pid)]


def errors_of(log):
    return [line for line in log.splitlines() if re.match(r"error: ", line)]


def assert_one_clear_error(log):
    assert len(errors_of(log)) == 1, log
    assert re.fullmatch(
        r"error: rank \d: the connection to another process was lost", errors_of(log)[0]
    )
    assert "rerun to resume" in log
    # before torchrun's own summary, no process has a traceback
    assert "Traceback" not in log[: log.index("rerun to resume")]


def test_when_one_agent_of_two_is_killed_the_other_ends_with_one_error(tiny_store, tmp_path):
    job = Agents(tiny_store.path, tmp_path / "run", processes=1, steps=1000)
    job.wait_for_step(2)
    others = job.kill(1)
    assert_ends_soon(others)
    job.agents[0].wait(60)
    assert job.agents[0].returncode == 1
    assert_one_clear_error(job.log(0))


@pytest.fixture(scope="module")
def alone(tiny_store, tmp_path_factory):
    return trained(tiny_store, tmp_path_factory.mktemp("alone") / "run", processes=1)


@pytest.mark.slow
def test_two_agents_have_the_losses_of_one_process(alone, tiny_store, tmp_path):
    job = Agents(tiny_store.path, tmp_path / "run")
    assert job.end() == [0, 0], job.log(0) + job.log(1)
    assert_same_losses(tmp_path / "run", alone)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_two_agents_end_when_one_is_killed_and_a_restart_resumes(
    alone, tiny_store, tmp_path, victim
):
    out = tmp_path / "run"
    job = Agents(tiny_store.path, out, steps=8)
    job.wait_for_step(5)
    others = job.kill(victim)
    assert_ends_soon(others)
    assert job.agents[1 - victim].wait(120) != 0
    assert_one_clear_error(job.log(1 - victim))
    assert checkpoint.newest(out / layout.CHECKPOINTS).step == 3
    again = Agents(tiny_store.path, out)
    assert again.end() == [0, 0], again.log(0) + again.log(1)
    assert_same_losses(out, alone)


@pytest.mark.slow
def test_two_agents_continue_with_another_number_of_processes(alone, tiny_store, tmp_path):
    out = tmp_path / "run"
    job = Agents(tiny_store.path, out, steps=8)
    job.wait_for_step(4)
    assert_ends_soon(job.kill(1))
    job.agents[0].wait(120)
    trained(tiny_store, out, processes=2)
    assert_same_losses(out, alone)
