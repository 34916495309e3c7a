import os
import signal
import time
from pathlib import Path

import pytest

from footage.errors import ConfinedError, MachineError
from footage.sandbox.messages import Confinement, cpu_seconds_of
from footage.sandbox.worker import ConfinedWorker

FUNCTION = "tests.sandbox.functions:obey"


def confinement(**changes):
    usual = {
        "memory_bytes": 2**28,
        "cpu_seconds": 20,
        "wall_seconds": 60.0,
        "silent_seconds": 60.0,
    }
    return Confinement(**usual | changes)


def children():
    return set(Path("/proc/thread-self/children").read_text().split())


@pytest.fixture(scope="module")
def worker():
    with ConfinedWorker(FUNCTION, confinement()) as worker:
        yield worker


def test_calls_are_answered_by_one_process(worker):
    before = int(worker.call(b"count"))
    assert worker.call(b"reverse stressed") == b"desserts"
    assert worker.call(b"zeros 100000000") == bytes(100_000_000)
    assert int(worker.call(b"count")) == before + 3
    assert worker.sandbox.active


def test_files_are_passed_as_descriptors_and_closed_afterwards(worker, tmp_path):
    before = worker.call(b"descriptors")
    for content in ("one", "two"):
        (tmp_path / content).write_text(content)
    with (tmp_path / "one").open() as one, (tmp_path / "two").open() as two:
        assert worker.call(b"read", [one.fileno(), two.fileno()]) == b"one|two"
        with pytest.raises(ConfinedError, match="cannot be read today"):
            worker.call(b"fail cannot be read today", [one.fileno()])
    assert worker.call(b"descriptors") == before


def test_process_can_open_nothing_and_sees_no_environment(worker):
    with pytest.raises(ConfinedError, match="Permission denied"):
        worker.call(b"open /etc/passwd")
    assert worker.call(b"environment") == b""


def test_failed_work_does_not_cost_the_process(worker):
    before = int(worker.call(b"count"))
    with pytest.raises(ConfinedError, match=r"^not today$"):
        worker.call(b"fail not today")
    assert int(worker.call(b"count")) == before + 2


@pytest.mark.parametrize(
    ("request_", "changes", "reason"),
    [
        (b"crash", {}, r"crashed \(SIGSEGV\)"),
        (b"sleep 60", {"wall_seconds": 0.3}, "more than 0.3 s"),
        (b"sleep 60", {"silent_seconds": 0.3}, "stalled: no output for 0.3 s"),
        (b"burn", {"cpu_seconds": 1}, "more than 1 s of CPU time"),
        (b"allocate 1000000000", {}, "needs more than 268435456 bytes"),
    ],
)
def test_faulty_input_costs_itself_and_the_next_one_gets_a_new_process(request_, changes, reason):
    before = children()
    with ConfinedWorker(FUNCTION, confinement(**changes)) as worker:
        worker.call(b"reverse x")
        with pytest.raises(ConfinedError, match=reason):
            worker.call(request_)
        assert worker.call(b"count") == b"1"
    assert children() == before


def test_answer_that_is_too_large_is_refused(worker):
    with pytest.raises(ConfinedError, match="invalid message from the decoder process: 100000"):
        worker.call(b"zeros 100000", largest_answer=99_999)
    assert worker.call(b"zeros 100000", largest_answer=100_000) == bytes(100_000)


def test_memory_within_the_limit_is_given(worker):
    assert worker.call(b"allocate 200000000") == b"200000000"


def test_process_that_is_killed_while_idle_is_replaced():
    before = children()
    with ConfinedWorker(FUNCTION, confinement()) as worker:
        worker.call(b"reverse x")
        (process,) = children() - before
        os.kill(int(process), signal.SIGKILL)
        os.waitid(os.P_PID, int(process), os.WEXITED | os.WNOWAIT)
        assert worker.call(b"count") == b"1"


def test_process_that_is_killed_from_outside_is_not_the_fault_of_the_input():
    before = children()
    with ConfinedWorker(FUNCTION, confinement()) as worker:
        worker.call(b"reverse x")
        (process,) = children() - before
        killer = os.fork()
        if killer == 0:
            try:
                begin = cpu_seconds_of(int(process))
                while cpu_seconds_of(int(process)) < begin + 0.05:  # until it is at work
                    time.sleep(0.01)
                os.kill(int(process), signal.SIGKILL)
            finally:
                os._exit(0)
        with pytest.raises(MachineError, match="killed from outside"):
            worker.call(b"burn")
        os.waitpid(killer, 0)
        assert worker.call(b"count") == b"1"


def test_process_is_replaced_after_many_calls():
    with ConfinedWorker(FUNCTION, confinement(), calls_per_process=3) as worker:
        counts = [int(worker.call(b"count")) for _ in range(5)]
    assert counts == [1, 2, 3, 1, 2]


def test_import_that_starts_threads_is_refused():
    with (
        ConfinedWorker("tests.sandbox.threaded:obey", confinement()) as worker,
        pytest.raises(MachineError, match="could not start: exit code 1"),
    ):
        worker.call(b"")
