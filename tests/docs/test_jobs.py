"""The job files of the guide "Clusters" are valid, and their commands work on tiny data.

Slurm is replaced by programs that run the same command here; footage, Ray and torchrun are real.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from footage.processes.shards import KUBERNETES_COUNT
from footage.store.reader import Store
from tests.evaluation import miniature

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "docs" / "guides" / "jobs"
BATCH = sorted(path.name for path in JOBS.glob("*.sbatch"))
YAML = sorted(path.name for path in JOBS.glob("*.yaml"))
SBATCH_OPTIONS = {
    "array", "cpus-per-task", "gpus-per-node", "job-name", "mem", "nodes", "ntasks-per-node",
    "requeue", "signal", "time",
}  # fmt: skip
MODEL = "resnet50.a1_in1k"


def document(name: str) -> Any:
    return yaml.safe_load((JOBS / name).read_text())


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """An environment with the programs of a job on the search path, and a folder for /shared."""
    programs = tmp_path / "programs"
    programs.mkdir()
    texts = {
        "footage": f'exec {sys.executable} -m footage "$@"',
        "ray": f'exec {sys.executable} -m ray.scripts.scripts "$@"',
        "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
        "scontrol": "echo 127.0.0.1",
    }
    for name, text in texts.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    variables = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return variables | {"PATH": path, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}


def tiny(text: str, tmp_path: Path) -> str:
    """A job file with other paths, and the smallest model."""
    return text.replace("/shared", str(tmp_path)).replace(MODEL, "test_resnet")


def run_batch(
    name: str, tmp_path: Path, environment: dict[str, str], *changes: tuple[str, str]
) -> str:
    text = tiny((JOBS / name).read_text(), tmp_path)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["bash", str(tmp_path / name)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_guide_links_every_job_file():
    guide = (ROOT / "docs" / "guides" / "clusters.md").read_text()
    linked = set(re.findall(r"\(jobs/([\w.-]+)\)", guide))
    assert linked == {path.name for path in JOBS.iterdir()}


@pytest.mark.parametrize("name", BATCH)
def test_batch_file_has_valid_syntax_and_known_options(name):
    path = JOBS / name
    subprocess.run(["bash", "-n", str(path)], check=True)
    text = path.read_text()
    assert text.startswith("#!/bin/bash\n")
    options = re.findall(r"^#SBATCH --([\w-]+)", text, re.MULTILINE)
    assert set(options) <= SBATCH_OPTIONS
    assert {"job-name", "time"} <= set(options)
    body = text.partition("set -euo pipefail\n")[2]
    assert "#SBATCH" not in body  # Slurm stops reading at the first command


def test_ray_job_is_complete():
    job = document("ingest-rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    assert all(group["minReplicas"] <= group["replicas"] for group in groups[1:])


def test_indexed_job_passes_its_number_of_completions():
    job = document("evaluate-indexed-job.yaml")["spec"]
    assert job["completionMode"] == "Indexed"
    (container,) = job["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables == {KUBERNETES_COUNT: str(job["completions"])}


def run_array(name: str, tmp_path: Path, machine: dict[str, str]) -> None:
    """Run a Slurm array of two elements, one after the other."""
    element = {
        "SLURM_ARRAY_TASK_COUNT": "2",
        "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_MAX": "1",
    }
    for index in range(2):
        run_batch(name, tmp_path, machine | element | {"SLURM_ARRAY_TASK_ID": str(index)})


def test_ingest_array_and_merge_write_one_store(video_folder, tmp_path, machine):
    shutil.copytree(video_folder, tmp_path / "videos")
    run_array("ingest-array.sbatch", tmp_path, machine)
    assert not (tmp_path / "store" / "store.json").exists()
    assert "6 seen = 6 ok" in run_batch("ingest-merge.sbatch", tmp_path, machine)
    assert Store.open(tmp_path / "store").totals["ok"] == 6


@pytest.mark.slow
def test_embed_array_and_merge_write_one_table(video_folder, tmp_path, machine):
    shutil.copytree(video_folder, tmp_path / "videos")
    run_array("embed-array.sbatch", tmp_path, machine)
    printed = run_batch("embed-merge.sbatch", tmp_path, machine)
    assert printed.strip() == str(tmp_path / "features.parquet")
    assert len(pq.read_table(tmp_path / "features.parquet")) > 6


@pytest.mark.slow
def test_indexed_job_evaluates_a_suite(tmp_path, machine):
    miniature.write_suite(tmp_path / "tasks")
    job = document("evaluate-indexed-job.yaml")["spec"]
    (container,) = job["template"]["spec"]["containers"]
    command = [tiny(word, tmp_path) for word in container["command"] + container["args"]]
    variables = machine | {one["name"]: one["value"] for one in container["env"]}
    for index in range(job["completions"]):
        subprocess.run(command, env=variables | {"JOB_COMPLETION_INDEX": str(index)}, check=True)
    merge = [*command[: command.index("--shard")], "--merge"]
    done = subprocess.run(merge, env=machine, check=True, stdout=subprocess.PIPE, text=True)
    assert "mean of 2 tasks" in done.stdout


@pytest.mark.slow
def test_ray_job_ingests_with_its_entry_point(video_folder, tmp_path, machine):
    pytest.importorskip("ray")
    shutil.copytree(video_folder, tmp_path / "videos")
    entry_point = tiny(document("ingest-rayjob.yaml")["spec"]["entrypoint"], tmp_path)
    subprocess.run(shlex.split(entry_point), env=machine, check=True)
    assert Store.open(tmp_path / "store").totals["ok"] == 6


@pytest.mark.slow
def test_ray_on_slurm_ingests(video_folder, tmp_path, machine):
    pytest.importorskip("ray")
    shutil.copytree(video_folder, tmp_path / "videos")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slurm = {"SLURM_JOB_NODELIST": "here", "SLURM_NNODES": "1", "SLURM_CPUS_PER_TASK": "2"}
    home = {"HOME": str(tmp_path)}  # keeps the token of the cluster
    changes = ("6379", str(port))
    run_batch("ingest-ray.sbatch", tmp_path, machine | slurm | home, changes)
    assert Store.open(tmp_path / "store").totals["ok"] == 6


@pytest.mark.slow
def test_training_job_trains(tiny_store, tmp_path, machine):
    shutil.copytree(tiny_store.path, tmp_path / "store")
    slurm = {"SLURM_JOB_NODELIST": "here", "SLURM_NNODES": "1", "SLURM_GPUS_PER_NODE": "1"}
    small = "train vivi-ex4-tiny --steps 2 --sampling.videos-per-batch 2 --compute.workers 1"
    run_batch(
        "train.sbatch",
        tmp_path,
        machine | slurm | {"SLURM_JOB_ID": "7"},
        ("train vivi-ex4-gpu", f"{small} --compute.threads 1"),
        (":29500", ":0"),
    )
    assert (tmp_path / "runs" / "first" / "run.json").is_file()
