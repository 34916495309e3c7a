"""Confidence intervals by drawing the units of a measurement again, with replacement.

Frames of one video are not independent, so the units are whole videos or scenes. A draw
depends on the seed and the number of units alone: two models are measured on the same draws, and a
difference between their intervals is not one between draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from footage.metrics.intervals import wilson
from footage.seeding import generator

Weights = Float[np.ndarray, "R U"]
"""For each draw (row), how often each unit came."""

DRAWS: Final = 2000
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the bounds of its interval, at `CONFIDENCE`; nan where it is not defined."""

    value: float
    low: float
    high: float


def estimate(
    statistic: Callable[[Weights], Float[np.ndarray, " R"]], units: int, seed: int
) -> Estimate:
    """A statistic of weighted units, with its percentile interval (Efron 1979).

    Args:
        statistic: Values of many weightings at once; nan where a weighting leaves it undefined.
        units: How many units there are.
        seed: Of the draws.
    """
    value = float(statistic(np.ones((1, units)))[0])
    weights = generator("bootstrap", seed).multinomial(units, np.full(units, 1 / units), DRAWS)
    drawn = statistic(weights.astype(float))
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(value, np.nan, np.nan)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def fraction(part: Float[np.ndarray, " U"], whole: Float[np.ndarray, " U"], seed: int) -> Estimate:
    """`sum of part / sum of whole`, a fraction in [0, 1], with its interval.

    If all units agree, such as when every answer is right, the draws have no spread. Then the
    interval is a Wilson interval with as many trials as there are units.
    """
    found = estimate(share(part, whole), len(part), seed)
    if found.high - found.low > 1e-12 or not np.isfinite(found.value):
        return found
    value = min(1.0, max(0.0, found.value))
    return Estimate(value, *wilson(value, int(np.count_nonzero(whole))))


def share(
    part: Float[np.ndarray, " U"], whole: Float[np.ndarray, " U"]
) -> Callable[[Weights], Float[np.ndarray, " R"]]:
    """The statistic `sum of part / sum of whole`; nan where the whole is nothing."""

    def statistic(weights: Weights) -> Float[np.ndarray, " R"]:
        return divided(weights @ part, weights @ whole)

    return statistic


def divided(
    part: Float[np.ndarray, " R"], whole: Float[np.ndarray, " R"]
) -> Float[np.ndarray, " R"]:
    """Quotients; nan where the divisor is as good as nothing."""
    usable = whole > 1e-9
    return np.where(usable, part / np.where(usable, whole, 1.0), np.nan)
