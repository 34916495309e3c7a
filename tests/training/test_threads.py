"""The choice of torch's threads, with step durations from a model of the machine."""

import itertools
import os
import subprocess
import sys
import time

import pytest
import torch

from footage.training.threads import PATIENCE, ThreadChoice, candidates, torch_threads

QUIET = {8: 0.2, 4: 0.3, 2: 0.5, 1: 0.9}
"""Seconds of a step on a machine whose cores are all free."""

BUSY = {8: 9.0, 4: 0.35, 2: 0.55, 1: 0.95}
"""The same when another process takes a core: threads on all cores wait for it."""


def steps(choice, seconds, number):
    """Take steps at the speeds that `seconds` gives, and list the counts they were taken with."""
    taken = []
    for _ in range(number):
        taken.append(choice.threads)
        choice.after_step(seconds[choice.threads])
    return taken


def test_candidates_are_halves_down_to_one_thread():
    assert candidates(8) == [8, 4, 2, 1]
    assert candidates(6) == [6, 3, 1]
    assert candidates(1) == [1]


def test_on_free_cores_the_most_threads_stay():
    lines = []
    choice = ThreadChoice([2, 1], lines.append)
    assert steps(choice, QUIET, 300) == [2, 2, 2, 1, 1, *[2] * 295]
    assert lines == []


def test_a_machine_that_is_busy_from_the_start_gets_fewer_threads_after_the_first_steps():
    lines = []
    choice = ThreadChoice([8, 4, 2, 1], lines.append)
    assert steps(choice, BUSY, 9) == [8, 8, 8, 4, 4, 2, 2, 4, 4]
    assert lines == ["using 4 of 8 threads: a step takes 0.35 s instead of 9.00 s"]


def test_two_slow_steps_in_a_row_change_the_number():
    lines = []
    choice = ThreadChoice([2, 1], lines.append)
    steps(choice, {2: 0.4, 1: 0.7}, 50)
    assert steps(choice, {2: 8.0, 1: 0.7}, 6) == [2, 2, 1, 1, 1, 1]
    assert lines == ["using 1 of 2 threads: a step takes 0.70 s instead of 8.00 s"]


def test_a_single_slow_step_changes_nothing():
    choice = ThreadChoice([2, 1])
    steps(choice, {2: 0.4, 1: 0.7}, 50)
    assert choice.after_step(9.0) == 2
    assert steps(choice, {2: 0.4, 1: 0.7}, 50) == [2] * 50


def test_more_threads_return_when_the_cores_are_free_again():
    lines = []
    choice = ThreadChoice([2, 1], lines.append)
    steps(choice, {2: 8.0, 1: 0.7}, 20)
    assert choice.threads == 1
    steps(choice, {2: 0.4, 1: 0.7}, PATIENCE + 20)
    assert choice.threads == 2
    assert lines[-1] == "using 2 of 2 threads: a step takes 0.40 s instead of 0.70 s"


def test_more_threads_are_tried_more_and_more_rarely_while_they_do_not_help():
    choice = ThreadChoice([2, 1], lambda _: None)
    taken = steps(choice, {2: 8.0, 1: 0.7}, 2000)
    tried = [number for number, threads in enumerate(taken) if threads == 2 and number > 3]
    gaps = [after - before for before, after in itertools.pairwise(tried)]
    assert len(tried) == 4
    assert all(2 * before <= after + 2 for before, after in itertools.pairwise(gaps))


def test_a_machine_that_is_slower_with_any_number_keeps_its_number_and_is_not_tried_for_ever():
    choice = ThreadChoice([2, 1], lambda _: None)
    steps(choice, {2: 0.4, 1: 0.7}, 50)
    taken = steps(choice, {2: 2.0, 1: 3.5}, 100)
    assert taken == [2, 2, 1, 1, *[2] * 96]


def test_torch_has_its_own_number_of_threads_again_afterwards():
    before = torch.get_num_threads()
    with torch_threads(3, adaptive=False) as after_step:
        assert torch.get_num_threads() == 3
        for seconds in (1.0, 1.0, 50.0, 50.0, 50.0):
            after_step(seconds)
        assert torch.get_num_threads() == 3  # a fixed number stays, whatever the speed
    assert torch.get_num_threads() == before


def test_an_adaptive_number_is_set_in_torch():
    with torch_threads(2, adaptive=True) as after_step:
        for seconds in (1.0, 1.0, 1.0):
            after_step(seconds)
        assert torch.get_num_threads() == 1  # on trial
        after_step(5.0)
        assert torch.get_num_threads() == 2


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_training_leaves_a_core_that_another_process_takes():
    before = os.sched_getaffinity(0)
    first, second = sorted(before)[:2]
    network = torch.nn.Sequential(*[torch.nn.Conv2d(64, 64, 3, padding=1) for _ in range(4)])
    images = torch.randn(8, 64, 32, 32)
    others = []
    os.sched_setaffinity(0, {first, second})
    try:
        with torch_threads(2, adaptive=True) as after_step:
            used = []
            for number in range(40):
                if number == 20:
                    code = f"import os\nos.sched_setaffinity(0, {{{second}}})\nwhile True: pass"
                    others.append(subprocess.Popen([sys.executable, "-c", code]))
                    time.sleep(1)
                began = time.perf_counter()
                network(images).square().mean().backward()
                after_step(time.perf_counter() - began)
                used.append(torch.get_num_threads())
            assert used[-1] == 1
    finally:
        for other in others:
            other.kill()
            other.wait()
        os.sched_setaffinity(0, before)
