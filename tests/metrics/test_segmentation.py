"""J and F of masks, compared with their definitions, pixel by pixel."""

import math

import numpy as np
import pytest

from footage.metrics.segmentation import TOLERANCE, boundary_accuracy, region_similarity

NOTHING = np.zeros((12, 17), bool)


def blob(seed, shape=(12, 17)):
    """A mask of a few random boxes."""
    draw = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for _ in range(draw.integers(1, 4)):
        top, left = draw.integers(0, shape[0]), draw.integers(0, shape[1])
        mask[top : top + draw.integers(2, 8), left : left + draw.integers(2, 8)] = True
    return mask


def twin_boundary(mask):
    height, width = mask.shape
    return {
        (y, x)
        for y in range(height)
        for x in range(width)
        for down, right in ((0, 1), (1, 0), (1, 1))
        if y + down < height and x + right < width and mask[y, x] != mask[y + down, x + right]
    }


def twin_accuracy(found, truth, void):
    ours, theirs = twin_boundary(found & ~void), twin_boundary(truth & ~void)
    reach = math.ceil(TOLERANCE * math.hypot(*found.shape))

    def matched(some, others):
        hits = [any(math.dist(one, other) <= reach for other in others) for one in some]
        return sum(hits) / len(hits) if hits else 1.0

    precision, recall = matched(ours, theirs), matched(theirs, ours)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("seed", range(8))
def test_both_measures_agree_with_their_definitions(seed):
    found, truth, void = blob(seed), blob(seed + 100), blob(seed + 200) & blob(seed + 300)
    counted = [place for place in np.ndindex(found.shape) if not void[place]]
    both = sum(found[place] and truth[place] for place in counted)
    either = sum(found[place] or truth[place] for place in counted)
    assert region_similarity(found, truth, void) == (both / either if either else 1.0)
    assert boundary_accuracy(found, truth, void) == pytest.approx(twin_accuracy(found, truth, void))


def test_a_boundary_two_pixels_away_matches_in_a_large_frame_only():
    for side, expected in ((100, 1.0), (40, 0.0)):  # a radius of 2 and of 1
        found, truth = np.zeros((2, side, side), bool)
        found[:, : side // 2], truth[:, : side // 2 + 2] = True, True
        assert boundary_accuracy(found, truth, np.zeros_like(found)) == expected


def test_empty_masks_agree_with_each_other_and_with_nothing_else():
    mask = NOTHING.copy()
    mask[4:8, 4:8] = True
    for measure in (region_similarity, boundary_accuracy):
        assert measure(NOTHING, NOTHING, NOTHING) == 1
        assert measure(mask, mask, NOTHING) == 1
        assert measure(mask, NOTHING, NOTHING) == measure(NOTHING, mask, NOTHING) == 0
        assert measure(mask, NOTHING, mask) == 1
