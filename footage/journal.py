"""What a training run tells while it goes on: a progress bar, JSON lines and TensorBoard.

    metrics.jsonl   {"step": 12, "loss": .., "learning_rate": .., "gradient_norm": ..,
                     "images_per_second": .., "data_wait": .., "levels": {..}}
                    {"step": 100, "probe": {..}, "advice": [..]}

`step` counts the optimiser steps taken when the line was written. Only the first process writes.
"""

import json
import logging
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from footage import runs

log = logging.getLogger(__name__)

RECENT_STEPS = 50
"""Steps over which the shown rates and losses are averaged."""

QUIET_SECONDS = 30.0
"""Without a terminal, a line of progress is written this often instead of a bar."""


class Journal:
    """Open while a run trains; closed, everything is on disk.

    Args:
        run: The run folder; lines after `first_step` are dropped, for they will come again.
        first_step: Steps already taken.
        total_steps: Steps of the whole run.
        active: Whether this process is the one that writes.
    """

    def __init__(self, run: Path, *, first_step: int, total_steps: int, active: bool) -> None:
        self.active = active
        self.total_steps = total_steps
        self.recent: deque[Mapping[str, float]] = deque(maxlen=RECENT_STEPS)
        self._last_line = time.monotonic()
        if not active:
            return
        runs.rewind_metrics(run, first_step)
        self._lines = (run / runs.METRICS).open("a")
        self._board = SummaryWriter(str(run / runs.TENSORBOARD), purge_step=first_step + 1)
        self._progress = Progress(
            TextColumn("train"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[talk]}"),
            console=Console(file=sys.stderr), disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._bar = self._progress.add_task("", total=total_steps, completed=first_step, talk="")

    def __enter__(self) -> "Journal":
        if self.active:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.active:
            self._progress.stop()
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
        self._write({"step": step, **values, "levels": dict(levels)})
        for name, value in {**values, **{f"level/{k}": v for k, v in levels.items()}}.items():
            self._board.add_scalar(name, value, step)
        talk = self._talk(levels)
        self._progress.update(self._bar, completed=step, talk=talk)
        if self._progress.disable and time.monotonic() - self._last_line > QUIET_SECONDS:
            self._last_line = time.monotonic()
            log.info("step %d of %d  %s", step, self.total_steps, talk)

    def probe(self, step: int, probed: Mapping[str, float], advice: Sequence[str]) -> None:
        """Record a look at the held-out videos, and say what is wrong."""
        if not self.active:
            return
        self._write({"step": step, "probe": dict(probed), "advice": list(advice)})
        self._lines.flush()
        for name, value in probed.items():
            self._board.add_scalar(f"probe/{name}", value, step)
        if probed:  # without videos there is nothing to look at
            log.info("step %d: %s", step, "  ".join(f"{k} {v:.3f}" for k, v in probed.items()))
        for sentence in advice:
            log.warning("%s", sentence)

    def mean(self, name: str) -> float:
        """A value's mean over the recent steps."""
        return sum(values[name] for values in self.recent) / max(len(self.recent), 1)

    def flush(self) -> None:
        """Put every line written so far on disk; called before each checkpoint."""
        if self.active:
            self._lines.flush()
            self._board.flush()

    def _write(self, line: Mapping[str, object]) -> None:
        self._lines.write(json.dumps(line) + "\n")

    def _talk(self, levels: Mapping[str, float]) -> str:
        parts = [f"{name} {self.mean(name):.3f}" for name in levels]
        # steps hold equally many images, so their rates have a harmonic mean
        seconds = [1 / values["images_per_second"] for values in self.recent]
        rate, wait = len(seconds) / sum(seconds), self.mean("data_wait")
        return "  ".join([*parts, f"{rate:.0f} images/s", f"data wait {wait:.0%}"])
