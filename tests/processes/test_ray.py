"""The executor `ray` on real clusters of this machine, whose processes are killed."""

import gc
import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from footage.errors import ConfigError
from footage.processes import interpreters
from footage.processes.executors import ATTEMPTS, EXECUTORS, ExecutorSettings
from tests.processes.test_executors import die_on_three, die_once, fail, report_process, square
from tests.processes.test_interpreters import environment_in_memory
from tests.support.ray_cluster import kill, small_cluster, wait_for

pytest.importorskip("ray")

from footage.processes.executors.cluster import RayTasks

HUNDRED_MEGABYTES = 100 * 2**20


def remember_process(task):
    """Note where a task runs, and take a while."""
    folder, number, seconds = task
    (folder / f"{number}-{os.getpid()}").touch()
    time.sleep(seconds)
    return number


def allocate(megabytes):
    """Touch memory slowly, so that the monitor sees it."""
    blocks = []
    for _ in range(megabytes // 100):
        blocks.append(b"x" * HUNDRED_MEGABYTES)
        time.sleep(0.1)
    return len(blocks)


def test_local_cluster_gives_each_task_an_outcome_and_prints_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    executor = RayTasks(2, interpreters.minimal_environment())
    outcomes = list(executor.run(square, range(20)))
    assert sorted((one.task, one.result) for one in outcomes) == [(n, n * n) for n in range(20)]
    outcomes = {one.task: one for one in executor.run(die_on_three, range(6))}
    assert outcomes[3].failure == "its worker process died 3 times (it crashed or was killed)"
    assert [outcomes[n].result for n in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]
    (outcome,) = executor.run(die_once, [tmp_path / "mark"])
    assert outcome.result == "survived"
    names = ["AWS_SECRET_ACCESS_KEY", "PATH"]
    found = {one.task: one.result for one in executor.run(environment_in_memory, names)}
    assert found == {"AWS_SECRET_ACCESS_KEY": False, "PATH": True}
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "canary"
    with pytest.raises(ValueError, match="no 7") as caught:
        list(executor.run(fail, [7]))
    assert type(caught.value) is ValueError
    del executor, caught
    gc.collect()
    import ray

    assert not ray.is_initialized()
    assert capfd.readouterr() == ("", "")


def test_missing_ray_is_an_error_with_the_command_that_installs_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ConfigError, match="needs Ray") as caught:
        EXECUTORS.find("ray")(ExecutorSettings(workers=1))
    assert caught.value.hint == "pip install 'footage[ray]'"


def test_old_ray_is_an_error_that_names_its_version(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2.9.3")
    with pytest.raises(ConfigError, match=r"needs Ray 2\.60 or newer; found '2\.9\.3'"):
        RayTasks(1)


def test_address_of_ray_client_is_rejected():
    with pytest.raises(ConfigError, match="Ray Client"):
        list(RayTasks(1, address="ray://head:10001").run(square, [1]))


def test_registry_and_help_do_not_import_ray():
    program = (
        "import sys; from footage.cli import main\n"
        "from footage.processes.executors import EXECUTORS; assert 'ray' in EXECUTORS\n"
        "try: main(['ingest', '--help'])\n"
        "except SystemExit: pass\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_wrong_address_is_one_error():
    with pytest.raises(ConfigError, match=r"no Ray cluster can be used at '127\.0\.0\.1:1'"):
        list(RayTasks(1, address="127.0.0.1:1").run(square, [1]))


@pytest.mark.slow
def test_hint_names_the_variable_that_a_cluster_with_a_token_needs(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    environment = os.environ | {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token"}
    subprocess.run([*ray, "get-auth-token", "--generate"], env=environment, check=True)
    port = address.partition(":")[2]
    start = [*ray, "start", "--block", "--head", f"--port={port}", "--num-cpus=1"]
    with subprocess.Popen(start, env=environment) as head:
        try:
            health = [*ray, "health-check", "--address", address]
            wait_for(lambda: subprocess.run(health, env=environment).returncode == 0, 60, "head")
            with pytest.raises(ConfigError) as caught:
                list(RayTasks(1, address=address).run(square, [1]))
        finally:
            head.terminate()
    assert caught.value.hint.endswith("if the cluster asks for a token, set RAY_AUTH_MODE=token")


@pytest.mark.slow
def test_tasks_are_spread_over_nodes_and_survive_the_death_of_one(tmp_path):
    with small_cluster() as cluster:
        executor = RayTasks(1, address=cluster.address)
        processes = {one.result for one in executor.run(report_process, range(9))}
        assert len(processes) == 3
        tasks = [(tmp_path, number, 1.0) for number in range(12)]
        outcomes = []
        for outcome in executor.run(remember_process, tasks):
            outcomes.append(outcome)
            if len(outcomes) == 2:
                wait_for(cluster.kill_busy_node, 30, "busy node")
        assert sorted(one.result for one in outcomes) == list(range(12))
        assert not any(one.failure for one in outcomes)
        assert len(list(tmp_path.iterdir())) > 12  # some ran twice
        del executor
        gc.collect()


@pytest.mark.slow
def test_task_on_dying_nodes_is_repeated_more_often_than_attempts_allow(tmp_path):
    with small_cluster(ATTEMPTS + 1) as cluster:

        def kill_nodes():
            for times in range(1, ATTEMPTS + 1):
                wait_for(lambda n=times: len(list(tmp_path.iterdir())) >= n, 60, "attempt")
                wait_for(cluster.kill_busy_node, 30, "busy node")

        thread = threading.Thread(target=kill_nodes)
        thread.start()
        executor = RayTasks(1, address=cluster.address)
        (outcome,) = executor.run(remember_process, [(tmp_path, 0, 4.0)])
        thread.join()
        assert (outcome.result, outcome.failure) == (0, "")
        assert len(list(tmp_path.iterdir())) == ATTEMPTS + 1
        del executor
        gc.collect()


@pytest.mark.slow
def test_killed_workers_count_as_attempts(tmp_path):
    with small_cluster(2) as cluster:
        executor = RayTasks(1, address=cluster.address)
        tasks = [(tmp_path, number, 0.7) for number in range(8)]
        outcomes = []
        for outcome in executor.run(remember_process, tasks):
            outcomes.append(outcome)
            if len(outcomes) in (2, 4):
                kill(wait_for(cluster.busy_workers, 30, "busy worker")[0])
        assert sorted(one.result for one in outcomes) == list(range(8))
        assert len(list(tmp_path.iterdir())) >= 9
        del executor
        gc.collect()


@pytest.mark.slow
def test_task_that_needs_too_much_memory_is_given_up_with_the_reason():
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(meminfo[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    threshold = 1 - free / total + 2.0 * 2**20 / total  # two gigabytes more than now
    with small_cluster(
        1, memory_usage_threshold=threshold, memory_monitor_refresh_ms=100
    ) as cluster:
        executor = RayTasks(1, address=cluster.address)
        outcomes = {one.task: one for one in executor.run(allocate, [100, 6000])}
        assert outcomes[100].result == 1
        assert outcomes[6000].failure == "its worker process died 3 times (out of memory)"
        del executor
        gc.collect()


DRIVER = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
    "from footage.cli import run_program\n"
    "from footage.processes.executors.cluster import RayTasks\n"
    "from tests.processes.test_ray import remember_process\n"
    "def command(words):\n"
    "    tasks = [(Path(sys.argv[2]), n, 60.0) for n in range(4)]\n"
    "    list(RayTasks(2, address=sys.argv[3]).run(remember_process, tasks))\n"
    "sys.exit(run_program({'go': command}, '', ['go']))\n"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_stopped_driver_leaves_no_task_running(tmp_path, number, code):
    with small_cluster(2) as cluster:
        root = str(Path(__file__).parents[2])
        command = [sys.executable, "-c", DRIVER, root, str(tmp_path), cluster.address]
        driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: len(list(tmp_path.iterdir())) >= 2, 90, "running task")
        driver.send_signal(number)
        errors = driver.communicate(timeout=60)[1]
        assert driver.returncode == code, errors
        wait_for(lambda: not cluster.busy_workers(), 30, "end of the tasks")
        if number == signal.SIGINT:
            assert errors == "error: interrupted\nhint: rerun the same command to resume\n"


@pytest.mark.slow
def test_killed_driver_takes_its_local_cluster_along(tmp_path):
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", DRIVER, root, str(tmp_path), ""]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    driver = subprocess.Popen(command, env=environment)
    running = wait_for(lambda: list(tmp_path.iterdir()), 90, "running task")
    worker = Path(f"/proc/{running[0].name.partition('-')[2]}")
    driver.kill()
    driver.wait()
    wait_for(
        lambda: not (worker / "stat").exists() or not (worker / "cmdline").read_bytes(),
        30,
        "end of the worker",
    )
