"""Sizes and labels of pictures on the page."""

import pytest

from footage.reporting.thumbnails import shares
from footage.text import clock


@pytest.mark.parametrize(
    ("lengths", "total", "expected"),
    [([4, 4], 6, [3, 3]), ([20, 1, 1], 6, [4, 1, 1]), ([2], 9, [2]), ([9, 3], 4, [3, 1])],
)
def test_longer_shots_are_shown_by_more_frames(
    lengths: list[int], total: int, expected: list[int]
) -> None:
    assert shares(lengths, total) == expected


def test_times_are_minutes_and_seconds() -> None:
    assert (clock(0.04), clock(83.44), clock(59.99)) == ("0:00.0", "1:23.4", "1:00.0")
