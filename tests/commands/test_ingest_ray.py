"""Ingest on a Ray cluster of three nodes: the same store as on one machine, whatever is killed."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from footage.commands.ingest import ingest
from footage.store.reader import Store
from tests.support import synthetic
from tests.support.ingesting import CONFIG, hashes
from tests.support.ray_cluster import kill, small_cluster, wait_for

pytest.importorskip("ray")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
COUNT = 24


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Tiny videos, of which one is broken."""
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(COUNT - 1):
        synthetic.encode(folder / f"{seed:02}.mp4", synthetic.cuts([2 * seed, 2 * seed + 1], 1.0))
    (folder / "broken.mp4").write_bytes(b"this is not a video")
    return folder


@pytest.fixture(scope="module")
def expected(videos, tmp_path_factory):
    """The files of the store that local processes write."""
    store = tmp_path_factory.mktemp("local") / "store"
    ingest([videos], store, CONFIG)
    return hashes(store)


def start(videos, store, address):
    """The command as a user calls it."""
    command = [sys.executable, "-m", "footage", "ingest", str(videos), "--out", str(store)]
    command += ["--short-side", "64", "--executor", "ray"]
    environment = os.environ | {"RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(driver):
    output, errors = driver.communicate(timeout=600)
    assert driver.returncode == 0, errors
    assert "Traceback" not in errors
    assert "raylet" not in errors
    return output


def test_store_is_that_of_local_processes_when_workers_and_nodes_are_killed(
    videos, expected, tmp_path
):
    with small_cluster(3) as cluster:
        finish(start(videos, tmp_path / "calm", cluster.address))
        assert hashes(tmp_path / "calm") == expected
        driver = start(videos, tmp_path / "workers", cluster.address)
        for _ in range(2):
            kill(wait_for(cluster.busy_workers, 120, "busy worker")[0])
            time.sleep(1)
        finish(driver)
        assert hashes(tmp_path / "workers") == expected
        driver = start(videos, tmp_path / "nodes", cluster.address)
        for _ in range(2):
            wait_for(cluster.kill_busy_node, 120, "busy node")
            time.sleep(1)
        finish(driver)
        assert hashes(tmp_path / "nodes") == expected


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_stopped_ingest_resumes_into_the_same_store(videos, expected, tmp_path, number, code):
    with small_cluster(2) as cluster:
        store = tmp_path / "store"
        driver = start(videos, store, cluster.address)
        wait_for(cluster.busy_workers, 120, "busy worker")
        driver.send_signal(number)
        driver.communicate(timeout=120)
        assert driver.returncode == code
        wait_for(lambda: not cluster.busy_workers(), 60, "end of the tasks")
        finish(start(videos, store, cluster.address))
        assert hashes(store) == expected


def test_twenty_faults_lose_nothing(videos, expected, tmp_path):
    """In each run a random one of a worker, a node and the driver is killed at a random time."""
    draw = random.Random(23)
    faults = [draw.choice(["worker", "node", "driver"]) for _ in range(20)]
    with small_cluster(3) as cluster:
        for run, fault in enumerate(faults):
            store = tmp_path / f"{run:02}"
            driver = start(videos, store, cluster.address)
            wait_for(cluster.busy_workers, 120, "busy worker")
            time.sleep(draw.uniform(0, 2))
            if fault == "driver":
                driver.kill()
                driver.communicate()
                driver = start(videos, store, cluster.address)
            elif fault == "node":
                with contextlib.suppress(AssertionError):  # it may have finished
                    wait_for(cluster.kill_busy_node, 5, "busy node")
            else:
                for worker in cluster.busy_workers()[:1]:
                    kill(worker)
            finish(driver)
            assert hashes(store) == expected, (run, fault)
            totals = Store.open(store).totals
            assert totals["ok"] + totals["partial"] + totals["quarantined"] == COUNT
            while len(cluster.nodes) < 3:
                cluster.nodes.append(cluster.add_node())
