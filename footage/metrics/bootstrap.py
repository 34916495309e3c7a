"""Bootstrap confidence intervals: resample the units of a measurement with replacement.

Frames of one video are not independent, so the units are whole videos or scenes. The resamples
depend only on the seed and the number of units, so that all models are measured on the same
resamples and their intervals can be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from footage.metrics.intervals import wilson
from footage.seeding import generator

Weights = Float[np.ndarray, "R U"]
"""Number of times that each unit occurs in each resample (row)."""

DRAWS: Final = 2000
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the bounds of its interval, at `CONFIDENCE`; nan where it is undefined."""

    value: float
    low: float
    high: float


def estimate(
    statistic: Callable[[Weights], Float[np.ndarray, " R"]], units: int, seed: int
) -> Estimate:
    """Estimate a statistic of weighted units, with its percentile interval (Efron 1979).

    Args:
        statistic: Values for many weightings at once; nan where a weighting leaves it undefined.
        units: Number of units.
        seed: Seed of the resamples.
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
    """Estimate `sum of part / sum of whole`, a fraction in [0, 1], with its interval.

    If all units agree, for example when every answer is correct, the resamples have no spread. The
    interval is then a Wilson interval with as many trials as units.
    """
    found = estimate(share(part, whole), len(part), seed)
    if found.high - found.low > 1e-12 or not np.isfinite(found.value):
        return found
    value = min(1.0, max(0.0, found.value))
    return Estimate(value, *wilson(value, int(np.count_nonzero(whole))))


def share(
    part: Float[np.ndarray, " U"], whole: Float[np.ndarray, " U"]
) -> Callable[[Weights], Float[np.ndarray, " R"]]:
    """Return the statistic `sum of part / sum of whole`; nan where the whole is zero."""

    def statistic(weights: Weights) -> Float[np.ndarray, " R"]:
        return divided(weights @ part, weights @ whole)

    return statistic


def divided(
    part: Float[np.ndarray, " R"], whole: Float[np.ndarray, " R"]
) -> Float[np.ndarray, " R"]:
    """Divide elementwise; nan where the divisor is almost zero."""
    usable = whole > 1e-9
    return np.where(usable, part / np.where(usable, whole, 1.0), np.nan)
