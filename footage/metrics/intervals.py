"""Confidence intervals of accuracies that are valid at the extremes and for few test images.

The interval is that of Wilson 1927 (https://doi.org/10.1080/01621459.1927.10502953), at 95 %: four
correct answers of four are 100 % with an interval from 51 to 100. Two accuracies are compared by
the hybrid score interval of their difference (Newcombe 1998, method 10,
https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I).
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

Z: Final = 1.959963984540054
"""Quantile of the standard normal distribution that leaves 2.5 % above it."""

FEW_TEST_IMAGES: Final = 50
"""Below this number, an interval can span more than a quarter of the scale."""


class Interval(NamedTuple):
    """Bounds of a fraction or of a difference of fractions, at 95 %."""

    low: float
    high: float


def wilson(value: float, count: int) -> Interval:
    """Return the interval of a fraction from the number of trials.

    Args:
        value: Fraction of correct answers, in [0, 1].
        count: Number of test images; with 0, the interval is [0, 1].
    """
    if count < 1:
        return Interval(0.0, 1.0)
    weight = Z * Z / count
    middle = (value + weight / 2) / (1 + weight)
    half = (weight * (value * (1 - value) + weight / 4)) ** 0.5 / (1 + weight)
    return Interval(min(value, max(0.0, middle - half)), max(value, min(1.0, middle + half)))


def difference(ours: float, our_count: int, theirs: float, their_count: int) -> Interval:
    """Return the interval of `ours - theirs`.

    The two are treated as independent. Two models usually agree on the easy images of a test set,
    so the interval is conservative.
    """
    mine, other = wilson(ours, our_count), wilson(theirs, their_count)
    gain = ours - theirs
    down = ((ours - mine.low) ** 2 + (other.high - theirs) ** 2) ** 0.5
    up = ((mine.high - ours) ** 2 + (theirs - other.low) ** 2) ** 0.5
    return Interval(gain - down, gain + up)


def percent(value: float, bounds: Interval | tuple[float, float]) -> str:
    """Format a fraction and its interval as `83.3 [64.1, 93.3]`."""
    low, high = bounds
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def few_images(counts: Iterable[tuple[str, int]]) -> str:
    """Return a warning that names tasks with very small test sets; empty if there are none.

    Args:
        counts: Names of tasks with their numbers of test images.
    """
    small = [f"{name} ({count})" for name, count in dict(counts).items() if count < FEW_TEST_IMAGES]
    if not small:
        return ""
    return (
        f"Very small test sets, fewer than {FEW_TEST_IMAGES} images: {', '.join(small)}; "
        "differences within the intervals are not meaningful."
    )
