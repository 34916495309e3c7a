"""The result of training: the run folder, and the last numbers in it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from footage.results import Fields, PathResult, View
from footage.runs import layout


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class TrainingResult(PathResult):
    """A run after training; usable as the path of its folder."""

    path: Path
    """The run folder."""
    recipe: str
    steps: int
    """Number of optimiser steps of the whole run."""
    step: int = 0
    """Number of optimiser steps taken."""
    loss: float | None = None
    """Loss of the last step; None before the first."""
    levels: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Value of each level of the objective in the last step."""
    online_metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Last online metrics of the held-out videos; empty without any."""
    advice: Sequence[str] = ()
    """Advice that came with them."""

    def views(self) -> Sequence[View]:
        """Return the folder and the numbers, one line each."""
        rows: list[tuple[str, object]] = [
            ("run", self.path),
            ("recipe", self.recipe or "none"),
            ("steps", f"{self.step:,} of {self.steps:,}"),
        ]
        rows += [("loss", f"{self.loss:.4g}")] if self.loss is not None else []
        rows += [(name, f"{value:.4g}") for name, value in self.online_metrics.items()]
        rows += [("advice", sentence) for sentence in self.advice]
        return [Fields(rows)]


def read_result(run: Path) -> TrainingResult:
    """Return the result of a run.

    Raises:
        CheckpointError: The folder contains no run, or a file of it is damaged.
    """
    record, lines = layout.read_record(run), layout.read_metrics(run)
    last: dict[str, Any] = next((line for line in reversed(lines) if "loss" in line), {})
    probe: dict[str, Any] = next((line for line in reversed(lines) if "probe" in line), {})
    return TrainingResult(
        path=run,
        recipe=record["recipe"],
        step=last.get("step", 0),
        steps=record["config"]["steps"],
        loss=last.get("loss"),
        levels=last.get("levels", {}),
        online_metrics=probe.get("probe", {}),
        advice=probe.get("advice", []),
    )
