from collections import Counter

import numpy as np
from pocket_suite import meshes, views
from pocket_suite.drawing import PARTS

from footage.suites.pocket import COUNTS


def test_sides_of_the_splits_are_disjoint_and_test_views_are_far_from_the_labelled_ones():
    sectors = [sector for part in PARTS for sector in views.SECTORS[part]]
    assert len(set(sectors)) == len(sectors)
    labelled = [views.SECTOR * (s + 0.5) for s in views.SECTORS["train800"]]
    tested = [views.SECTOR * (s + 0.5) for s in views.SECTORS["test"]]
    assert max(map(abs, labelled)) <= 45
    assert all(75 <= abs(angle) <= 135 for angle in tested)


def test_every_object_has_the_same_number_of_images(assets):
    assert len(set(views.OBJECTS)) == len(views.OBJECTS) == 40
    render = views.open_views(0, assets)
    assert [render("val200", number).label for number in (0, 1, 40)] == [0, 1, 0]
    for count in COUNTS.values():
        counts = Counter(number % len(views.OBJECTS) for number in range(count))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_an_object_keeps_its_paint(assets):
    mesh = meshes.load(assets, views.OBJECTS[3])
    first, again, other = (views.paint(number, mesh) for number in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    nearest = np.abs(first[:, None] / views.PALETTE - 1).max(axis=-1).min(axis=1)
    assert nearest.max() <= 0.1 + 1e-9
