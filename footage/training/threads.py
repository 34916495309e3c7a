"""Choose the number of torch threads on a CPU, and again whenever steps become slow.

The threads of a step wait for each other. When another process takes one of their cores, all of
them wait for the slowest: two threads on two cores fall to a twentieth of their speed, while one
thread keeps its speed (experiments/notebook.md). So training measures its steps and tries other
counts:

    at the start              from the most threads downwards
    two slow steps in a row   downwards from the present count
    after many steps          upwards again, less and less often while that does not help

A trial consists of ordinary training steps and ends at the first count that is not faster.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

log = logging.getLogger(__name__)

SLOW = 2.0
"""A step is slow if it takes this many times as long as the fastest one [ours]."""

FASTER = 0.9
"""Another count is chosen only if it takes less than this fraction of the time [ours]."""

FIRST_STEPS = 3
"""Steps that measure the first count; the very first step also sets up the network [ours]."""

TRIAL_STEPS = 2
"""Steps that measure every other count; one is enough if it is slow [ours]."""

PATIENCE = 128
"""Steps before more threads are tried; doubled each time they do not help [ours]."""


@dataclass(slots=True)
class _Trial:
    """A trial of several thread counts, one after the other."""

    before: int
    """Number of threads before the trial."""
    towards: int
    """Direction in the list of counts: 1 to fewer threads, -1 to more."""
    steps: int = TRIAL_STEPS
    """Steps that measure the present count."""
    times: list[float] = field(default_factory=list)
    """Durations of the present count's steps so far."""
    measured: dict[int, float] = field(default_factory=dict)
    """Seconds per step by number of threads."""

    @property
    def fastest(self) -> float:
        """Seconds per step of the fastest count so far."""
        return min(self.measured.values(), default=math.inf)


class ThreadChoice:
    """Choice of the number of threads for each step, from the durations of the steps before it.

    Args:
        counts: Candidate numbers of threads, the largest first. With one there is no choice.
        report: Called with one sentence whenever the number changes.
    """

    def __init__(self, counts: Sequence[int], report: Callable[[str], None] = log.info) -> None:
        self.counts = list(counts)
        self.threads = counts[0]
        """Number of threads for the next step."""
        self._report = report
        self._trial: _Trial | None = None
        if len(self.counts) > 1:
            self._trial = _Trial(before=self.threads, towards=1, steps=FIRST_STEPS)
        self._fastest = math.inf
        self._slow: list[float] = []
        self._patience = PATIENCE
        self._steps = 0

    def after_step(self, seconds: float) -> int:
        """Record the duration of a step.

        Returns:
            The number of threads for the next step.
        """
        if self._trial is not None:
            self._measure(self._trial, seconds)
        elif len(self.counts) > 1:
            self._detect_slowdown(seconds)
        return self.threads

    def _detect_slowdown(self, seconds: float) -> None:
        """Start a trial if steps have become slow, or if it is time to try more threads."""
        self._steps += 1
        self._fastest = min(self._fastest, seconds)
        self._slow = [*self._slow, seconds] if seconds > SLOW * self._fastest else []
        is_slow = len(self._slow) == 2
        if is_slow or (self._steps >= self._patience and self.threads < self.counts[0]):
            now = min(self._slow) if is_slow else self._fastest
            trial = _Trial(before=self.threads, towards=1 if is_slow else -1)
            trial.measured[self.threads] = now
            self._trial = trial
            self._next(trial)

    def _measure(self, trial: _Trial, seconds: float) -> None:
        trial.times.append(seconds)
        if len(trial.times) < trial.steps and seconds < SLOW * trial.fastest:
            return
        is_faster = min(trial.times) < FASTER * trial.fastest
        trial.measured[self.threads] = min(trial.times)
        if is_faster:
            self._next(trial)
        else:
            self._end(trial)

    def _next(self, trial: _Trial) -> None:
        """Measure the next candidate; without one, end the trial."""
        place = self.counts.index(self.threads) + trial.towards
        if 0 <= place < len(self.counts):
            self.threads, trial.times, trial.steps = self.counts[place], [], TRIAL_STEPS
        else:
            self._end(trial)

    def _end(self, trial: _Trial) -> None:
        """Choose the fastest count, unless the gain is too small."""
        best = trial.before
        for threads, seconds in trial.measured.items():
            if seconds < FASTER * trial.measured[best]:
                best = threads
        if best != trial.before:
            self._report(
                f"using {best} of {self.counts[0]} threads: a step takes "
                f"{trial.measured[best]:.2f} s instead of {trial.measured[trial.before]:.2f} s"
            )
            self._patience = PATIENCE
        elif trial.towards == -1:
            self._patience *= 2
        self.threads, self._fastest = best, trial.measured[best]
        self._trial, self._slow, self._steps = None, [], 0


def candidates(most: int) -> list[int]:
    """Halve `most` threads repeatedly, down to one."""
    counts = [most]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return counts


@contextmanager
def torch_threads(threads: int, *, adaptive: bool) -> Iterator[Callable[[float], None]]:
    """Set torch's number of threads while open, and restore it afterwards.

    Args:
        threads: Number of threads; 0 starts with torch's own.
        adaptive: Adapt the number to the speed of the steps.

    Yields:
        A function to call with the duration of each step in seconds.
    """
    before = torch.get_num_threads()
    most = threads or before
    choice = ThreadChoice(candidates(most) if adaptive else [most])
    torch.set_num_threads(choice.threads)

    def after_step(seconds: float) -> None:
        if choice.after_step(seconds) != torch.get_num_threads():
            torch.set_num_threads(choice.threads)

    try:
        yield after_step
    finally:
        torch.set_num_threads(before)
