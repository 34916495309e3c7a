"""The difference of two models on the same test images, as results record it."""

from typing import Final

from footage.evaluation.fields import Record, Share, Text

BETTER: Final = "better"
WORSE: Final = "worse"
NO_DIFFERENCE: Final = "no difference"
SAME: Final = "same weights"


class Difference(Record, frozen=True):
    """The first model compared with another one."""

    protocol: Text
    tasks: tuple[Text, ...]
    """Tasks that both were evaluated on."""
    first: Text
    other: Text
    value: float
    """Accuracy of the first model minus that of the other, averaged over the tasks."""
    low: float
    high: float
    """Interval of the difference."""
    level: Share
    """Confidence level of the interval."""
    verdict: Text
    """better, worse, no difference, or same weights; of the first model."""


def in_short(difference: Difference) -> str:
    """Format a difference for a table: in percentage points, or as `same weights`."""
    return SAME if difference.verdict == SAME else points(difference)


def points(difference: Difference, sign: int = 1) -> str:
    """Format a difference and its interval in percentage points, as `+4.2 [1.1, 7.3]`."""
    value, *bounds = (
        100 * sign * each for each in (difference.value, difference.low, difference.high)
    )
    low, high = sorted(bounds)
    return f"{value:+.1f} [{low:.1f}, {high:.1f}]"
