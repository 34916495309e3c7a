import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from footage.processes.executors import LocalProcesses


def square(number):
    return number * number


def die_on_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(path):
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def fail(number):
    raise ValueError(f"no {number}")


def report_process(_):
    time.sleep(0.2)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_every_task_has_one_outcome(workers):
    outcomes = list(LocalProcesses(workers).run(square, range(20)))
    assert sorted((one.task, one.result) for one in outcomes) == [(n, n * n) for n in range(20)]
    assert all(one.failure == "" for one in outcomes)


def test_work_is_done_in_several_processes():
    processes = {one.result for one in LocalProcesses(2).run(report_process, range(6))}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_task_that_kills_its_worker_every_time_is_given_up():
    outcomes = {one.task: one for one in LocalProcesses(2).run(die_on_three, range(6))}
    assert outcomes[3].failure == "its worker process died 3 times (SIGKILL)"
    assert [outcomes[n].result for n in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]


def test_task_whose_worker_was_killed_once_is_tried_again(tmp_path):
    (outcome,) = LocalProcesses(1).run(die_once, [tmp_path / "mark"])
    assert outcome.result == "survived"


def test_error_of_the_function_reaches_the_caller():
    with pytest.raises(ValueError, match="no 7"):
        list(LocalProcesses(1).run(fail, [7]))


def test_workers_die_with_their_caller():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from footage.processes.executors import LocalProcesses\n"
        "from tests.processes.test_executors import report_process\n"
        "for one in LocalProcesses(2).run(report_process, range(1000)):\n"
        "    print(one.result, flush=True)\n"
    )
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", script, root], stdout=subprocess.PIPE, text=True
    ) as caller:
        worker = int(caller.stdout.readline())
        caller.kill()
    end = time.monotonic() + 60
    while Path(f"/proc/{worker}/cmdline").exists() and time.monotonic() < end:
        if Path(f"/proc/{worker}/cmdline").read_text() == "":  # a zombie that nobody reaps
            break
        time.sleep(0.05)
    assert time.monotonic() < end
