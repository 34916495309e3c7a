"""Axes, ticks and labels of charts.

Colours are classes (`run0` ...) of the style sheet, so only the style sheet distinguishes light and
dark pages. Every chart contains its numbers as text for screen readers.
"""

import math
from typing import Final, NamedTuple

Number = int | float

WIDTH: Final = 360
RIGHT: Final = 12
BOTTOM: Final = 30
"""Size of a chart and of its margins, in pixels."""


class Axis(NamedTuple):
    """Linear map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: Number) -> float:
        """Return the position of a value."""
        fraction = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + fraction * (self.end - self.start)


class Tick(NamedTuple):
    """A label on an axis or on a horizontal line."""

    place: float
    """Distance from the left or from the top, in pixels."""
    label: str


def number(value: Number) -> str:
    """Format a tick label: 1200 as 1.2k, 0.00075 as 7.5e-4, without trailing zeros."""
    if 0 < abs(value) < 0.01:
        digits, _, exponent = f"{value:.1e}".partition("e")
        return f"{float(digits):g}e{int(exponent)}"
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:.6g}"


def ticks(low: Number, high: Number, about: int) -> list[float]:
    """Return approximately `about` round numbers inside a range."""
    step = 10.0 ** math.floor(math.log10((high - low) / about or 1.0))
    for factor in (1, 2, 2.5, 5, 10):
        if (high - low) / (step * factor) <= about + 0.5:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]
