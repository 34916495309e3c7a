r"""Learning rate and teacher decay as pure functions of the step.

cosine   /‾‾\__      steps   /‾‾|_        constant   /‾‾‾‾
        /      ‾\_           /    |__                /
        warm-up              x decay_factor at each of the decay_fractions
"""

import math
from dataclasses import dataclass
from typing import Literal

from footage.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig:
    """Learning rate schedule; all lengths are fractions of the run, so they scale with it."""

    name: Literal["cosine", "steps", "constant"] = "cosine"
    """After warm-up: cosine decay, step decay at given fractions of the run, or constant."""

    warmup_fraction: float = 0.04
    """Fraction of steps for linear warm-up. Recalled: 5k of about 120k steps."""

    decay_fractions: tuple[float, ...] = (1 / 3, 2 / 3, 0.9)
    """For `steps`: fractions of the run at which the rate drops. Recalled: step-wise; the values
    are ours."""

    decay_factor: float = 0.1
    """For `steps`: factor by which the rate is multiplied at each drop."""

    final_fraction: float = 0.0
    """For `cosine`: final rate as a fraction of the peak."""

    def __post_init__(self) -> None:
        """Reject values that do not form a schedule."""
        if not 0 <= self.warmup_fraction < 1:
            raise ConfigError(
                f"schedule.warmup_fraction must lie in [0, 1), got {self.warmup_fraction}",
                "use a fraction of all steps, such as 0.04",
            )
        rising = list(self.decay_fractions) == sorted(set(self.decay_fractions))
        inside = all(self.warmup_fraction < share < 1 for share in self.decay_fractions)
        if self.name == "steps" and not (rising and inside):
            raise ConfigError(
                f"schedule.decay_fractions must increase from schedule.warmup_fraction "
                f"({self.warmup_fraction}) to 1, got {self.decay_fractions}",
                "use fractions of all steps, such as 0.33 0.67 0.9",
            )
        if not 0 < self.decay_factor <= 1:
            raise ConfigError(
                f"schedule.decay_factor must lie in (0, 1], got {self.decay_factor}",
                "use a factor such as 0.1",
            )
        if not 0 <= self.final_fraction <= 1:
            raise ConfigError(
                f"schedule.final_fraction must lie in [0, 1], got {self.final_fraction}",
                "use a fraction of the peak, such as 0.01",
            )


def learning_rate(step: int, config: ScheduleConfig, *, peak: float, total_steps: int) -> float:
    """Return the learning rate of a step, counted from 0; never above the peak, never 0 in warm-up.

    The first step after warm-up runs at the peak. Steps after the last keep the last value.
    """
    warmup_steps = round(config.warmup_fraction * total_steps)
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    if config.name == "cosine":
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        cosine = (1 + math.cos(math.pi * done)) / 2
        return peak * (config.final_fraction + (1 - config.final_fraction) * cosine)
    if config.name == "steps":
        falls = sum(step >= share * total_steps for share in config.decay_fractions)
        return float(peak * config.decay_factor**falls)
    return peak


def teacher_decay(step: int, *, first: float, total_steps: int) -> float:
    """Return the EMA decay of the teacher: from `first` to 1 on a cosine schedule, as in DINO."""
    return 1 - (1 - first) * (1 + math.cos(math.pi * min(1.0, step / total_steps))) / 2
