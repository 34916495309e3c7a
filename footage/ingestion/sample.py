"""Decode a sample of the new videos to estimate the cost of ingesting all of them.

The videos, sorted by size, are divided into shares of equal bytes, and the video in the middle of
each share represents it. An estimated total is the number of bytes times the mean, over the shares,
of a quantity per byte (the Hansen-Hurwitz estimator with systematic sampling). The error is the
95 % interval of Student's t for independent shares, which is conservative for quantities that
depend on the size.
"""

import contextlib
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from footage.errors import MachineError
from footage.ingestion.source_table import Source, SourceTable
from footage.ingestion.worker import SourceTask, UnitTask, ingest_unit
from footage.processes.executors import Executor
from footage.store.records import finished_units
from footage.video.detectors.base import DETECTORS
from footage.video.detectors.transnet import TransnetCuts, TransnetProcess

VIDEOS = 16
"""Number of videos in a sample [ours]."""
SECONDS = 60.0
"""No video is started after this time; after twice this time, all are abandoned [ours]."""
_STUDENT = (
    12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13,
)  # fmt: skip
"""97.5 % quantiles of Student's t for 1 to 15 degrees of freedom."""


class _OutOfTimeError(Exception):
    """A video of the sample takes too long."""


class Cost(NamedTuple):
    """What ingesting one video cost and stored."""

    num_bytes: int
    cpu_seconds: float
    seconds: float
    stored_bytes: int
    frames: int
    shots: int
    video_seconds: float
    rejected: str
    """Reason for quarantine; empty if frames were stored."""


class Drawn(NamedTuple):
    """A video of the sample, and the bytes that it represents."""

    source: Source
    num_bytes: int | float


class Estimate(NamedTuple):
    """An estimated total and its error; the error of a single video is unknown and infinite."""

    total: float
    error: float

    @property
    def highest(self) -> float:
        """Upper end of the 95 % interval; the total itself if the error is unknown."""
        return self.total + (0.0 if self.error == float("inf") else self.error)

    @property
    def relative(self) -> str:
        """The error as a percentage of the total."""
        if self.error == float("inf"):
            return "error unknown"
        return f"± {self.error / self.total if self.total else 0.0:.0%}"


def draw(sources: SourceTable, number: int) -> list[Drawn]:
    """Return up to `number` videos, spread over the bytes and sorted by size.

    Args:
        sources: Videos of known size.
        number: Number of shares; a video larger than a share represents several.
    """
    order = np.argsort(sources.num_bytes, kind="stable")
    order = order[sources.num_bytes[order] > 0]
    if len(order) <= number:
        return [Drawn(one, one.num_bytes) for one in sources.take(order)]
    ends = np.cumsum(sources.num_bytes[order])
    share = int(ends[-1]) / number
    hits = np.searchsorted(ends, (np.arange(number) + 0.5) * share, side="right")
    places, counts = np.unique(hits, return_counts=True)
    drawn = zip(sources.take(order[places]), counts.tolist(), strict=True)
    return [Drawn(source, share * count) for source, count in drawn]


class SampleTask(NamedTuple):
    """One video to measure, in a unit of its own."""

    unit: UnitTask
    latest_start: float
    """Time after which it is not started."""
    latest_end: float
    """Time at which it is abandoned."""


def measure(task: SampleTask) -> Cost | str:
    """Ingest a video into a temporary store; return its cost, or the reason for a failure.

    The reason is empty if the time is up.
    """
    if time.time() > task.latest_start:
        return ""
    if DETECTORS.find(task.unit.detector) is TransnetCuts:
        TransnetProcess.of_this_worker()  # started once per worker, not once per video
    try:
        with _until(task.latest_end):
            return _measured(task.unit)
    except _OutOfTimeError:
        return ""
    finally:
        shutil.rmtree(task.unit.store, ignore_errors=True)


def _measured(unit: UnitTask) -> Cost | str:
    cpu, start = _cpu_seconds(), time.perf_counter()
    result = ingest_unit(unit)
    cpu, seconds = _cpu_seconds() - cpu, time.perf_counter() - start
    if result.results[0].failure:
        return result.results[0].failure
    (found,) = finished_units(Path(unit.store))
    row = found.videos.to_pylist()[0]
    return Cost(
        num_bytes=unit.num_bytes,
        cpu_seconds=cpu,
        seconds=seconds,
        stored_bytes=result.stored_bytes,
        frames=row["num_frames"],
        shots=row["num_shots"],
        video_seconds=row["decoded_seconds"],
        rejected=row["reason"] if row["status"] == "quarantined" else "",
    )


@contextlib.contextmanager
def _until(end: float) -> Iterator[None]:
    """Raise an error in the main thread, which runs the tasks of a worker, at a given time."""

    def stop(*_: object) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, end - time.time()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _cpu_seconds() -> float:
    """CPU time of this process and of its ended and running children."""
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    ended = sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, kinds))
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            with contextlib.suppress(OSError):  # it has just ended
                words = Path("/proc", child, "stat").read_text().rpartition(")")[2].split()
                ticks += int(words[11]) + int(words[12])
    return ended + ticks / os.sysconf("SC_CLK_TCK")


def costs(
    drawn: Sequence[Drawn], unit: UnitTask, executor: Executor, seconds: float
) -> list[tuple[Drawn, Cost]]:
    """Ingest the videos of a sample until the time is up, in an order that mixes sizes.

    Args:
        drawn: The sample, sorted by size.
        unit: A task whose store is a temporary folder; its other settings are used.
        executor: Runs the tasks.
        seconds: No video is started after this time; after twice this time, all are abandoned.

    Raises:
        MachineError: No video could be processed, because the machine failed.
    """
    start = time.time()
    order = sorted(range(len(drawn)), key=lambda place: _reversed_bits(place, len(drawn)))
    tasks = [
        SampleTask(
            unit._replace(
                sources=(SourceTask(drawn[place].source),), store=Path(unit.store, str(place))
            ),
            start + seconds,
            start + 2 * seconds,
        )
        for place in order
    ]
    found: dict[int, Cost] = {}
    failures: list[str] = []
    for task, result, failure in executor.run(measure, tasks):
        if isinstance(result, Cost):
            found[int(Path(task.unit.store).name)] = result
        elif failure or result:
            failures.append(failure or result)
    if failures and not found:
        raise MachineError(
            f"no video of the sample could be processed: {failures[0]}",
            "free memory, or lower --workers or --limits.memory-bytes",
        )
    return _represented(drawn, found)


def _reversed_bits(place: int, count: int) -> int:
    width = max(1, (count - 1).bit_length())
    return int(f"{place:0{width}b}"[::-1], 2)


def _represented(drawn: Sequence[Drawn], found: dict[int, Cost]) -> list[tuple[Drawn, Cost]]:
    """Let the measured video of the nearest size represent each unmeasured one."""
    bytes_of = dict.fromkeys(sorted(found), 0.0)
    for place, one in enumerate(drawn):
        if found:
            bytes_of[min(bytes_of, key=lambda other: abs(other - place))] += one.num_bytes
    return [
        (Drawn(drawn[place].source, weight), found[place]) for place, weight in bytes_of.items()
    ]


def total(sample: Sequence[tuple[Drawn, Cost]], quantity: str) -> Estimate:
    """Return the estimated total of a quantity over all videos.

    Args:
        sample: The measured videos, with the bytes that they represent; not empty.
        quantity: Name of a field of `Cost`.
    """
    every = sum(drawn.num_bytes for drawn, _ in sample)
    shares = [drawn.num_bytes / every for drawn, _ in sample]
    per_byte = [getattr(cost, quantity) / cost.num_bytes for _, cost in sample]
    mean = sum(share * one for share, one in zip(shares, per_byte, strict=True))
    left = max(0.0, 1 - sum(cost.num_bytes for _, cost in sample) / every)
    if left == 0:
        return Estimate(every * mean, 0.0)
    if len(sample) == 1:
        return Estimate(every * mean, float("inf"))
    squares = sum(share * (one - mean) ** 2 for share, one in zip(shares, per_byte, strict=True))
    degrees = len(sample) - 1
    quantile = _STUDENT[min(degrees, len(_STUDENT)) - 1]
    return Estimate(every * mean, quantile * every * (squares / degrees * left) ** 0.5)
