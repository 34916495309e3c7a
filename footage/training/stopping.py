"""Early stopping by retrieval in held-out videos, which needs no labels.

The score is the mean of the hit rates among the online metrics: the nearest frame is from the same
shot, and the nearest frame of another shot is from the same video. The initial weights are the
first candidate. Training stops after `patience` scores in a row that are not above the best one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

HITS = ("same_shot_hit", "same_video_hit")
"""Online metrics whose mean is the score."""


def score(values: Mapping[str, float]) -> float | None:
    """Return the mean hit rate of online metrics; None if there are no held-out frames to query."""
    found = [values[name] for name in HITS if name in values]
    return sum(found) / len(found) if found else None


class EarlyStopping:
    """Follows the scores of a run.

    Args:
        patience: Number of scores in a row without improvement after which training stops; 0
            never stops.
        history: Lines of metrics.jsonl of the steps so far.
        extended_at: Step at which a run that had stopped was extended; scores up to it no longer
            count against it.
    """

    def __init__(
        self, patience: int, history: Iterable[Mapping[str, Any]] = (), *, extended_at: int = 0
    ) -> None:
        self._patience = patience
        self._extended_at = extended_at
        self._steps: list[int] = []
        self.first: float | None = None
        """Score of the initial weights."""
        self.best: float | None = None
        """Best score so far."""
        self.best_step = 0
        """Step of the best score."""
        for line in history:
            if "probe" in line:
                self.add(line["step"], line["probe"])

    def add(self, step: int, values: Mapping[str, float]) -> bool:
        """Add the online metrics of a step; return whether they are the best so far."""
        found = score(values)
        if found is None or step in self._steps:
            return False
        self._steps.append(step)
        if self.best is not None and found <= self.best:
            return False
        self.first = found if self.first is None else self.first
        self.best, self.best_step = found, step
        return True

    @property
    def is_exhausted(self) -> bool:
        """Whether there was no improvement for `patience` scores."""
        start = max(self.best_step, self._extended_at)
        return 0 < self._patience <= sum(step > start for step in self._steps)

    def record(self, step: int, *, total_steps: int) -> dict[str, float]:
        """Return the entry of run.json: scores and steps; empty if nothing was scored.

        Args:
            step: Number of steps taken.
            total_steps: Number of steps of the whole run.
        """
        if self.best is None or self.first is None:
            return {}
        return {
            "first_score": self.first,
            "best_score": self.best,
            "best_step": self.best_step,
            "last_step": step,
            "stopped_early": step < total_steps,
        }

    def sentence(self, step: int, *, total_steps: int) -> str:
        """Describe when training stopped helping, and which weights are used."""
        if self.best is None or self.first is None:
            return "early stopping has no effect: the held-out videos have too few frames"
        early = f"stopped early after step {step} of {total_steps}: " * (step < total_steps)
        if not self.best_step:
            return (
                f"{early}retrieval in held-out videos never exceeded that of the initial weights"
                f" ({self.first:.3f}), so the run keeps the initial weights"
            )
        return (
            f"{early}retrieval in held-out videos was best after step {self.best_step}"
            f" ({self.best:.3f}; initial weights {self.first:.3f}); the run keeps those weights"
        )
