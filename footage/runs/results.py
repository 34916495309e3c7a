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
    kept_step: int = 0
    """Step whose weights the run keeps: with early stopping the best one, else the last one."""
    online_metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Online metrics of these weights on the held-out videos, or the last ones before that step;
    empty without any."""
    advice: Sequence[str] = ()
    """Advice from the last online metrics."""

    def views(self) -> Sequence[View]:
        """Return the folder and the numbers, one line each."""
        rows: list[tuple[str, object]] = [
            ("run", self.path),
            ("recipe", self.recipe or "none"),
            ("steps", f"{self.step:,} of {self.steps:,}"),
        ]
        rows += [("loss", f"{self.loss:.4g}")] if self.loss is not None else []
        if self.kept_step != self.step:
            kept = f"step {self.kept_step:,}" if self.kept_step else "the initial weights"
            rows.append(("online metrics of", f"{kept}, kept by early stopping"))
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
    probes = [line for line in lines if "probe" in line]
    kept = record["stopping"].get("best_step", last.get("step", 0))
    return TrainingResult(
        path=run,
        recipe=record["recipe"],
        step=last.get("step", 0),
        steps=record["config"]["steps"],
        loss=last.get("loss"),
        levels=last.get("levels", {}),
        kept_step=int(kept),
        online_metrics=kept_probe(record, probes).get("probe", {}),
        advice=probes[-1].get("advice", []) if probes else [],
    )


def kept_probe(record: Mapping[str, Any], probes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the online metrics of the weights that a run keeps; empty without any.

    Args:
        record: The content of run.json.
        probes: The lines of metrics.jsonl with online metrics.
    """
    kept = record.get("stopping", {}).get("best_step")
    lines = (line for line in reversed(probes) if kept is None or line["step"] == kept)
    return next(lines, {})
