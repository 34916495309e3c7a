"""What a training run reports: a progress bar, JSON lines and TensorBoard.

    metrics.jsonl   {"step": 12, "loss": .., "learning_rate": .., "gradient_norm": ..,
                     "images_per_second": .., "data_wait": .., "levels": {..}}
                    {"step": 100, "probe": {..}, "advice": [..]}

`step` counts the optimiser steps taken when the line was written. Only the first process writes.
All lines up to a checkpoint are on disk before the checkpoint is, and a resumed run drops the lines
after it, so that a kill neither repeats nor loses a line.
"""

import contextlib
import logging
import math
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from footage.io import files
from footage.progress import progress_bar
from footage.runs import layout

log = logging.getLogger(__name__)

RECENT_STEPS = 50
"""Steps over which the shown rates and losses are averaged."""

QUIET_SECONDS = 30.0
"""Without a terminal, a line of progress is written this often instead of a bar."""


class Journal:
    """Records metrics while open; once closed, everything is on disk.

    Args:
        run: The run folder; lines after `first_step` are dropped, because they are written again.
        first_step: Steps already taken.
        total_steps: Steps of the whole run.
        active: Whether this process writes.
    """

    def __init__(self, run: Path, *, first_step: int, total_steps: int, active: bool) -> None:
        self.active = active
        self.total_steps = total_steps
        self.recent: deque[Mapping[str, float]] = deque(maxlen=RECENT_STEPS)
        self._last_line = time.monotonic()
        if not active:
            return
        layout.rewind_metrics(run, first_step)
        self._lines = _Lines(run / layout.METRICS)
        self._board = _Board(run / layout.TENSORBOARD, first_step + 1)
        self._first_step = first_step
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> "Journal":
        if self.active:
            bar = progress_bar("train", total=self.total_steps, unit="steps")
            self._bar = self._closing.enter_context(bar)
            self._bar.update(self._first_step)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.active:
            self._closing.close()
            self._lines.close()
            self._board.close()

    def step(self, step: int, levels: Mapping[str, float], **values: float) -> None:
        """Record one optimiser step.

        Args:
            step: Steps taken, this one included.
            levels: Value of each level of the objective.
            values: `loss`, `images_per_second`, `data_wait` and what else is measured.
        """
        self.recent.append({**levels, **values})
        if not self.active:
            return
        self._lines.add({"step": step, **values, "levels": dict(levels)})
        self._board.add({**values, **{f"level/{k}": v for k, v in levels.items()}}, step)
        self._bar.update(step, rate=f"{self._images_per_second():.0f} images/s")
        if not self._bar.is_shown and time.monotonic() - self._last_line > QUIET_SECONDS:
            self._last_line = time.monotonic()
            log.info("step %d of %d  %s", step, self.total_steps, self._rates(levels))

    def probe(self, step: int, probed: Mapping[str, float], advice: Sequence[str]) -> None:
        """Record online metrics of the held-out videos, and log problems."""
        if not self.active:
            return
        broken = [name for name, value in probed.items() if not math.isfinite(value)]
        probed = {name: value for name, value in probed.items() if name not in broken}
        advice = [*advice, *(f"{name} is not a finite number" for name in broken)]
        self._lines.add({"step": step, "probe": probed, "advice": advice})
        self._board.add({f"probe/{name}": value for name, value in probed.items()}, step)
        if probed:  # without videos there is nothing to look at
            log.info("step %d: %s", step, "  ".join(f"{k} {v:.3f}" for k, v in probed.items()))
        for sentence in advice:
            log.warning("%s", sentence)

    def mean(self, name: str) -> float:
        """A value's mean over the recent steps."""
        return sum(values[name] for values in self.recent) / max(len(self.recent), 1)

    def flush(self) -> None:
        """Sync all lines so far to disk; called before each checkpoint.

        Raises:
            OutputError: The lines cannot be written; they are kept and retried next time.
        """
        if self.active:
            self._lines.flush()
            self._board.flush()

    def _rates(self, levels: Mapping[str, float]) -> str:
        parts = [f"{name} {self.mean(name):.3f}" for name in levels]
        rate, wait = self._images_per_second(), self.mean("data_wait")
        return "  ".join([*parts, f"{rate:.0f} images/s", f"data wait {wait:.0%}"])

    def _images_per_second(self) -> float:
        """Harmonic mean over the recent steps, because each has the same number of images."""
        seconds = [1 / values["images_per_second"] for values in self.recent]
        return len(seconds) / sum(seconds)


class _Lines:
    """Appends lines to a file; lines that do not fit on the disk are buffered until they do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = bytearray()
        with files.output_errors(path):
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def add(self, line: Mapping[str, object]) -> None:
        self._waiting += layout.METRICS_LINE.line(line).encode()
        with contextlib.suppress(OSError):  # `flush` reports it
            self._write()

    def flush(self) -> None:
        with files.output_errors(self._path):
            self._write()
            os.fsync(self._file)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a resumed run writes these lines again
            self._write()
        os.close(self._file)

    def _write(self) -> None:
        while self._waiting:
            del self._waiting[: os.write(self._file, self._waiting)]


class _Board:
    """A copy of the metrics for TensorBoard; training continues if it cannot be written."""

    def __init__(self, folder: Path, first_step: int) -> None:
        self._folder = folder
        self._records: RecordWriter | None = None
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        with self._until_it_fails():
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter((folder / name).open("wb"))
        self._write(file_version="brain.Event:2")
        # TensorBoard drops what an earlier file has of this step and those after it.
        start = SessionLog(status=SessionLog.START)
        self._write(step=first_step, session_log=start)

    def add(self, values: Mapping[str, float], step: int) -> None:
        numbers = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=numbers))

    def flush(self) -> None:
        with self._until_it_fails():
            if self._records is not None:
                self._records.flush()

    def close(self) -> None:
        with self._until_it_fails():
            if self._records is not None:
                self._records.close()

    def _write(self, **fields: Any) -> None:  # noqa: ANN401
        with self._until_it_fails():
            if self._records is not None:
                event = Event(wall_time=time.time(), **fields)
                self._records.write(event.SerializeToString())

    @contextlib.contextmanager
    def _until_it_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._records = None
            log.warning(
                "TensorBoard's files in %s cannot be written: %s; training continues without them",
                self._folder,
                error.strerror or error,
            )
