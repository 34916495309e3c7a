"""Training in several processes: the same samples, failures in one process, signals."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from footage.io import files
from footage.runs import checkpoint, layout
from tests.support.training import assert_same_tensors, lines, weights

pytestmark = pytest.mark.slow

# a network without batch norm, whose statistics are each process's own
OPTIONS = (
    "--backbone.architecture", "test_vit", "--sampling.videos-per-batch", "4", "--precision",
    "fp32", "--sampling.frames-per-shot", "2", "--augment.size", "32", "--compute.workers", "1",
    "--held-out-fraction", "0.3", "--compute.threads", "1", "--checkpoint-every", "3",
)  # fmt: skip

STALL_SECONDS = 5
MOST_SECONDS = 20.0
"""From a fault to the end of all processes, on a busy machine. Left alone, torchrun would wait 30 s
for a process that is stopped, and the others 600 s for one that hangs."""


class Job:
    """A training under torchrun, or in a single process, with a fault in one process."""

    def __init__(self, store, out, *, processes=2, steps=8, fault="none:0:0", options=()):
        self.processes = processes
        self.out, self.folder = out, out.with_name(f"{out.name}-notes-{time.time_ns()}")
        self.folder.mkdir()
        launcher = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
            str(processes), "-m", "tests.support.faults",
        ]  # fmt: skip
        command = [
            *(launcher if processes > 1 else [sys.executable, "-m", "tests.support.faults"]),
            "train", "vivi-ex4-tiny", "--store", str(store), "--out", str(out),
            "--steps", str(steps), *OPTIONS, *options,
        ]  # fmt: skip
        environment = {"OMP_NUM_THREADS": "1", "FAULT": fault, "FOLDER": str(self.folder)}
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **environment, "GLOO_SOCKET_IFNAME": "lo"},
                stderr=log,
                stdout=subprocess.DEVNULL,
            )

    def note(self, name, rank):
        """What a process noted; empty if it did not."""
        path = self.folder / f"{name}-{rank}"
        return path.read_text() if path.exists() else ""

    def end(self, timeout=300):
        """Wait for it; its log, and the seconds from the fault to the end of its processes."""
        while self.process.poll() is None and not self._is_over():
            time.sleep(0.02)
        self.ended = time.time()
        self.process.wait(timeout)
        faults = [float(path.read_text()) for path in self.folder.glob("time-*")]
        return (self.folder / "log").read_text(), self.ended - faults[0] if faults else 0.0

    def _is_over(self):
        """Whether the processes have begun and ended; the launcher needs a while for itself."""
        pids = [path.read_text() for path in self.folder.glob("pid-*")]
        return len(pids) == self.processes and not any(map(is_alive, pids))

    def wait_for_step(self, step, rank=0):
        while int(self.note("step", rank) or 0) < step:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.01)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def first_error(log):
    """The first line of a log that reports an error or begins a traceback."""
    return next(
        line for line in log.splitlines() if re.match(r"error:|(\[rank\d\]: )?Traceback", line)
    )


def root_cause(log):
    """What torchrun calls the root cause."""
    return log.partition("Root Cause (first observed failure):")[2]


def assert_same_losses(run, alone):
    """Only the order of summation differs."""
    assert lines(run) == lines(alone)
    for ours, theirs in zip(layout.read_metrics(run), layout.read_metrics(alone), strict=True):
        if "loss" in ours:
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5), ours["step"]


def trained(store, out, **options):
    job = Job(store.path, out, **options)
    log, _ = job.end()
    assert job.process.returncode == 0, log
    return out


@pytest.fixture(scope="module")
def alone(tiny_store, tmp_path_factory):
    """The run of one process."""
    return trained(tiny_store, tmp_path_factory.mktemp("alone") / "run", processes=1)


# --- any number of processes ------------------------------------------------------------------


@pytest.mark.parametrize("processes", [2, 4])
def test_any_number_of_processes_has_the_same_losses(alone, tiny_store, tmp_path, processes):
    run = trained(tiny_store, tmp_path / "run", processes=processes)
    assert_same_losses(run, alone)


def test_a_run_continues_with_another_number_of_processes(alone, tiny_store, tmp_path):
    for processes, fault in ((1, "term:0:2"), (4, "term:3:3"), (2, "none:0:0")):
        job = Job(tiny_store.path, tmp_path / "run", processes=processes, fault=fault)
        log, _ = job.end()
    assert job.process.returncode == 0, log
    assert_same_losses(tmp_path / "run", alone)


# --- dead and stuck processes -----------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_ends_the_job_within_seconds(tiny_store, tmp_path, rank):
    job = Job(tiny_store.path, tmp_path / "run", steps=1000, fault=f"kill:{rank}:4")
    log, seconds = job.end()
    assert job.process.returncode == 1
    assert seconds < MOST_SECONDS
    assert first_error(log).startswith(
        f"error: rank {1 - rank}: the connection to another process was lost"
    )
    assert "SIGKILL" in root_cause(log)
    assert checkpoint.newest(tmp_path / "run" / layout.CHECKPOINTS).step == 3


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_stopped_ends_the_job_in_the_configured_time(tiny_store, tmp_path, rank):
    options = ("--compute.stall-seconds", str(STALL_SECONDS))
    job = Job(
        tiny_store.path, tmp_path / "run", steps=1000, fault=f"stop:{rank}:4", options=options
    )
    log, seconds = job.end()
    assert job.process.returncode == 1
    assert seconds < STALL_SECONDS + MOST_SECONDS
    # the time counts from the end of the step before, which comes after its beginning
    assert job.ended - float(job.note("before", rank)) > STALL_SECONDS
    pid = job.note("pid", rank)
    assert first_error(log) == (
        f"error: rank {1 - rank}: no step finished for {STALL_SECONDS} s:"
        f" rank {rank} (process {pid}) is stopped"
    )
    assert not is_alive(pid)


def test_everything_ends_with_a_launcher_that_is_killed(tiny_store, tmp_path):
    job = Job(tiny_store.path, tmp_path / "run", steps=1000)
    job.wait_for_step(2)
    pids = [int(job.note("pid", rank)) for rank in (0, 1)]
    for pid in list(pids):
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    assert len(pids) == 4
    job.process.send_signal(signal.SIGKILL)
    end = time.monotonic() + MOST_SECONDS
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in pids if is_alive(pid)]
    job.end()


# --- errors and signals in one process --------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise:1:4", "error: rank 1: the fault of this test"),
        ("raise:0:1", "error: rank 0: the fault of this test"),
        ("bug:1:4", "[rank1]: Traceback (most recent call last):"),
        ("loader:0:4", "error: rank 0: a loading worker died before step"),
        ("loader:1:4", "error: rank 1: a loading worker died before step"),
    ],
)
def test_the_first_error_is_the_root_cause_from_the_process_where_it_arose(
    tiny_store, tmp_path, fault, message
):
    job = Job(tiny_store.path, tmp_path / "run", steps=1000, fault=fault)
    log, seconds = job.end()
    assert job.process.returncode == 1
    assert first_error(log).startswith(message)
    kind, rank, _ = fault.split(":")
    expected = "a loading worker died" if kind == "loader" else "the fault of this test"
    assert f"rank      : {rank}" in root_cause(log)
    assert expected in root_cause(log)
    assert seconds < MOST_SECONDS


@pytest.mark.parametrize("kind", ["nan-loss", "nan-gradient"])
@pytest.mark.parametrize("rank", [0, 1])
def test_nan_in_one_process_stops_all_with_the_weights_of_the_step_before(
    tiny_store, tmp_path, kind, rank
):
    straight = trained(
        tiny_store, tmp_path / "straight", steps=8,
        options=("--checkpoint-every", "1", "--keep-checkpoints", "9"),
    )  # fmt: skip
    job = Job(tiny_store.path, tmp_path / "run", fault=f"{kind}:{rank}:5")
    log, _ = job.end()
    assert [job.note("code", one) for one in (0, 1)] == ["1", "1"], log
    reporter = rank if kind == "nan-loss" else 0
    assert first_error(log).startswith(f"error: rank {reporter}: step 5: loss ")
    assert "the weights of step 4 are saved" in first_error(log)
    assert log.count("error: ") == 1
    before = checkpoint.load(straight / layout.CHECKPOINTS / "step-00000004").tensors
    assert_same_tensors(weights(tmp_path / "run"), before)
    assert all(value.isfinite().all() for value in before["model"].values())


@pytest.mark.parametrize(("kind", "code"), [("term", 143), ("usr1", 138)])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_saves_and_ends_all_alike(tiny_store, tmp_path, kind, code, rank):
    job = Job(tiny_store.path, tmp_path / "run", fault=f"{kind}:{rank}:5")
    log, _ = job.end()
    assert [job.note("code", one) for one in (0, 1)] == [str(code)] * 2
    assert checkpoint.newest(tmp_path / "run" / layout.CHECKPOINTS).step == 5
    assert log.count("error: ") == 1
    assert f"stopped by SIG{kind.upper()} after step 5 of 8; the run is saved" in log


def test_a_locked_run_folder_ends_all_processes_alike(tiny_store, tmp_path):
    with files.exclusive(tmp_path / "run" / ".lock", tmp_path / "run"):
        job = Job(tiny_store.path, tmp_path / "run")
        log, _ = job.end()
    assert [job.note("code", one) for one in (0, 1)] == ["75", "75"]
    assert log.count("error: ") == 1
    assert f"is being written by process {os.getpid()}" in first_error(log)
