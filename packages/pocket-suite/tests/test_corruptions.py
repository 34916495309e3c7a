"""The fifteen corruptions: stronger severities change more, and only test images are corrupted."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from pocket_suite.corruptions import CORRUPTIONS, KINDS, SEVERITIES, corrupt, corrupted
from pocket_suite.drawing import Example
from pocket_suite.renderers import OPEN_RENDERER

from footage.suites.pocket import row
from footage.suites.pocket_video import CORRUPTED, TASKS


def picture(side=96):
    """Coarse and fine random structure, as in a photograph."""
    draws = np.random.default_rng(7)
    octaves = [
        cv2.resize(draws.random((cells, cells, 3)), (side, side), interpolation=cv2.INTER_LINEAR)
        for cells in (3, 6, 12, 24)
    ]
    return np.clip(sum(octaves) - 1.5, 0, 1)


@pytest.mark.parametrize("side", [96, 128])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_stronger_severity_changes_more_and_keeps_the_range(name, side):
    clean = picture(side)
    changes = []
    for severity in range(1, SEVERITIES + 1):
        found = [corrupt(clean, name, severity, np.random.default_rng(seed)) for seed in range(8)]
        assert all(each.shape == clean.shape for each in found)
        assert all(each.min() >= 0 and each.max() <= 1 for each in found)
        changes.append(np.mean([np.abs(each - clean).mean() for each in found]))
    assert changes[0] > 0.001
    if name != "elastic-transform":  # coarse at first, then fine
        assert changes[-1] > 1.1 * changes[0]
    again = [corrupt(clean, name, 3, np.random.default_rng(1)) for _ in range(2)]
    assert np.array_equal(*again)


def test_the_strengths_are_the_published_ones():
    clean = np.full((64, 64, 3), 0.5)

    def deviation(name, severity):
        return float((corrupt(clean, name, severity, np.random.default_rng(0)) - clean).std())

    assert deviation("gaussian-noise", 1) == pytest.approx(0.08, rel=0.05)
    assert deviation("shot-noise", 2) == pytest.approx((0.5 / 25) ** 0.5, rel=0.1)
    assert deviation("impulse-noise", 5) == pytest.approx((0.27 * 0.25) ** 0.5, rel=0.05)
    waves = picture(64)
    faded = corrupt(waves, "contrast", 5, np.random.default_rng(0))
    assert faded.std(axis=(0, 1)) == pytest.approx(0.05 * waves.std(axis=(0, 1)), rel=0.05)
    brighter = corrupt(clean * 0.4, "brightness", 2, np.random.default_rng(0))
    assert brighter == pytest.approx(np.full_like(clean, 0.4), abs=0.01)
    for name in ("defocus-blur", "motion-blur", "zoom-blur", "glass-blur", "pixelate"):
        flat = corrupt(clean, name, 4, np.random.default_rng(0))
        assert flat == pytest.approx(clean, abs=1e-6), name


def test_every_way_is_equally_frequent_in_the_test_part():
    for task in TASKS:
        if task.group == "robustness":
            counts = Counter(number % len(KINDS) for number in range(task.num_test))
            assert set(counts.values()) == {task.num_test // len(KINDS)}
    assert len(KINDS) == len(set(KINDS)) == 75


def test_only_test_images_are_corrupted():
    clean = np.full((32, 32, 3), 100, np.uint8)
    render = corrupted(lambda *_: lambda *_: Example(clean, 1, "one"))(0, Path())
    for part in ("train800", "val200"):
        assert render(part, 0) == Example(clean, 1, "one")
    found = render("test", 0)
    assert found.label == 1
    assert not np.array_equal(found.pixels, clean)


@pytest.mark.parametrize("name", CORRUPTED)
def test_a_corrupted_task_has_the_images_of_its_clean_task(name, assets):
    clean, other = (OPEN_RENDERER[each](0, assets) for each in (name, f"{name}-corrupted"))
    assert np.array_equal(clean("val200", 2).pixels, other("val200", 2).pixels)
    assert clean("test", 4)[1:] == other("test", 4)[1:]
    ours = next(task for task in TASKS if task.name == f"{name}-corrupted")
    assert (ours.num_classes, ours.num_test) == (row(name).num_classes, row(name).num_test)
