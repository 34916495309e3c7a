"""The log of a training run: a progress bar, metrics.jsonl, and further loggers.

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
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from footage.io import files
from footage.progress import progress_bar
from footage.runs import layout
from footage.text import redacted
from footage.training.loggers.base import Picture
from footage.training.loggers.guarded import GuardedLoggers
from footage.training.system_figures import system_figures

log = logging.getLogger(__name__)

RECENT_STEPS = 50
"""Number of steps over which displayed rates and losses are averaged."""

QUIET_SECONDS = 30.0
"""Interval of progress lines when stderr is not a terminal, between those of the first and the last
step.
"""

SYSTEM_SECONDS = 10.0
"""Interval at which loggers receive load and memory of the machine [ours]."""

LISTS = ("held_out", "classes", "extended_at")
"""Parts of run.json that loggers do not receive: they may be long."""


class TrainingLog:
    """Log of metrics while open; on closing, everything is on disk.

    Args:
        run: The run folder; lines after `first_step` are dropped, because they are written again.
        first_step: Number of steps already taken.
        total_steps: Number of steps of the whole run.
        active: Whether this process writes.
        loggers: Names of metric loggers in addition to metrics.jsonl.
    """

    def __init__(
        self,
        run: Path,
        *,
        first_step: int,
        total_steps: int,
        active: bool,
        loggers: Sequence[str] = ("tensorboard",),
    ) -> None:
        self.active = active
        self.total_steps = total_steps
        self.recent: deque[Mapping[str, float]] = deque(maxlen=RECENT_STEPS)
        self._last_line = time.monotonic()
        self._last_figures = -math.inf
        self._probed: Mapping[str, float] = {}
        if not active:
            return
        layout.rewind_metrics(run, first_step)
        self._first_step = first_step
        with contextlib.ExitStack() as opened:
            self._lines = _Lines(run / layout.METRICS)
            opened.callback(self._lines.close)
            self._loggers = GuardedLoggers(loggers, run, first_step)
            opened.callback(self._loggers.close)
            self._closing = opened.pop_all()

    def __enter__(self) -> "TrainingLog":
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

    def config(self, record: Mapping[str, object]) -> None:
        """Pass the content of run.json to the loggers."""
        if self.active:
            kept = {key: record[key] for key in record if key not in LISTS}
            self._loggers.config(_without_secrets(kept))

    def images(self, step: int, images: Mapping[str, Picture]) -> None:
        """Pass pictures to the loggers."""
        if self.active and images:
            self._loggers.images(step, images)

    def summary(self, steps: int) -> None:
        """Pass the final results to the loggers: recent means, online metrics, and the steps."""
        if not self.active:
            return
        recent = self.recent[-1] if self.recent else {}
        means = {f"final/{name}": self.mean(name) for name in recent}
        probed = {f"final/probe/{name}": value for name, value in self._probed.items()}
        self._loggers.summary({**means, **probed, "steps": float(steps)})

    def step(self, step: int, levels: Mapping[str, float], **values: float) -> None:
        """Record one optimiser step.

        Args:
            step: Number of steps taken, including this one.
            levels: Value of each level of the objective.
            values: `loss`, `images_per_second`, `data_wait` and other measurements.
        """
        self.recent.append({**levels, **values})
        if not self.active:
            return
        self._lines.add({"step": step, **values, "levels": dict(levels)})
        logged = {**values, **{f"level/{name}": value for name, value in levels.items()}}
        if time.monotonic() - self._last_figures > SYSTEM_SECONDS:
            self._last_figures = time.monotonic()
            logged |= system_figures()
        self._loggers.log(step, logged)
        self._bar.update(step, rate=f"{self._images_per_second():.0f} images/s")
        is_end = step in (self._first_step + 1, self.total_steps)
        is_due = is_end or time.monotonic() - self._last_line > QUIET_SECONDS
        if is_due:
            self._last_line = time.monotonic()
            extra = {"only_file": self._bar.is_shown}  # the bar shows it on a terminal
            log.info("step %d of %d  %s", step, self.total_steps, self._rates(levels), extra=extra)

    def probe(self, step: int, probed: Mapping[str, float], advice: Sequence[str]) -> None:
        """Record online metrics of the held-out videos, and log problems."""
        if not self.active:
            return
        broken = [name for name, value in probed.items() if not math.isfinite(value)]
        probed = {name: value for name, value in probed.items() if name not in broken}
        advice = [*advice, *(f"{name} is not a finite number" for name in broken)]
        self._probed = probed
        self._lines.add({"step": step, "probe": probed, "advice": advice})
        self._loggers.log(step, {f"probe/{name}": value for name, value in probed.items()})
        if probed:  # empty without videos
            for line in self._lines_of([f"step {step}:", *_values(probed)]):
                log.info("%s", line)
        for sentence in advice:
            log.warning("%s", sentence)

    def mean(self, name: str) -> float:
        """Return a value's mean over the recent steps."""
        return sum(values[name] for values in self.recent) / max(len(self.recent), 1)

    def flush(self) -> None:
        """Sync all lines so far to disk; called before each checkpoint.

        Raises:
            OutputError: The lines cannot be written; they are kept and retried next time.
        """
        if self.active:
            self._lines.flush()
            self._loggers.flush()

    def _lines_of(self, parts: Sequence[str]) -> Iterator[str]:
        """Join parts to a line; on a terminal, to lines that do not wrap inside a part."""
        width = shutil.get_terminal_size().columns if self._bar.is_shown else sys.maxsize
        line = parts[0]
        for part in parts[1:]:
            separator = " " if line is parts[0] else "  "
            if len(line) + len(separator) + len(part) > width:
                yield line
                line = f"  {part}"
            else:
                line += separator + part
        yield line

    def _rates(self, levels: Mapping[str, float]) -> str:
        parts = _values({name: self.mean(name) for name in levels})
        rate, wait = self._images_per_second(), self.mean("data_wait")
        return "  ".join([*parts, f"{rate:.0f} images/s", f"data wait {wait:.0%}"])

    def _images_per_second(self) -> float:
        """Return the harmonic mean over recent steps, which have equal numbers of images."""
        seconds = [1 / values["images_per_second"] for values in self.recent]
        return len(seconds) / sum(seconds)


def _without_secrets(value: Any) -> Any:  # noqa: ANN401
    """Return nested values with URLs and tokens redacted."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: _without_secrets(one) for key, one in value.items()}
    return [_without_secrets(one) for one in value] if isinstance(value, list | tuple) else value


def _values(named: Mapping[str, float]) -> list[str]:
    return [f"{name} {value:.3f}" for name, value in named.items()]


class _Lines:
    """Append lines to a file; lines that do not fit on the disk are buffered until they do."""

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
